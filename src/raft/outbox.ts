import type { Message } from './message.ts';
import type { ReadState } from './ready.ts';

/**
 * Which messages promise that something is on disk, and so leave only once it is: the vote (one's
 * own too, before asking for others), the answers to it, and what the log holds. The rest may leave
 * at once: leaders replicate in parallel to their own disk (thesis §10.2.1), and a heartbeat's
 * answer only says what term it is, so a slow disk alone never looks like a dead member.
 */
const PROMISES_DURABILITY: { readonly [Type in Message['type']]: boolean } = {
  requestVote: true,
  requestVoteReply: true,
  preVote: false,
  preVoteReply: true,
  appendEntries: false,
  appendEntriesReply: true,
  heartbeat: false,
  heartbeatReply: false,
  installSnapshot: false,
  installSnapshotReply: true,
  timeoutNow: false,
  readIndex: false,
  readIndexReply: false,
};

/** What waits for the next Ready. */
export class Outbox {
  #messages: Message[] = [];
  #messagesAfterAppend: Message[] = [];
  #readStates: ReadState[] = [];

  get isEmpty(): boolean {
    return (
      this.#messages.length === 0 &&
      this.#messagesAfterAppend.length === 0 &&
      this.#readStates.length === 0
    );
  }

  send(message: Message): void {
    if (PROMISES_DURABILITY[message.type]) this.#messagesAfterAppend.push(message);
    else this.#messages.push(message);
  }

  answerRead(readState: ReadState): void {
    this.#readStates.push(readState);
  }

  /** Promises of a term that has passed are of no use; what they were about may be gone. */
  dropPromises(): void {
    this.#messagesAfterAppend = [];
  }

  take(): { messages: Message[]; messagesAfterAppend: Message[]; readStates: ReadState[] } {
    const taken = {
      messages: this.#messages,
      messagesAfterAppend: this.#messagesAfterAppend,
      readStates: this.#readStates,
    };
    this.#messages = [];
    this.#messagesAfterAppend = [];
    this.#readStates = [];
    return taken;
  }
}

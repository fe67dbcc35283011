import type { Clock, Timer } from '../io/index.ts';
import type { AppendEntries, MemberId, Message } from '../raft/index.ts';

/**
 * Holds back for a moment what says nothing but how far the log is committed: AppendEntries without
 * entries. While clients go on writing, the next entries say the same, so two of the four messages
 * that a write costs each follower never leave, and the answer to the client leaves before them.
 * Lost ones are repeated by heartbeats, as ever, so nothing depends on them but the time at which
 * followers apply.
 */
export class CommitNotices {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #send: (messages: readonly Message[]) => void;
  /** The latest notice for each member that is owed one. */
  readonly #held = new Map<MemberId, AppendEntries>();
  #timer: Timer | null = null;

  constructor(options: {
    clock: Clock;
    /** How long at most a notice is held back. */
    delayMs: number;
    send: (messages: readonly Message[]) => void;
  }) {
    this.#clock = options.clock;
    this.#delayMs = options.delayMs;
    this.#send = options.send;
  }

  /** Takes what is to be sent, returns what leaves now: never in another order. */
  sift(messages: readonly Message[]): readonly Message[] {
    const leaving: Message[] = [];
    for (const message of messages) {
      if (message.type === 'appendEntries') {
        this.#held.delete(message.to);
        if (message.entries.length === 0) {
          this.#hold(message);
          continue;
        }
      } else if (message.type === 'readIndexReply') {
        // Whoever waits for this reads what is committed: it must learn that it is.
        this.#release(leaving);
      }
      leaving.push(message);
    }
    return leaving;
  }

  /** What is held back counts for nothing any more. */
  drop(): void {
    this.#held.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #hold(notice: AppendEntries): void {
    this.#held.set(notice.to, notice);
    this.#timer ??= this.#clock.setTimer(this.#delayMs, () => {
      this.#timer = null;
      const notices: Message[] = [];
      this.#release(notices);
      if (notices.length > 0) this.#send(notices);
    });
  }

  #release(into: Message[]): void {
    into.push(...this.#held.values());
    this.#held.clear();
  }
}

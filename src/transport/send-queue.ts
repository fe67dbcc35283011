import type { Message } from '../raft/index.ts';
import type { TransportContext } from './context.ts';
import { HEADER_BYTES, messageFrameBytes } from './frame.ts';
import type { FramedConnection } from './framed.ts';
import type { Lane } from './handshake.ts';
import { WIRE_LIMITS } from './limits.ts';

/** Which lane a message takes. All AppendEntries share one, so that none overtakes another. */
export function laneOf(message: Message): Lane {
  return message.type === 'appendEntries' ? 'append' : 'control';
}

/** What became of a message that was to be sent. */
export type SendResult = 'queued' | 'full' | 'oversized' | 'unconnected';

/** Where messages to one member and lane go. */
export interface Sender {
  push(message: Message): SendResult;
  /** Sends what was pushed, as far as the connection takes it. */
  flush(): void;
}

/**
 * Messages that wait for one connection, not yet encoded: bounded in count and bytes. While the
 * connection takes bytes, it is empty after each flush.
 */
export class SendQueue {
  readonly #context: TransportContext;
  readonly #frameBytesMax: number;
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  #messages: Message[] = [];
  /** Upper bound of the frames' size. */
  #bytes = 0;

  constructor(context: TransportContext, lane: Lane) {
    const { limits } = context;
    const control = lane === 'control';
    this.#context = context;
    this.#frameBytesMax = context.frameBytesMax(lane);
    this.#messagesMax = control ? limits.controlQueueMessagesMax : limits.appendQueueMessagesMax;
    this.#bytesMax = control ? limits.controlQueueBytesMax : limits.appendQueueBytesMax;
  }

  get length(): number {
    return this.#messages.length;
  }

  push(message: Message): SendResult {
    const bytes = messageFrameBytes(message);
    if (bytes - HEADER_BYTES > this.#frameBytesMax || hasTooManyEntries(message)) {
      this.#context.counters.droppedOversized++;
      return 'oversized';
    }
    if (this.#messages.length > 0) this.#supersede(message);
    const full =
      this.#messages.length >= this.#messagesMax ||
      (this.#messages.length > 0 && this.#bytes + bytes > this.#bytesMax);
    if (full) {
      this.#context.counters.droppedQueueFull++;
      return 'full';
    }
    this.#messages.push(message);
    this.#bytes += bytes;
    return 'queued';
  }

  /** Writes while the connection takes more: as few and as large writes as allowed. */
  flush(framed: FramedConnection): void {
    while (this.#messages.length > 0 && framed.writable && !framed.closed) {
      const { messages, bytes } = this.#take();
      framed.write(this.#context.writer.messages(messages, bytes), messages.length);
    }
  }

  /** Drops everything; returns how many messages that were. */
  clear(): number {
    const dropped = this.#messages.length;
    this.#messages = [];
    this.#bytes = 0;
    this.#context.counters.droppedUnconnected += dropped;
    return dropped;
  }

  /** The oldest messages that fit into one write, at least one. */
  #take(): { messages: Message[]; bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const message of this.#messages) {
      const next = messageFrameBytes(message);
      if (count > 0 && bytes + next > this.#context.limits.writeBytesMax) break;
      bytes += next;
      count++;
    }
    this.#bytes -= bytes;
    if (count < this.#messages.length) return { messages: this.#messages.splice(0, count), bytes };
    const messages = this.#messages;
    this.#messages = [];
    return { messages, bytes };
  }

  /** Removes an older heartbeat (or reply) that confirms no read: the new one says all it said. */
  #supersede(message: Message): void {
    if (message.type !== 'heartbeat' && message.type !== 'heartbeatReply') return;
    const at = this.#messages.findIndex(
      (old) => old.type === message.type && old.readAttempt === null,
    );
    if (at < 0) return;
    for (const old of this.#messages.splice(at, 1)) this.#bytes -= messageFrameBytes(old);
    this.#context.counters.superseded++;
  }
}

function hasTooManyEntries(message: Message): boolean {
  return message.type === 'appendEntries' && message.entries.length > WIRE_LIMITS.entriesMax;
}

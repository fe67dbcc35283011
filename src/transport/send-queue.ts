import type { LaneLimits, TransportContext } from './context.ts';
import { HEADER_BYTES, messageFrameBytes } from './frame.ts';
import type { FramedConnection } from './framed.ts';
import type { Lane } from './handshake.ts';
import { WIRE_LIMITS } from './limits.ts';
import type { PeerMessage, SnapshotChunk } from './types.ts';

/** Which lane a message takes. All AppendEntries share one, so that none overtakes another. */
export function laneOf(message: PeerMessage): Lane {
  if (message.type === 'appendEntries') return 'append';
  // Commands and answers are large, as entries are.
  if (message.type === 'forward' || message.type === 'forwardReply') return 'append';
  return message.type === 'snapshotChunk' ? 'bulk' : 'control';
}

/** What became of a message that was to be sent. */
export type SendResult = 'queued' | 'full' | 'oversized' | 'unconnected';

/** Where messages to one member and lane go. */
export interface Sender {
  push(message: PeerMessage): SendResult;
  /** Sends what was pushed, as far as the connection takes it. */
  flush(): void;
}

/**
 * Messages that wait for one connection, not yet encoded: bounded in count and bytes. While the
 * connection takes bytes, it is empty after each flush.
 */
export class SendQueue {
  readonly #context: TransportContext;
  readonly #limits: LaneLimits;
  #messages: PeerMessage[] = [];
  /** Upper bound of the frames' size. */
  #bytes = 0;

  constructor(context: TransportContext, lane: Lane) {
    this.#context = context;
    this.#limits = context.laneLimits(lane);
  }

  get length(): number {
    return this.#messages.length;
  }

  push(message: PeerMessage): SendResult {
    const { frameBytesMax, queueMessagesMax, queueBytesMax } = this.#limits;
    const bytes = messageFrameBytes(message);
    if (bytes - HEADER_BYTES > frameBytesMax || isBeyondWire(message)) {
      this.#context.counters.droppedOversized++;
      return 'oversized';
    }
    if (this.#messages.length > 0) this.#supersede(message);
    const full =
      this.#messages.length >= queueMessagesMax ||
      (this.#messages.length > 0 && this.#bytes + bytes > queueBytesMax);
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
      const [first] = messages;
      if (messages.length === 1 && first?.type === 'snapshotChunk') this.#write(framed, first);
      else framed.write(this.#context.writer.messages(messages, bytes), messages.length);
      for (const message of messages) this.#count(message);
    }
  }

  /** The data are written as they are: they are most of what this process sends. */
  #write(framed: FramedConnection, chunk: SnapshotChunk): void {
    framed.write(this.#context.writer.chunkHead(chunk), 1);
    if (chunk.data.length > 0) framed.write(chunk.data, 0);
  }

  #count(message: PeerMessage): void {
    if (message.type !== 'snapshotChunk') return;
    this.#context.counters.chunksSent++;
    this.#context.counters.chunkBytesSent += message.data.length;
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
  #take(): { messages: PeerMessage[]; bytes: number } {
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
  #supersede(message: PeerMessage): void {
    if (message.type !== 'heartbeat' && message.type !== 'heartbeatReply') return;
    const at = this.#messages.findIndex(
      (old) => old.type === message.type && old.readAttempt === null,
    );
    if (at < 0) return;
    for (const old of this.#messages.splice(at, 1)) this.#bytes -= messageFrameBytes(old);
    this.#context.counters.superseded++;
  }
}

/** The receiver would take it for damage, whatever the limits of this transport. */
function isBeyondWire(message: PeerMessage): boolean {
  if (message.type === 'appendEntries') return message.entries.length > WIRE_LIMITS.entriesMax;
  if (message.type === 'forward') return message.commands.length > WIRE_LIMITS.forwardsMax;
  if (message.type === 'forwardReply') return message.answers.length > WIRE_LIMITS.forwardsMax;
  return message.type === 'snapshotChunk' && message.data.length > WIRE_LIMITS.chunkBytesMax;
}

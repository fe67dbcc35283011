import { ByteReader, ByteWriter, type Prng } from '../../src/lib/index.ts';
import type { MemberId, Message } from '../../src/raft/index.ts';
import type { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import {
  type BulkMessage,
  decodeBulkMessage,
  decodeMessage,
  encodeBulkMessage,
  encodeMessage,
  type PeerMessage,
} from '../../src/transport/index.ts';

/** The lab's unreliable network; times in milliseconds. */
export const UNRELIABLE = {
  /** A request takes 0 … this. */
  delayMsMax: 26,
  /** Requests that are lost, and of the replies to the others those that are lost. */
  loss: 0.1,
  /** With long reordering: replies that are held back, for 200 + U(0 … U(0 … 1999)). */
  heldBack: 2 / 3,
  heldBackMsMin: 200,
  heldBackMsSpread: 2_000,
  /** Ours: messages that arrive twice. */
  duplicates: 0.05,
} as const;

/** A message that does not come late all the same needs a while, and may overtake another. */
const LATENCY_MS_MIN = 0.1;
const LATENCY_MS_SPREAD = 0.9;

/** How long the lab's network holds a reply back. */
export function heldBackMs(prng: Prng): number {
  return UNRELIABLE.heldBackMsMin + prng.below(1 + prng.below(UNRELIABLE.heldBackMsSpread));
}

/** Between an instant and a millisecond. */
export function latencyMs(prng: Prng): number {
  return LATENCY_MS_MIN + (LATENCY_MS_SPREAD * prng.below(1_000)) / 1_000;
}

/** How the links between members behave now. */
export interface LinkQuality {
  /** Links lose, delay and repeat messages. */
  readonly unreliable: boolean;
  /** Most replies come very late. */
  readonly longReordering: boolean;
}

/**
 * Links between members, as the lab's network has them, without its mercy: messages go one way, so
 * what is lost is lost without a word; they are bytes, so nothing is shared; and they may arrive
 * twice.
 */
export class LabNetwork {
  readonly #clock: VirtualClock;
  readonly #prng: Prng;
  readonly #deliver: (message: Message) => void;
  readonly #deliverBulk: (message: BulkMessage) => void;
  readonly #absent = new Set<MemberId>();
  /** Directed links that are cut. */
  readonly #cut = new Set<string>();
  quality: LinkQuality = { unreliable: false, longReordering: false };
  /** Sees each of Raft's messages as it is sent. */
  onSend: (message: Message) => void = () => {};
  /** Sees each message of a snapshot's transfer as it is sent. */
  onSendBulk: (message: BulkMessage) => void = () => {};
  /** Requests sent, delivered or not: what the lab counts as calls. */
  requests = 0;
  /** Bytes of all messages sent, delivered or not. */
  bytes = 0;

  constructor(options: {
    readonly clock: VirtualClock;
    readonly prng: Prng;
    readonly deliver: (message: Message) => void;
    readonly deliverBulk: (message: BulkMessage) => void;
  }) {
    this.#clock = options.clock;
    this.#prng = options.prng;
    this.#deliver = options.deliver;
    this.#deliverBulk = options.deliverBulk;
  }

  /** Takes a member off the network, in both directions. */
  disconnect(id: MemberId): void {
    this.#absent.add(id);
  }

  connect(id: MemberId): void {
    this.#absent.delete(id);
  }

  isConnected(id: MemberId): boolean {
    return !this.#absent.has(id);
  }

  /** Cuts one direction of one link. */
  cut(from: MemberId, to: MemberId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Lets nothing pass between members of different groups. */
  partition(groups: readonly (readonly MemberId[])[]): void {
    this.#cut.clear();
    for (const group of groups) {
      for (const other of groups) {
        if (other === group) continue;
        for (const from of group) for (const to of other) this.cut(from, to);
      }
    }
  }

  /** Restores every link between members that are on the network. */
  healLinks(): void {
    this.#cut.clear();
  }

  isOpen(from: MemberId, to: MemberId): boolean {
    return !this.#cut.has(`${from}>${to}`) && !this.#absent.has(from) && !this.#absent.has(to);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.onSend(message);
      const writer = new ByteWriter(128);
      encodeMessage(writer, message);
      const bytes = writer.view();
      this.#carry(message, bytes, () => this.#deliver(decodeMessage(new ByteReader(bytes))));
    }
  }

  /** Chunks are as likely to be lost, doubled and overtaken as anything else. */
  sendBulk(message: BulkMessage): boolean {
    this.onSendBulk(message);
    const writer = new ByteWriter(128);
    encodeBulkMessage(writer, message);
    const bytes = writer.view();
    this.#carry(message, bytes, () => this.#deliverBulk(decodeBulkMessage(new ByteReader(bytes))));
    return this.isOpen(message.from, message.to);
  }

  #carry({ type, from, to }: PeerMessage, bytes: Uint8Array, deliver: () => void): void {
    const isReply = type.endsWith('Reply');
    this.bytes += bytes.length;
    if (!isReply) this.requests++;
    if (!this.isOpen(from, to)) return;
    const { unreliable } = this.quality;
    if (unreliable && this.#prng.chance(UNRELIABLE.loss)) return;
    const copies = unreliable && this.#prng.chance(UNRELIABLE.duplicates) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#clock.setTimer(this.#delayMs(isReply), () => {
        if (this.isOpen(from, to)) deliver();
      });
    }
  }

  #delayMs(isReply: boolean): number {
    const prng = this.#prng;
    const { unreliable, longReordering } = this.quality;
    if (isReply && longReordering && prng.chance(UNRELIABLE.heldBack)) return heldBackMs(prng);
    const delayMs = unreliable && !isReply ? prng.below(UNRELIABLE.delayMsMax + 1) : 0;
    return delayMs + latencyMs(prng);
  }
}

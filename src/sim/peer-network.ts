import { assert, ByteReader, ByteWriter, InvariantViolation } from '../lib/index.ts';
import type { MemberId, Message } from '../raft/index.ts';
import {
  type BulkMessage,
  decodeBulkMessage,
  decodeMessage,
  encodeBulkMessage,
  encodeMessage,
  type MemberInfo,
  type Transport,
  type TransportHandlers,
} from '../transport/index.ts';
import type { Counters } from './counters.ts';
import type { Process } from './process.ts';
import type { Stream } from './streams.ts';
import type { World } from './world.ts';

/** How links behave when nothing in particular is wrong with them. */
export interface LinkQuality {
  readonly latencyMs: number;
  /** Mean of what comes on top. */
  readonly jitterMs: number;
  /** Probability that a message is lost. */
  readonly loss: number;
  /** Probability that it arrives twice. */
  readonly duplicate: number;
  /** Probability that it comes very late, and how late on average. */
  readonly late: number;
  readonly lateMs: number;
  /** What is under way reaches the next incarnation of its receiver. */
  readonly survivesRestart: boolean;
}

/** A member at the network. */
export interface PeerEndpoint {
  readonly process: Process;
  readonly handlers: TransportHandlers;
  /**
   * It asks what it may have forgotten: what was meant for a process before this one is no answer.
   * With real connections it never arrives (decision 0007 rests on that).
   */
  readonly asks?: boolean;
  /** An assertion failed while a message was handled: the process ends. */
  readonly onDefect?: (error: Error) => void;
}

/** One direction between two members. */
interface LinkState {
  isCut: boolean;
  /** Extra milliseconds on each message. */
  slowMs: number;
  /** Nothing arrives before this, microseconds. */
  cloggedUntilUs: number;
  /** It has no fault of quality. */
  isClean: boolean;
  sent: number;
  stragglers: number;
}

/** Nobody is told more often that a peer is unreachable, as with the real transport. */
const UNREACHABLE_EVERY_MS = 1_000;

/** Messages between members: as bytes, at most as reliable as the plan says. */
export class PeerNetwork {
  readonly #world: World;
  readonly #stream: Stream;
  readonly #counters: Counters;
  readonly #members: ReadonlyMap<MemberId, string>;
  readonly #endpoints = new Map<MemberId, PeerEndpoint>();
  /** By sender, then by receiver. */
  readonly #links: ReadonlyMap<MemberId, ReadonlyMap<MemberId, LinkState>>;
  quality: LinkQuality;
  /** Keep messages back: true, and the message leaves when `send` is called. */
  readonly keepers = new Set<(message: Message, send: () => void) => boolean>();
  #stragglersBeforeUs = 0;
  /** Sees each message as it leaves. */
  onSend: (from: MemberId, message: Message) => void = () => {};
  /** Sees each piece of a snapshot, and each answer to one, as it leaves. */
  onSendBulk: (message: BulkMessage) => void = () => {};

  constructor(options: {
    readonly world: World;
    readonly members: ReadonlyMap<MemberId, string>;
    readonly quality: LinkQuality;
    readonly counters: Counters;
  }) {
    this.#world = options.world;
    this.#stream = options.world.stream('peer network');
    this.#counters = options.counters;
    this.#members = options.members;
    this.quality = options.quality;
    const ids = [...options.members.keys()];
    const linksOfOne = (): Map<MemberId, LinkState> => new Map(ids.map((to) => [to, newLink()]));
    this.#links = new Map(ids.map((from) => [from, linksOfOne()]));
  }

  attach(id: MemberId, endpoint: PeerEndpoint): void {
    this.#endpoints.set(id, endpoint);
  }

  detach(id: MemberId, endpoint: PeerEndpoint): void {
    if (this.#endpoints.get(id) === endpoint) this.#endpoints.delete(id);
  }

  /** Cuts one direction. */
  cut(from: MemberId, to: MemberId): void {
    this.#link(from, to).isCut = true;
  }

  restore(from: MemberId, to: MemberId): void {
    this.#link(from, to).isCut = false;
  }

  /** Some link from or to it is cut. */
  isCutOff(id: MemberId): boolean {
    return [...this.#members.keys()].some(
      (peer) => this.#link(id, peer).isCut || this.#link(peer, id).isCut,
    );
  }

  slow(from: MemberId, to: MemberId, extraMs: number): void {
    this.#link(from, to).slowMs = extraMs;
  }

  /** What is sent arrives only after this time, all at once. */
  clog(from: MemberId, to: MemberId, durationMs: number): void {
    this.#link(from, to).cloggedUntilUs = this.#world.nowUs + durationMs * 1000;
  }

  /** Heals both directions between all of these, for good. */
  heal(ids: readonly MemberId[]): void {
    this.keepers.clear();
    for (const from of ids) {
      for (const to of ids) {
        const healthy = { isCut: false, slowMs: 0, cloggedUntilUs: 0, isClean: true };
        Object.assign(this.#link(from, to), healthy);
      }
    }
  }

  /** Begins to count anew what links take, and what still arrives that was sent before. */
  countAnew(): void {
    for (const links of this.#links.values()) {
      for (const link of links.values()) Object.assign(link, { sent: 0, stragglers: 0 });
    }
    this.#stragglersBeforeUs = this.#world.nowUs;
  }

  /** Messages since `countAnew`: those that a link took, and those that had been sent before. */
  countsOf(from: MemberId, to: MemberId): Readonly<Pick<LinkState, 'sent' | 'stragglers'>> {
    return this.#link(from, to);
  }

  transport(id: MemberId, endpoint: PeerEndpoint, info: (id: MemberId) => MemberInfo): Transport {
    const { process } = endpoint;
    const reported = new Map<MemberId, number>();
    const unreachable = (to: MemberId): void => {
      const lastUs = reported.get(to) ?? -UNREACHABLE_EVERY_MS * 1000;
      if (this.#world.nowUs - lastUs < UNREACHABLE_EVERY_MS * 1000) return;
      reported.set(to, this.#world.nowUs);
      this.#world.schedule(process, { kind: 'io', delayUs: 100, label: '' }, () =>
        endpoint.handlers.onUnreachable(to),
      );
    };
    return {
      address: { host: this.#members.get(id) ?? '', port: 2 },
      send: (messages) => {
        if (!process.alive) return;
        for (const message of messages) this.#send(id, message, unreachable);
      },
      sendBulk: (message) => process.alive && this.#sendBulk(id, message),
      peerInfo: (peer) => (this.#members.has(peer) ? info(peer) : null),
      connectedPeers: () =>
        [...this.#members.keys()].filter((peer) => peer !== id && this.#isConnected(id, peer)),
      setPeers: () => {},
      close: () => Promise.resolve(),
    };
  }

  #isConnected(from: MemberId, to: MemberId): boolean {
    return !this.#link(from, to).isCut && this.#endpoints.get(to)?.process.alive === true;
  }

  #send(from: MemberId, message: Message, unreachable: (to: MemberId) => void): void {
    this.onSend(from, message);
    const carry = (): void => this.#carry(from, message, unreachable);
    for (const keeps of this.keepers) if (keeps(message, carry)) return;
    carry();
  }

  #link(from: MemberId, to: MemberId): LinkState {
    const link = this.#links.get(from)?.get(to);
    assert(link !== undefined, 'no such link', { from, to });
    return link;
  }

  #carry(from: MemberId, message: Message, unreachable: (to: MemberId) => void): void {
    const { to, type } = message;
    if (!this.#isConnected(from, to)) {
      this.#counters.add('network: message to nowhere');
      return unreachable(to);
    }
    const link = this.#link(from, to);
    link.sent++;
    const stream = this.#stream;
    const { loss, duplicate } = this.quality;
    const clean = link.isClean;
    if (!clean && stream.chance(loss)) {
      this.#counters.add('network: message lost');
      return;
    }
    const writer = new ByteWriter(128);
    encodeMessage(writer, message);
    const bytes = writer.view();
    this.#world.mix(bytes.length);
    const receive = (to: TransportHandlers): void =>
      to.onMessage(decodeMessage(new ByteReader(bytes)));
    this.#deliver({ from, to, type, receive });
    if (!clean && stream.chance(duplicate)) {
      this.#counters.add('network: message doubled');
      this.#deliver({ from, to, type, receive });
    }
  }

  /** As unreliable as other messages, but never doubled: it has a connection of its own. */
  #sendBulk(from: MemberId, message: BulkMessage): boolean {
    this.onSendBulk(message);
    const { to, type } = message;
    if (!this.#isConnected(from, to)) return false;
    const link = this.#link(from, to);
    link.sent++;
    if (!link.isClean && this.#stream.chance(this.quality.loss)) {
      this.#counters.add('network: message lost');
      return true;
    }
    const writer = new ByteWriter(128);
    encodeBulkMessage(writer, message);
    const bytes = writer.view();
    this.#world.mix(bytes.length);
    const receive = (to: TransportHandlers): void => {
      // A first piece has a state opened.
      this.#world.movePromises();
      to.onBulk(decodeBulkMessage(new ByteReader(bytes)));
    };
    this.#deliver({ from, to, type, receive });
    return true;
  }

  #deliver(parcel: {
    readonly from: MemberId;
    readonly to: MemberId;
    readonly type: string;
    readonly receive: (handlers: TransportHandlers) => void;
  }): void {
    const { from, to, type } = parcel;
    const world = this.#world;
    const receiver = this.#endpoints.get(to);
    const link = this.#link(from, to);
    const delayUs = this.#delayUs(link);
    const label = world.tracing ? `${type} from ${this.#members.get(from)}` : '';
    const sentUs = world.nowUs;
    const receive = (endpoint: PeerEndpoint): void => {
      if (link.isCut) return;
      if (sentUs < this.#stragglersBeforeUs) link.stragglers++;
      try {
        parcel.receive(endpoint.handlers);
      } catch (error) {
        if (!(error instanceof InvariantViolation) || endpoint.onDefect === undefined) throw error;
        endpoint.onDefect(error);
      }
    };
    if (receiver === undefined) return;
    if (!this.quality.survivesRestart) {
      world.schedule(receiver.process, { kind: 'io', delayUs, label }, () => receive(receiver));
      return;
    }
    world.schedule(null, { kind: 'io', delayUs, label: '' }, () => {
      const now = this.#endpoints.get(to);
      if (now === undefined || (now !== receiver && now.asks === true)) return;
      if (now !== receiver) this.#counters.add('sometimes: message outlived its receiver');
      world.schedule(now.process, { kind: 'io', delayUs: 0, label }, () => receive(now));
    });
  }

  #delayUs({ slowMs, isClean, cloggedUntilUs }: LinkState): number {
    const stream = this.#stream;
    const { latencyMs, jitterMs, late, lateMs } = this.quality;
    let delayMs = latencyMs + stream.exponential(jitterMs) + slowMs;
    if (!isClean && stream.chance(late)) {
      this.#counters.add('network: message late');
      delayMs += stream.exponential(lateMs);
    }
    return Math.max(delayMs * 1000, cloggedUntilUs - this.#world.nowUs);
  }
}

function newLink(): LinkState {
  return { isCut: false, slowMs: 0, cloggedUntilUs: 0, isClean: false, sent: 0, stragglers: 0 };
}

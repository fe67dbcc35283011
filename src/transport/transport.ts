import type { Address, Connection, Listener, Timer } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import type { MemberId, Message } from '../raft/index.ts';
import { idText, TransportContext } from './context.ts';
import { HEADER_BYTES, isBulk, messageFrameBytes } from './frame.ts';
import type { CloseReason } from './framed.ts';
import { answerHello, checkInfo, type Standing } from './handshake.ts';
import { Inbound } from './inbound.ts';
import { REMOVED_MEMBERS_MAX, withLimits } from './limits.ts';
import { Member } from './member.ts';
import type { TransportMetrics } from './metrics.ts';
import { laneOf, type Sender, type SendResult } from './send-queue.ts';
import type {
  BulkMessage,
  MemberInfo,
  Peer,
  PeerMessage,
  PeerTransport,
  TransportHandlers,
  TransportOptions,
} from './types.ts';

/**
 * Listens, and connects to the peers.
 * @throws the network's error when the address can't be listened on; RangeError for a member info
 * beyond the limits; InvariantViolation for impossible limits, ids or a peer named twice.
 */
export async function openTransport(options: TransportOptions): Promise<PeerTransport> {
  const transport = new NetworkTransport(options);
  await transport.open([options.listen, ...(options.alsoListen ?? [])], options.peers);
  return transport;
}

class NetworkTransport implements PeerTransport {
  readonly #context: TransportContext;
  readonly #handlers: TransportHandlers;
  /** Ticks without a byte after which a connection is dead. */
  readonly #silentTicksMax: number;
  /** Peers, and guests (members without an address). Ascending ids. */
  #members = new Map<MemberId, Member>();
  /** Former peers, the longest removed first. Bounded. */
  readonly #removed = new Set<MemberId>();
  /** Accepted connections that are not open: greeting or rejected, the oldest first. Bounded. */
  readonly #pending = new Set<Inbound>();
  /** In the order of the addresses given; empty before `open`. */
  readonly #listeners: Listener[] = [];
  #tickTimer: Timer | null = null;
  #closed = false;
  #released: Promise<void> | null = null;
  /** Reports of unreachable members are on their way. */
  #reporting = false;

  constructor(options: TransportOptions) {
    const limits = withLimits(options.limits ?? {});
    assert(options.self.memberId !== 0n, 'member id is 0');
    checkInfo(options.self.info);
    this.#context = new TransportContext(options, limits);
    this.#handlers = options.handlers;
    this.#silentTicksMax = Math.ceil(limits.linkTimeoutMs / limits.keepAliveMs);
  }

  async open(listen: readonly Address[], peers: readonly Peer[]): Promise<void> {
    checkPeers(peers);
    try {
      for (const address of listen) await this.#listen(address);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.setPeers(peers);
    this.#armTick();
  }

  async #listen(address: Address): Promise<void> {
    const { network } = this.#context;
    this.#listeners.push(await network.listen(address, (caller) => this.#accept(caller)));
  }

  get address(): Address {
    const [listener] = this.#listeners;
    assert(listener !== undefined, 'transport is not open');
    return listener.address;
  }

  get metrics(): TransportMetrics {
    return this.#context.counters;
  }

  send(messages: readonly Message[]): void {
    if (this.#closed) return;
    const touched = new Set<Sender>();
    for (const message of messages) {
      const sender = this.#push(message);
      if (sender !== null) touched.add(sender);
    }
    for (const sender of touched) sender.flush();
  }

  sendBulk(message: BulkMessage): boolean {
    if (this.#closed) return false;
    const sender = this.#push(message);
    sender?.flush();
    return sender !== null;
  }

  /** Queues a message; returns who is to send it, or null when it was dropped. */
  #push(message: PeerMessage): Sender | null {
    const member = this.#members.get(message.to);
    const sender = member?.sender(laneOf(message)) ?? null;
    if (member === undefined || sender === null) {
      this.#context.counters.droppedUnknownReceiver++;
      return null;
    }
    const result = sender.push(message);
    if (result === 'queued') return sender;
    this.#dropped(member, message, result);
    return null;
  }

  peerInfo(memberId: MemberId): MemberInfo | null {
    return this.#members.get(memberId)?.info ?? null;
  }

  connectedPeers(): readonly MemberId[] {
    return [...this.#members.values()].filter((m) => m.connected).map((m) => m.memberId);
  }

  setPeers(peers: readonly Peer[]): void {
    if (this.#closed) return;
    checkPeers(peers);
    const others = peers.filter((peer) => peer.memberId !== this.#context.self.memberId);
    const kept = new Set(others.map((peer) => peer.memberId));
    for (const member of this.#members.values()) {
      if (!member.isGuest && !kept.has(member.memberId)) this.#remove(member);
    }
    for (const { memberId, address, alsoAt = [] } of others) {
      this.#removed.delete(memberId);
      this.#memberOf(memberId).callAt([address, ...alsoAt]);
    }
  }

  close(): Promise<void> {
    this.#released ??= this.#shutDown();
    return this.#released;
  }

  async #shutDown(): Promise<void> {
    this.#closed = true;
    this.#tickTimer?.cancel();
    for (const inbound of this.#pending) inbound.close(SHUT_DOWN);
    for (const member of this.#members.values()) member.close(SHUT_DOWN);
    this.#members.clear();
    for (const listener of this.#listeners) await listener.close();
    await this.#context.connections.drained();
  }

  #accept(connection: Connection): void {
    if (this.#closed) return connection.destroy();
    const inbound = new Inbound(this.#context, connection, {
      onHello: (hello) => {
        const standing = this.#standing(hello.from, connection);
        return answerHello(hello, this.#context.self, standing);
      },
      onOpen: (hello) => {
        this.#pending.delete(inbound);
        this.#memberOf(hello.from).admit(inbound, hello);
      },
      onMessage: (hello, message) => this.#receive(hello.from, message),
      onClose: () => this.#leave(inbound),
    });
    this.#pending.add(inbound);
    this.#evictPending();
    inbound.start();
  }

  /** Who has waited longest makes room: an honest caller needs one round trip only. */
  #evictPending(): void {
    if (this.#pending.size <= this.#context.limits.pendingConnectionsMax) return;
    for (const oldest of this.#pending) {
      this.#context.counters.pendingEvicted++;
      return oldest.close({ kind: 'evicted', text: 'too many connections wait for a handshake' });
    }
  }

  #standing(memberId: MemberId, connection: Connection): Standing {
    const known = this.#members.get(memberId);
    if (known !== undefined) return known.isProvedBy(connection) ? 'known' : 'unproven';
    if (this.#removed.has(memberId)) return 'removed';
    let guests = 0;
    for (const member of this.#members.values()) if (member.isGuest) guests++;
    return guests < this.#context.limits.guestsMax ? 'guest' : 'crowded';
  }

  /** The member with this id; a new one is a guest until it is given an address. */
  #memberOf(memberId: MemberId): Member {
    const known = this.#members.get(memberId);
    if (known !== undefined) return known;
    const member: Member = new Member(this.#context, memberId, {
      onMessage: (message) => this.#receive(memberId, message),
      onLost: () => this.#unreachable(member),
    });
    const ascending = [...this.#members, [memberId, member] as const];
    ascending.sort(([a], [b]) => (a < b ? -1 : 1));
    this.#members = new Map(ascending);
    return member;
  }

  #leave(inbound: Inbound): void {
    this.#pending.delete(inbound);
    if (inbound.hello === null) return;
    const member = this.#members.get(inbound.hello.from);
    if (member === undefined) return;
    member.release(inbound);
    if (member.isGuest && !member.present) this.#members.delete(member.memberId);
  }

  #remove(member: Member): void {
    this.#members.delete(member.memberId);
    member.close({ kind: 'removed', text: 'no longer a peer' });
    this.#removed.add(member.memberId);
    for (const longest of this.#removed) {
      if (this.#removed.size <= REMOVED_MEMBERS_MAX) return;
      this.#removed.delete(longest);
    }
  }

  #receive(from: MemberId, message: PeerMessage): void {
    if (message.from !== from || message.to !== this.#context.self.memberId) {
      this.#context.counters.droppedMisaddressed++;
      return;
    }
    if (!isBulk(message)) return this.#handlers.onMessage(message);
    if (message.type === 'snapshotChunk') {
      this.#context.counters.chunksReceived++;
      this.#context.counters.chunkBytesReceived += message.data.length;
    }
    this.#handlers.onBulk(message);
  }

  #dropped(member: Member, message: PeerMessage, result: Exclude<SendResult, 'queued'>): void {
    // Who sends a chunk is told by `sendBulk` itself: a full bulk queue says nothing of the peer.
    if (!isBulk(message)) this.#unreachable(member);
    if (result !== 'oversized') return;
    const peer = idText(member.memberId);
    this.#context.log.error(`oversized ${peer}`, 'message is larger than a frame may be', {
      peer,
      type: message.type,
      bytes: messageFrameBytes(message) - HEADER_BYTES,
      bytesMax: this.#context.frameBytesMax(laneOf(message)),
    });
  }

  /** Tells the owner soon, from a turn of its own: `send` never calls back. */
  #unreachable(member: Member): void {
    member.lossUnreported = true;
    if (this.#reporting || this.#closed) return;
    this.#reporting = true;
    this.#context.clock.defer(() => {
      this.#reporting = false;
      this.#report();
    });
  }

  /** Reports each loss once its member's last report is old enough; the tick does the rest. */
  #report(): void {
    const { clock, limits } = this.#context;
    for (const member of this.#members.values()) {
      if (this.#closed) return;
      if (member.takeReport(clock.nowMs(), limits.unreachableIntervalMs)) {
        this.#handlers.onUnreachable(member.memberId);
      }
    }
  }

  #armTick(): void {
    const { clock, limits } = this.#context;
    this.#tickTimer = clock.setTimer(limits.keepAliveMs, () => this.#tick());
  }

  #tick(): void {
    for (const inbound of this.#pending) inbound.tick(this.#silentTicksMax);
    for (const member of this.#members.values()) member.tick(this.#silentTicksMax);
    this.#report();
    if (!this.#closed) this.#armTick();
  }
}

const SHUT_DOWN: CloseReason = { kind: 'shutdown', text: 'shut down' };

function checkPeers(peers: readonly Peer[]): void {
  const ids = new Set<MemberId>();
  for (const { memberId } of peers) {
    assert(memberId !== 0n, 'peer with member id 0');
    assert(!ids.has(memberId), 'peer named twice', { memberId: idText(memberId) });
    ids.add(memberId);
  }
}

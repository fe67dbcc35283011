import type { Address, Connection } from '../io/index.ts';
import type { MemberId } from '../raft/index.ts';
import { idText, type TransportContext } from './context.ts';
import type { CloseReason } from './framed.ts';
import type { Hello, Lane } from './handshake.ts';
import type { Inbound } from './inbound.ts';
import { Outbound } from './outbound.ts';
import type { Sender } from './send-queue.ts';
import type { MemberInfo, PeerMessage } from './types.ts';

const LANES: readonly Lane[] = ['control', 'append', 'bulk'];

/** What a member tells the transport. */
export interface MemberEvents {
  onMessage(message: PeerMessage): void;
  /** A connection to it was lost, and messages perhaps with it. */
  onLost(): void;
}

/**
 * Another member: the connections to it and from it, one of each per lane. A peer has an address
 * and is called there; a guest has none, only calls, and is answered on its control connection.
 */
export class Member {
  readonly memberId: MemberId;
  /** What it last said about itself; null before. */
  info: MemberInfo | null = null;
  /** Messages to it were lost, and `onUnreachable` has not been called since. */
  lossUnreported = false;
  readonly #context: TransportContext;
  readonly #events: MemberEvents;
  /** Where it is called; empty for a guest. */
  #addresses: readonly Address[] = [];
  readonly #outbound = new Map<Lane, Outbound>();
  readonly #inbound = new Map<Lane, Inbound>();
  /** The process last met; null before. */
  #incarnation: bigint | null = null;
  /** When `onUnreachable` was last called for it; null before. */
  #reportedMs: number | null = null;

  constructor(context: TransportContext, memberId: MemberId, events: MemberEvents) {
    this.#context = context;
    this.memberId = memberId;
    this.#events = events;
  }

  get isGuest(): boolean {
    return this.#addresses.length === 0;
  }

  /** Whoever is at the other end may be this member: a peer has to prove that it is at its host. */
  isProvedBy(connection: Connection): boolean {
    return this.isGuest || this.#addresses.some(({ host }) => connection.provesHost(host));
  }

  /** It has a connection to us. */
  get present(): boolean {
    return this.#inbound.size > 0;
  }

  /** We have a connection to it that takes control messages. */
  get connected(): boolean {
    return this.#outbound.get('control')?.open === true;
  }

  /** Makes it a peer that is called at these addresses; does nothing when it already is. */
  callAt(addresses: readonly Address[]): void {
    if (sameAddresses(addresses, this.#addresses)) return;
    this.#addresses = addresses;
    for (const lane of LANES) {
      this.#outbound.get(lane)?.close({ kind: 'replaced', text: 'the peer has a new address' });
      const target = { memberId: this.memberId, addresses, lane };
      const outbound: Outbound = new Outbound(this.#context, target, {
        onWelcome: ({ incarnation, info }) => this.#meet(incarnation, info),
        onMessage: this.#events.onMessage,
        onLost: this.#events.onLost,
      });
      this.#outbound.set(lane, outbound);
      outbound.wake();
    }
  }

  /** Takes over a connection that it opened, in place of an older one. It is there: call it now. */
  admit(inbound: Inbound, hello: Hello): void {
    const older = this.#inbound.get(hello.lane);
    this.#inbound.set(hello.lane, inbound);
    this.#meet(hello.incarnation, hello.info);
    older?.close({ kind: 'replaced', text: 'the peer opened another' });
    for (const outbound of this.#outbound.values()) outbound.wake();
  }

  /** Forgets a connection that has closed. */
  release(inbound: Inbound): void {
    for (const [lane, held] of this.#inbound) if (held === inbound) this.#inbound.delete(lane);
  }

  /** Where messages to it go; null when there is no such way. */
  sender(lane: Lane): Sender | null {
    if (!this.isGuest) return this.#outbound.get(lane) ?? null;
    return lane === 'control' ? (this.#inbound.get('control') ?? null) : null;
  }

  tick(silentTicksMax: number): void {
    for (const outbound of this.#outbound.values()) outbound.tick(silentTicksMax);
    for (const inbound of this.#inbound.values()) inbound.tick(silentTicksMax);
  }

  /** True when a loss is to be reported now; it then counts as reported. */
  takeReport(nowMs: number, intervalMs: number): boolean {
    if (!this.lossUnreported) return false;
    if (this.#reportedMs !== null && nowMs - this.#reportedMs < intervalMs) return false;
    this.#reportedMs = nowMs;
    this.lossUnreported = false;
    return true;
  }

  close(reason: CloseReason): void {
    for (const outbound of this.#outbound.values()) outbound.close(reason);
    for (const inbound of this.#inbound.values()) inbound.close(reason);
  }

  /** It presented itself. Connections bound to an earlier process of it lead nowhere now. */
  #meet(incarnation: bigint, info: MemberInfo): void {
    this.info = info;
    if (incarnation === this.#incarnation) return;
    const restarted = this.#incarnation !== null;
    this.#incarnation = incarnation;
    if (restarted) this.#context.log.info('peer was restarted', { peer: idText(this.memberId) });
    for (const outbound of this.#outbound.values()) {
      if (outbound.open && outbound.incarnation !== incarnation) outbound.reopen();
    }
    for (const inbound of this.#inbound.values()) {
      if (inbound.hello?.incarnation === incarnation) continue;
      inbound.close({ kind: 'replaced', text: 'the peer was restarted' });
    }
  }
}

function sameAddresses(some: readonly Address[], others: readonly Address[]): boolean {
  if (some.length !== others.length) return false;
  return some.every(({ host, port }, i) => host === others[i]?.host && port === others[i]?.port);
}

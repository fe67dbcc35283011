import type { Address, Clock, Log, Network, Random } from '../io/index.ts';
import type { MemberId, Message } from '../raft/index.ts';
import type { TransportLimits } from './limits.ts';
import type { TransportMetrics } from './metrics.ts';

/** Another member as the transport sees it. */
export interface Peer {
  readonly memberId: MemberId;
  /** Its peer listener. */
  readonly address: Address;
}

/** What a member tells the others about itself when a connection opens; plain text, bounded. */
export interface MemberInfo {
  readonly name: string;
  /** URLs under which clients reach it. */
  readonly clientUrls: readonly string[];
}

/** Who this process is, towards its peers. */
export interface TransportSelf {
  readonly clusterId: bigint;
  readonly memberId: MemberId;
  /** 64 random bits, new with every start of the process. */
  readonly incarnation: bigint;
  readonly info: MemberInfo;
}

/**
 * Carries Raft's messages between members: at most once, in no promised order, never blocking the
 * sender.
 */
export interface Transport {
  /** Where it really listens. */
  readonly address: Address;
  /** Sends or drops; a full queue, a dead link or an unknown receiver drops (Raft sends again). */
  send(messages: readonly Message[]): void;
  /** What the peer last told about itself; null before the first contact. */
  peerInfo(memberId: MemberId): MemberInfo | null;
  /** Peers with an established outgoing control connection, ascending. */
  connectedPeers(): readonly MemberId[];
  /**
   * Replaces the set of peers: new ones are connected; missing ones are cut, and told that they
   * were removed when they call again; one with a new address is called there. This member's own
   * entry is skipped. Call it when a configuration is applied: who is on the way out must be heard.
   */
  setPeers(peers: readonly Peer[]): void;
  /** Cuts everything and stops listening. Safe to call twice. */
  close(): Promise<void>;
}

/** The transport over a `Network`. */
export interface PeerTransport extends Transport {
  /** Live counters. */
  readonly metrics: TransportMetrics;
}

/** What the transport reports; set once when it is opened. Never called from inside `send`. */
export interface TransportHandlers {
  onMessage(message: Message): void;
  /** Messages to this peer were lost (dead link, full queue); at most once a second and peer. */
  onUnreachable(memberId: MemberId): void;
}

/** What a transport is made of. */
export interface TransportOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Where to listen for peers; port 0 lets the system pick. */
  readonly listen: Address;
  readonly self: TransportSelf;
  readonly peers: readonly Peer[];
  readonly limits?: Partial<TransportLimits>;
  readonly handlers: TransportHandlers;
}

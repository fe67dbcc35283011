import type { Address } from '../io/index.ts';
import type { MemberId, Message } from '../raft/index.ts';

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

/** Carries Raft's messages between members: at most once, in no promised order, never blocking the sender. */
export interface Transport {
  /** Where it really listens. */
  readonly address: Address;
  /** Sends or drops; a full queue, a dead link or an unknown receiver drops (Raft sends again). */
  send(messages: readonly Message[]): void;
  /** What the peer last told about itself; null before the first contact. */
  peerInfo(memberId: MemberId): MemberInfo | null;
  /** Peers with an established outgoing connection. */
  connectedPeers(): readonly MemberId[];
  /** Replaces the set of peers: new ones are connected, missing ones cut. */
  setPeers(peers: readonly Peer[]): void;
  /** Cuts everything and stops listening. Safe to call twice. */
  close(): Promise<void>;
}

/** What the transport reports; set once when it is opened. */
export interface TransportHandlers {
  onMessage(message: Message): void;
  /** A message to this peer could not be delivered (dead link or full queue); at most once a second and peer. */
  onUnreachable(memberId: MemberId): void;
}

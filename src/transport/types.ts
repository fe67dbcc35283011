import type { Address, Clock, Log, Network, Random } from '../io/index.ts';
import type { MemberId, Message, SnapshotMeta } from '../raft/index.ts';
import type { TransportLimits } from './limits.ts';
import type { TransportMetrics } from './metrics.ts';

/** Another member as the transport sees it. */
export interface Peer {
  readonly memberId: MemberId;
  /** Its peer listener. */
  readonly address: Address;
  /** Further addresses of it, tried in turn while it does not answer. Default none. */
  readonly alsoAt?: readonly Address[];
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

/** A piece of a snapshot on its way from the leader to a member whose log is too far behind. */
export interface SnapshotChunk {
  readonly type: 'snapshotChunk';
  readonly from: MemberId;
  readonly to: MemberId;
  /** Tells one transfer of the sender from its others; chosen by the sender. */
  readonly transferId: number;
  /** The sender's term; never below the snapshot's. */
  readonly term: number;
  /** What the snapshot stands for; the same in every chunk of a transfer. */
  readonly position: SnapshotMeta;
  /** Position of the chunk in its transfer; the first has 0. */
  readonly sequence: number;
  /** No chunk follows. */
  readonly last: boolean;
  /** At most `WIRE_LIMITS.chunkBytesMax`; may be empty. It must not change after it was sent. */
  readonly data: Uint8Array;
}

/** What the receiver of a snapshot has to say about a transfer. */
export interface SnapshotChunkReply {
  readonly type: 'snapshotChunkReply';
  readonly from: MemberId;
  readonly to: MemberId;
  /** The transfer that is answered. */
  readonly transferId: number;
  /** The chunk it waits for: all before it were taken. */
  readonly nextSequence: number;
  /** `installed` and `refused` end the transfer. */
  readonly status: 'more' | 'installed' | 'refused';
}

/** What belongs to the transfer of a snapshot. */
export type SnapshotMessage = SnapshotChunk | SnapshotChunkReply;

/** How a member's state looks at some place of the log, for the others to compare with theirs. */
export interface StateHash {
  readonly type: 'stateHash';
  readonly from: MemberId;
  readonly to: MemberId;
  /** The last entry in the state. */
  readonly index: number;
  /** 16 bytes. */
  readonly hash: Uint8Array;
}

/** Commands that a member got from clients and passes on to whom it takes for the leader. */
export interface Forward {
  readonly type: 'forward';
  readonly from: MemberId;
  readonly to: MemberId;
  /** Of the first command; the next one's is one more, and so on. Chosen by the sender. */
  readonly firstId: number;
  /** Encoded; at most `WIRE_LIMITS.forwardsMax`. */
  readonly commands: readonly Uint8Array[];
}

/** What became of commands that were passed on. */
export interface ForwardReply {
  readonly type: 'forwardReply';
  readonly from: MemberId;
  readonly to: MemberId;
  /** At most `WIRE_LIMITS.forwardsMax`. */
  readonly answers: readonly ForwardAnswer[];
}

export interface ForwardAnswer {
  readonly id: number;
  /** Encoded; null: whoever was asked does not lead, and nothing happened. */
  readonly answer: Uint8Array | null;
}

/** What Raft's core never sees. */
export type BulkMessage = SnapshotMessage | StateHash | Forward | ForwardReply;

/** Everything that members send each other. */
export type PeerMessage = Message | BulkMessage;

/**
 * Carries Raft's messages and snapshots between members: at most once, in no promised order, never
 * blocking the sender.
 */
export interface Transport {
  /** Where it really listens; the first place when there are several. */
  readonly address: Address;
  /** Sends or drops; a full queue, a dead link or an unknown receiver drops (Raft sends again). */
  send(messages: readonly Message[]): void;
  /**
   * Sends a message of a snapshot's transfer. Chunks have a connection of their own, which is
   * opened when the first one comes; replies travel with the control messages.
   * False: dropped (no link, full queue, too large, unknown receiver). True is no promise of
   * delivery: whoever sends a chunk repeats it when the reply stays away.
   */
  sendBulk(message: BulkMessage): boolean;
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
  /**
   * What passes by Raft's core. A chunk's data are memory that the next message overwrites; the
   * rest is the owner's to keep.
   */
  onBulk(message: BulkMessage): void;
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
  /** Where to listen as well. Default nowhere. */
  readonly alsoListen?: readonly Address[];
  readonly self: TransportSelf;
  readonly peers: readonly Peer[];
  readonly limits?: Partial<TransportLimits>;
  readonly handlers: TransportHandlers;
}

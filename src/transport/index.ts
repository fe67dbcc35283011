/**
 * Carries Raft's messages and snapshots between members: checksummed frames over TCP, one outgoing
 * connection per peer and lane, so that a heartbeat never waits behind entries, nor entries behind
 * a snapshot (docs/PEER-PROTOCOL.md).
 *
 *   send ─► member ─► outbound (dial, handshake, backoff) ─► send queue ─► frame ─► connection
 *   connection ─► framed (cut, check, keep alive) ─► inbound (handshake) ─► onMessage, onBulk
 *
 * At most once: whatever can't be sent now is dropped and reported; Raft, and who sends a snapshot,
 * send again.
 */
export { decodeBulkMessage, encodeBulkMessage } from './bulk-codec.ts';
export { TRANSPORT_LIMITS, type TransportLimits, WIRE_LIMITS } from './limits.ts';
export { decodeMessage, encodeMessage, messageBytes } from './message-codec.ts';
export type { TransportMetrics } from './metrics.ts';
export { openTransport } from './transport.ts';
export type {
  BulkMessage,
  Forward,
  ForwardAnswer,
  ForwardReply,
  MemberInfo,
  Peer,
  PeerMessage,
  PeerTransport,
  SnapshotChunk,
  SnapshotChunkReply,
  SnapshotMessage,
  StateHash,
  Transport,
  TransportHandlers,
  TransportOptions,
  TransportSelf,
} from './types.ts';

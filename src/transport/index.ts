/**
 * Carries Raft's messages between members: checksummed frames over TCP, one outgoing connection per
 * peer and lane, so that a heartbeat never waits behind entries (docs/PEER-PROTOCOL.md).
 *
 *   send ─► member ─► outbound (dial, handshake, backoff) ─► send queue ─► frame ─► connection
 *   connection ─► framed (cut, check, keep alive) ─► inbound (handshake) ─► onMessage
 *
 * At most once: whatever can't be sent now is dropped and reported, for Raft sends again.
 */
export { TRANSPORT_LIMITS, type TransportLimits } from './limits.ts';
export { decodeMessage, encodeMessage, messageBytes } from './message-codec.ts';
export type { TransportMetrics } from './metrics.ts';
export { openTransport } from './transport.ts';
export type {
  MemberInfo,
  Peer,
  PeerTransport,
  Transport,
  TransportHandlers,
  TransportOptions,
  TransportSelf,
} from './types.ts';

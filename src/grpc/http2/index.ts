/**
 * The server's side of HTTP/2 (RFC 9113) over any stream of bytes: frames in both directions,
 * streams, settings, flow control, GOAWAY and PING, and bounds on all that a client can make us do
 * or keep. Knows no gRPC: requests go up as streams of bytes.
 *
 *   wire ─▶ frame-reader ─▶ connection ─▶ stream ─▶ handlers
 *   wire ◀─ outbox ◀─ sender ◀──────────── stream ◀─ respond, write, end
 */
export { type ConnectionLimits, Http2Connection } from './connection.ts';
export type { RequestHead } from './request-head.ts';
export type { Http2Stream, StreamHandlers } from './stream.ts';
export { socketWire, type Wire } from './wire.ts';

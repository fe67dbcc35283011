/** Bounds of the gRPC server; each may be given another value when the server is made. */
export const GRPC_LIMITS = {
  /** Bytes of one request message. Looked at before anything is allocated for it. */
  messageBytesMax: 16 * 1024 * 1024,
  /** Calls in progress on one connection; more are refused by HTTP/2 itself. */
  streamsMax: 100,
  /** Bytes of one request's headers, uncompressed; 64 KiB until the client knows our settings. */
  headerBytesMax: 16 * 1024,
  /** Headers of one request. */
  headerPairsMax: 64,
  /** Bytes that a client may send on a stream, and on a connection, before we have read them. */
  streamWindowBytes: 1024 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  /** Answer bytes waiting for a slow reader; beyond, its stream is reset. */
  streamBufferedBytesMax: 32 * 1024 * 1024,
  /** MiB that node:http2 may hold for one connection besides messages. */
  sessionMemoryMiBMax: 16,
  /** Pings, settings and resets of a client within floodWindowMs; beyond, it is cut off. */
  pingsMax: 100,
  settingsMax: 20,
  resetsMax: 200,
  floodWindowMs: 5_000,
  /** A connection must make its first call within this time … */
  firstCallMs: 10_000,
  /** … and is closed when it made none for this long and none is open. */
  idleMs: 300_000,
  /** A connection that leaves a ping of ours unanswered for this long is cut. */
  keepaliveMs: 30_000,
  /** How long a client may go on sending after its call was answered. */
  lingerMs: 1_000,
  /** How long `close` lets open calls finish. */
  closeMs: 2_000,
} as const;

export type GrpcLimits = { readonly [Name in keyof typeof GRPC_LIMITS]: number };

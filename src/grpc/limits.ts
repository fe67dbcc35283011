/** Bounds of the gRPC server; each may be given another value when the server is made. */
export const GRPC_LIMITS = {
  /** Bytes of one request message, inflated. Looked at before anything is allocated for it. */
  messageBytesMax: 16 * 1024 * 1024,
  /** Calls in progress on one connection; more are refused by HTTP/2 itself. */
  streamsMax: 100,
  /** Bytes of one request's headers, uncompressed, as HPACK counts them. */
  headerBytesMax: 16 * 1024,
  /** Headers of one request. */
  headerPairsMax: 64,
  /** Bytes of one request's headers as they come, compressed; beyond, the connection is cut. */
  headerBlockBytesMax: 32 * 1024,
  /** CONTINUATION frames behind one HEADERS (CVE-2024-27316). */
  continuationsMax: 8,
  /** Bytes that a client may send on a stream, and on a connection, before we have read them. */
  streamWindowBytes: 1024 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  /** Bytes of all requests of a connection that were received and not handed over yet. */
  connectionHeldBytesMax: 64 * 1024 * 1024,
  /** Answer bytes waiting for a slow reader; beyond, its stream is reset. */
  streamBufferedBytesMax: 32 * 1024 * 1024,
  /** The same for all streams of a connection. */
  connectionBufferedBytesMax: 64 * 1024 * 1024,
  /** Bytes in the socket at which messages wait in their streams … */
  wireBytesHigh: 1024 * 1024,
  /** … and at which the client is cut off: it makes us answer and does not read. */
  wireBytesMax: 4 * 1024 * 1024,
  /** Frames of a client that only make work, within floodWindowMs; beyond, it is cut off. */
  pingsMax: 100,
  settingsMax: 20,
  /** Streams reset by the client, and streams that it made us reset. */
  resetsMax: 200,
  /** Window updates beyond two for each DATA frame that we sent. */
  windowUpdatesMax: 1_000,
  emptyDataMax: 100,
  /** PRIORITY and frames of unknown type. */
  ignoredMax: 100,
  floodWindowMs: 5_000,
  /** Entries of one SETTINGS frame. */
  settingsEntriesMax: 32,
  /** A connection must make its first call within this time … */
  firstCallMs: 10_000,
  /** … and is closed when it made none for this long and none is open. */
  idleMs: 300_000,
  /** A connection that leaves a ping of ours unanswered for this long is cut. */
  keepaliveMs: 30_000,
  /** How long a client may go on sending after its call was answered, or after GOAWAY. */
  lingerMs: 1_000,
  /** How long `close` lets open calls finish. */
  closeMs: 2_000,
  /** Compressed messages that are inflated at the same time: half of Node's threads. */
  inflationsMax: 2,
} as const;

export type GrpcLimits = { readonly [Name in keyof typeof GRPC_LIMITS]: number };

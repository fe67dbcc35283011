import { API_LIMITS } from '../api/index.ts';

/** Bounds of the client port and of the Execute streams on it. */
export const DOOR_LIMITS = {
  /** Open connections of one listener; more are refused. */
  connectionsMax: 10_000,
  /** Of those, in a TLS handshake; the oldest makes room. */
  handshakesMax: 1_000,
  /** A connection must show its protocol within this time. */
  firstBytesMs: 10_000,
  /** A request over HTTP/1.1 must be complete, or its answer have begun, within this time. */
  httpRequestMs: 30_000,
  /** The next request on a connection of HTTP/1.1 must have come within this time. */
  httpIdleMs: 60_000,
  /** Bytes of one HTTP/1.1 request's headers. */
  httpHeaderBytesMax: 16 * 1024,
  /** At most one log line about bad connections in this time. */
  logIntervalMs: 10_000,
} as const;

export type DoorLimits = { readonly [Name in keyof typeof DOOR_LIMITS]: number };

export const EXECUTE_LIMITS = {
  /** Requests of one stream that wait for their answer; more are OVERLOADED. */
  inFlightRequestsMax: 16_384,
  /** Bytes of those requests. */
  inFlightBytesMax: 64 * 1024 * 1024,
  /** Answer bytes that the client has not read; beyond, its requests are OVERLOADED. */
  unreadBytesMax: 8 * 1024 * 1024,
  /** Bytes of one encoded command. */
  commandBytesMax: API_LIMITS.requestBytesMax + API_LIMITS.requestOverheadBytesMax,
} as const;

export type ExecuteLimits = { readonly [Name in keyof typeof EXECUTE_LIMITS]: number };

/** Queries that wait for changes of the history. */
export const FOLLOW_LIMITS = {
  /** At one member; more are OVERLOADED. */
  followersMax: 100_000,
} as const;

export type FollowLimits = { readonly [Name in keyof typeof FOLLOW_LIMITS]: number };

/** Snapshots that operators fetch: each holds back the space of what is replaced meanwhile. */
export const SNAPSHOT_LIMITS = {
  /** Streams of one member at a time. */
  streamsMax: 2,
  /** Bytes that wait for the client to read before another chunk is made. */
  bufferedBytesMax: 1024 * 1024,
  /** A client that has not read those within this time loses its stream. */
  stallMs: 30_000,
} as const;

export type SnapshotLimits = { readonly [Name in keyof typeof SNAPSHOT_LIMITS]: number };

/** Commands that came to a member that does not lead. */
export const FORWARD_LIMITS = {
  /** Commands that wait for their answer or for a leader; more are OVERLOADED. */
  pendingMax: 100_000,
  /** Bytes of those commands. */
  pendingBytesMax: 64 * 1024 * 1024,
  /** Bytes of one message to another member; a single command may exceed it. */
  messageBytesMax: 2 * 1024 * 1024,
  /** Commands, or answers, in one message. */
  messageItemsMax: 10_000,
  /** What found no leader is tried again after this long. */
  retryMs: 50,
} as const;

export type ForwardLimits = { readonly [Name in keyof typeof FORWARD_LIMITS]: number };

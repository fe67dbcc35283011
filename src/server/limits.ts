import { API_LIMITS } from '../api/index.ts';

/** Bounds of the client port and of the Execute streams on it. */
export const DOOR_LIMITS = {
  /** Open connections of one listener; more are refused. */
  connectionsMax: 10_000,
  /** A connection must show its protocol within this time. */
  firstBytesMs: 10_000,
  /** A request over HTTP/1.1 must be complete and answered within this time. */
  httpRequestMs: 30_000,
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

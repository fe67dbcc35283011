import type { MemberStatus } from '../api/index.ts';
import type { ServerOptions } from './options.ts';

/** A running member. */
export interface Server {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** Where clients really are served, `http://host:port` (the picked ports). */
  readonly clientUrls: readonly string[];
  /** Where peers really are served. */
  readonly peerUrls: readonly string[];
  status(): MemberStatus;
  /** Resolves when a leader is known for the first time. */
  readonly ready: Promise<void>;
  /** Settles when the member has stopped: null after `close`, otherwise what ended it (a failed disk, a bug). */
  readonly stopped: Promise<Error | null>;
  /** Answers what is parked, closes doors, log and links. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts a member; resolves when it listens.
 * @throws ConfigError, WalError, or an Error whose `code` is EADDRINUSE etc., each with one clear line.
 */
export declare function startServer(options?: ServerOptions): Promise<Server>;

import type { Clock, Timer } from './clock.ts';
import type { Log } from './log.ts';
import { RepeatGate } from './repeat-gate.ts';
import {
  readCredentials,
  type TlsCredentials,
  TlsError,
  type TlsFiles,
} from './tls-credentials.ts';
import { TLS_LIMITS } from './tls-limits.ts';
import { TLS_PROTOCOL, type TlsProtocol } from './tls-protocol.ts';

/**
 * The credentials in force, read again whenever the files change. Files that change into something
 * unusable change nothing: a warning is logged until they are put right.
 */
export interface TlsMaterial {
  readonly current: TlsCredentials;
  /** Calls `listener` when others have come into force; returns how to stop that. */
  onChange(listener: () => void): () => void;
  /** Looks at the files at once; true when others have come into force. Never rejects. */
  reload(): Promise<boolean>;
  /** Stops looking at the files. Safe to call twice. */
  close(): void;
}

export interface TlsMaterialOptions {
  readonly files: TlsFiles;
  /** Default TLS_PROTOCOL. */
  readonly protocol?: TlsProtocol;
  readonly clock: Clock;
  readonly log: Log;
}

/** @throws TlsError for files that are missing, broken or do not fit together. */
export async function openTlsMaterial(options: TlsMaterialOptions): Promise<TlsMaterial> {
  const protocol = options.protocol ?? TLS_PROTOCOL;
  const material = new WatchedMaterial(options, await readCredentials(options.files, protocol));
  material.watch();
  return material;
}

class WatchedMaterial implements TlsMaterial {
  current: TlsCredentials;
  readonly #files: TlsFiles;
  readonly #protocol: TlsProtocol;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #complaints: RepeatGate;
  readonly #listeners = new Set<() => void>();
  #timer: Timer | null = null;
  /** When the end of a certificate was last warned of; null before. */
  #warnedMs: number | null = null;
  #closed = false;

  constructor(options: TlsMaterialOptions, credentials: TlsCredentials) {
    this.current = credentials;
    this.#files = options.files;
    this.#protocol = options.protocol ?? TLS_PROTOCOL;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#complaints = new RepeatGate(options.log, options.clock);
  }

  /** Warns if there is reason to, and looks at the files again after a while. */
  watch(): void {
    if (this.#closed) return;
    this.#warnOfEnd();
    this.#timer = this.#clock.setTimer(TLS_LIMITS.reloadIntervalMs, () => {
      void this.reload().then(() => this.watch());
    });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async reload(): Promise<boolean> {
    try {
      const read = await readCredentials(this.#files, this.#protocol);
      if (this.#closed || read.fingerprint === this.current.fingerprint) return false;
      this.current = read;
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      this.#complaints.warn(error.message, 'certificates on disk cannot be used', {
        problem: error.message,
        advice: 'those in force stay in force until the files are put right',
      });
      return false;
    }
    this.#log.info('new certificates are in force', this.#end());
    for (const listener of this.#listeners) listener();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #warnOfEnd(): void {
    const { expiryWarningMs, expiryWarningIntervalMs } = TLS_LIMITS;
    const leftMs = this.current.firstEnd.expiresMs - this.#clock.wallMs();
    if (leftMs > expiryWarningMs) return;
    const nowMs = this.#clock.nowMs();
    if (this.#warnedMs !== null && nowMs - this.#warnedMs < expiryWarningIntervalMs) return;
    this.#warnedMs = nowMs;
    if (leftMs > 0) this.#log.warn('certificate expires soon', this.#end());
    else this.#log.error('certificate has expired', this.#end());
  }

  #end(): { file: string; subject: string; expires: string } {
    const { file, subject, expiresMs } = this.current.firstEnd;
    return { file, subject, expires: new Date(expiresMs).toISOString() };
  }
}

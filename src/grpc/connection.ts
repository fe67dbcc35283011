import { constants, type Http2Session } from 'node:http2';
import type { Clock, Log, Timer } from '../io/index.ts';
import type { ServerCall } from './call.ts';
import type { GrpcLimits } from './limits.ts';

/** What a connection needs of its server. */
export interface ConnectionContext {
  readonly limits: GrpcLimits;
  readonly clock: Clock;
  readonly log: Log;
}

/** Control frames of the present window. */
interface FrameCounts {
  sinceMs: number;
  pings: number;
  settings: number;
  resets: number;
}

/**
 * One HTTP/2 connection: knows its calls, closes it when idle, and cuts it off when the client
 * sends nothing but work (CVE-2019-9512, CVE-2019-9515, CVE-2023-44487).
 */
export class GrpcConnection {
  readonly #session: Http2Session;
  readonly #context: ConnectionContext;
  readonly #calls = new Set<ServerCall>();
  #counts: FrameCounts;
  #idle: Timer;
  #keepalive: Timer;
  /** Our last ping was answered. */
  #answered = true;

  /** @param onClosed called once, when the connection is gone. */
  constructor(session: Http2Session, context: ConnectionContext, onClosed: () => void) {
    this.#session = session;
    this.#context = context;
    this.#counts = { sinceMs: context.clock.nowMs(), pings: 0, settings: 0, resets: 0 };
    this.#idle = this.#startIdle(context.limits.firstCallMs);
    this.#keepalive = this.#startKeepalive();
    // A protocol error destroys the session by itself; 'close' follows.
    session.on('error', (error) => context.log.debug(`grpc connection: ${error.message}`));
    session.on('ping', () => this.#count('pings', context.limits.pingsMax));
    session.on('remoteSettings', () => this.#count('settings', context.limits.settingsMax));
    session.on('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(context.limits.connectionWindowBytes);
    });
    session.on('close', () => {
      this.#idle.cancel();
      this.#keepalive.cancel();
      onClosed();
    });
  }

  /** A call has begun. */
  add(call: ServerCall): void {
    this.#idle.cancel();
    this.#calls.add(call);
  }

  /** A call is over. `reset`: the client threw it away. */
  remove(call: ServerCall, reset: boolean): void {
    this.#calls.delete(call);
    if (reset) this.#count('resets', this.#context.limits.resetsMax);
    if (this.#calls.size === 0) {
      this.#idle.cancel();
      this.#idle = this.#startIdle(this.#context.limits.idleMs);
    }
  }

  /** Bytes move on this connection: its pings are measurements, not a flood. */
  noteProgress(): void {
    this.#counts.pings = 0;
  }

  /** GOAWAY: no new calls; goes when the open ones are over. */
  stop(): void {
    for (const call of this.#calls) call.stop();
    if (!this.#session.closed) this.#session.close();
  }

  /** Cuts the connection at once. */
  destroy(): void {
    this.#session.destroy();
  }

  #startIdle(delayMs: number): Timer {
    return this.#context.clock.setTimer(delayMs, () => {
      if (!this.#session.closed) this.#session.close();
    });
  }

  /**
   * Pings, and cuts a connection that did not answer the last one: its peer is gone without a
   * word, or node:http2 has stopped to read after a violation and only waits to be destroyed.
   */
  #startKeepalive(): Timer {
    const { clock, limits } = this.#context;
    return clock.setTimer(limits.keepaliveMs, () => {
      if (this.#session.destroyed) return;
      if (!this.#answered) {
        this.#session.destroy();
        return;
      }
      this.#answered = false;
      this.#session.ping((error) => {
        this.#answered = error === null;
      });
      this.#keepalive = this.#startKeepalive();
    });
  }

  #count(what: 'pings' | 'settings' | 'resets', max: number): void {
    const { clock, limits, log } = this.#context;
    const nowMs = clock.nowMs();
    if (nowMs - this.#counts.sinceMs > limits.floodWindowMs) {
      this.#counts = { sinceMs: nowMs, pings: 0, settings: 0, resets: 0 };
    }
    if (++this.#counts[what] <= max || this.#session.destroyed) return;
    log.warn(`connection cut off: flood of ${what}`, {
      remote: this.#session.socket?.remoteAddress,
    });
    this.#session.destroy(new Error(`flood of ${what}`), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

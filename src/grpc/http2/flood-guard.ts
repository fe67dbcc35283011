import type { Clock } from '../../io/index.ts';
import { Http2Error } from './protocol.ts';

/** Frames within floodWindowMs that a client may make us handle for nothing. */
export interface FloodLimits {
  readonly pingsMax: number;
  readonly settingsMax: number;
  readonly resetsMax: number;
  readonly windowUpdatesMax: number;
  readonly emptyDataMax: number;
  readonly ignoredMax: number;
  readonly floodWindowMs: number;
}

const LIMIT_NAMES = {
  pings: 'pingsMax',
  settings: 'settingsMax',
  resets: 'resetsMax',
  windowUpdates: 'windowUpdatesMax',
  emptyData: 'emptyDataMax',
  ignored: 'ignoredMax',
} as const;

/** What is counted. */
export type FloodKind = keyof typeof LIMIT_NAMES;

/** Window updates that one DATA frame of ours earns: one for the stream, one for the connection. */
const WINDOW_UPDATES_PER_DATA = 2;

/**
 * Counts the frames of one connection that cost us work and the client nothing: floods of PING,
 * SETTINGS, empty DATA (CVE-2019-9512, -9515, -9518), of resets, and of rule breaches that make us
 * reset (CVE-2023-44487, CVE-2025-8671).
 */
export class FloodGuard {
  readonly #limits: FloodLimits;
  readonly #clock: Clock;
  #counts: Record<FloodKind, number> = noCounts();
  #sinceMs: number;
  /** DATA frames sent since the counts began. */
  #dataSent = 0;

  constructor(limits: FloodLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
  }

  /** @throws Http2Error ENHANCE_YOUR_CALM when there are too many of this kind. */
  count(kind: FloodKind): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sinceMs > this.#limits.floodWindowMs) {
      this.#sinceMs = nowMs;
      this.#counts = noCounts();
      this.#dataSent = 0;
    }
    const count = ++this.#counts[kind];
    const earned = kind === 'windowUpdates' ? this.#dataSent * WINDOW_UPDATES_PER_DATA : 0;
    if (count <= this.#limits[LIMIT_NAMES[kind]] + earned) return;
    throw new Http2Error('ENHANCE_YOUR_CALM', `flood of ${kind}`);
  }

  /** Message bytes came: pings between them are measurements (of grpc-go's windows), no flood. */
  dataReceived(): void {
    this.#counts.pings = 0;
  }

  /** Message bytes left in that many frames. */
  dataSent(frames: number): void {
    this.#counts.pings = 0;
    this.#dataSent += frames;
  }
}

function noCounts(): Record<FloodKind, number> {
  return { pings: 0, settings: 0, resets: 0, windowUpdates: 0, emptyData: 0, ignored: 0 };
}

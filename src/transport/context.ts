import type { Clock, Log, LogFields, Network, Random } from '../io/index.ts';
import { type Deferred, deferred } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { FrameWriter } from './frame.ts';
import type { Lane } from './handshake.ts';
import type { TransportLimits } from './limits.ts';
import { newCounters, type TransportCounters } from './metrics.ts';
import type { TransportOptions, TransportSelf } from './types.ts';

/** What all connections of one transport share. */
export class TransportContext {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly self: TransportSelf;
  readonly limits: TransportLimits;
  readonly counters: TransportCounters = newCounters();
  readonly writer = new FrameWriter();
  readonly log: RepeatGate;
  readonly connections = new OpenConnections();

  constructor(options: TransportOptions, limits: TransportLimits) {
    this.network = options.network;
    this.clock = options.clock;
    this.random = options.random;
    this.self = options.self;
    this.limits = limits;
    this.log = new RepeatGate(options.log, options.clock);
  }

  /** Largest payload on a lane. */
  frameBytesMax(lane: Lane): number {
    const { controlFrameBytesMax, appendFrameBytesMax } = this.limits;
    return lane === 'control' ? controlFrameBytesMax : appendFrameBytesMax;
  }
}

/** Counts connections that the network has not let go of: what `close` waits for. */
export class OpenConnections {
  #count = 0;
  #drained: Deferred<void> | null = null;

  add(): void {
    this.#count++;
  }

  release(): void {
    this.#count--;
    if (this.#count === 0) this.#drained?.resolve();
  }

  /** Resolves when the count is 0. */
  drained(): Promise<void> {
    this.#drained ??= deferred<void>();
    if (this.#count === 0) this.#drained.resolve();
    return this.#drained.promise;
  }
}

/** A member or cluster id as people see it. */
export function idText(id: MemberId | bigint): string {
  return id.toString(16);
}

const REPEAT_AFTER_MS = 60_000;
const KEYS_MAX = 256;

/** Log lines that peers can provoke: the same one at most once a minute. */
export class RepeatGate {
  readonly #log: Log;
  readonly #clock: Clock;
  /** When a line with this key was last written. Bounded: all are forgotten when it is full. */
  readonly #lastMs = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  info(message: string, fields: LogFields): void {
    this.#log.info(message, fields);
  }

  debug(message: string, fields: LogFields): void {
    this.#log.debug(message, fields);
  }

  /** Something an operator may have to look at; `key` names the trouble and who has it. */
  warn(key: string, message: string, fields: LogFields): void {
    if (this.#passes(key)) this.#log.warn(message, fields);
  }

  /** Something that will not heal by itself. */
  error(key: string, message: string, fields: LogFields): void {
    if (this.#passes(key)) this.#log.error(message, fields);
  }

  /** The trouble is over: when it comes back it is written again. */
  forget(key: string): void {
    this.#lastMs.delete(key);
  }

  #passes(key: string): boolean {
    const nowMs = this.#clock.nowMs();
    const lastMs = this.#lastMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < REPEAT_AFTER_MS) return false;
    if (this.#lastMs.size >= KEYS_MAX) this.#lastMs.clear();
    this.#lastMs.set(key, nowMs);
    return true;
  }
}

import { type Clock, type Network, type Random, RepeatGate } from '../io/index.ts';
import { type Deferred, deferred, unreachable } from '../lib/index.ts';
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
    return this.laneLimits(lane).frameBytesMax;
  }

  laneLimits(lane: Lane): LaneLimits {
    const { limits } = this;
    switch (lane) {
      case 'control':
        return {
          frameBytesMax: limits.controlFrameBytesMax,
          queueMessagesMax: limits.controlQueueMessagesMax,
          queueBytesMax: limits.controlQueueBytesMax,
        };
      case 'append':
        return {
          frameBytesMax: limits.appendFrameBytesMax,
          queueMessagesMax: limits.appendQueueMessagesMax,
          queueBytesMax: limits.appendQueueBytesMax,
        };
      case 'bulk':
        return {
          frameBytesMax: limits.bulkFrameBytesMax,
          queueMessagesMax: limits.bulkQueueMessagesMax,
          queueBytesMax: limits.bulkQueueBytesMax,
        };
      default:
        unreachable(lane);
    }
  }
}

/** The limits of one lane. */
export interface LaneLimits {
  readonly frameBytesMax: number;
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
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

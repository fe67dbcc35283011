import { KvError } from '../../api/index.ts';
import type { Random } from '../../io/index.ts';
import { Prng } from '../../lib/index.ts';
import { type Clerk, createClerk } from '../clerk.ts';
import type { ClerkOptions } from '../options.ts';
import { FakeClock } from './fake-clock.ts';
import { type Backend, FakeCluster } from './fake-cluster.ts';

/** A clock, a cluster and clerks on them; the same seed gives the same run. */
export class World {
  readonly clock = new FakeClock();
  readonly cluster: FakeCluster;
  readonly random: Random;

  constructor(
    options: {
      readonly seed?: number;
      readonly size?: number;
      readonly backend?: (clock: FakeClock) => Backend;
    } = {},
  ) {
    this.cluster = new FakeCluster(this.clock, options.size, options.backend?.(this.clock));
    this.random = seededRandom(options.seed ?? 1);
  }

  /** A clerk that knows all members; a named one is open when this returns. */
  async clerk(options: Partial<ClerkOptions> = {}): Promise<Clerk> {
    return await this.run(this.connect(options));
  }

  connect(options: Partial<ClerkOptions> = {}): Promise<Clerk> {
    const io = { clock: this.clock, random: this.random, channels: this.cluster.channels() };
    return createClerk({ endpoints: this.cluster.endpoints, ...options }, io);
  }

  /** Lets time pass until the promise settles. */
  run<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    return this.clock.until(promise, limitMs);
  }

  /** The error that a promise ends with. */
  async refusal(promise: Promise<unknown>, limitMs?: number): Promise<KvError> {
    try {
      await this.run(promise, limitMs);
    } catch (error) {
      if (error instanceof KvError) return error;
      throw error;
    }
    throw new Error('it was not refused');
  }
}

/** A promise that somebody looks at later: its rejection is no accident. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => 'looked at later');
  return promise;
}

function seededRandom(seed: number): Random {
  const prng = new Prng(seed);
  return {
    uint32: () => prng.uint32(),
    bytes: (length) => Uint8Array.from({ length }, () => prng.below(256)),
  };
}

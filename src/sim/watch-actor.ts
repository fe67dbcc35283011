import {
  type ChannelFactory,
  type Clerk,
  createClerk,
  KvError,
  type Watch,
} from '../client/index.ts';
import { InvariantViolation } from '../lib/index.ts';
import type { ClientNetwork } from './client-network.ts';
import type { Event as SimEvent } from './event-queue.ts';
import type { Oracle } from './oracle.ts';
import type { WatcherPlan } from './plan.ts';
import type { Planted } from './planted.ts';
import { type Process, wakingClock } from './process.ts';
import type { Replay } from './replay.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';
import { type Watched, WatchJudge, type WatchWish } from './watch-judge.ts';
import type { World } from './world.ts';

/** Batches that a watch reads at most: who reads the last one there is waits for news. */
const BATCHES_MAX = [1, 1, 1, 2, 4] as const;
/** A watch is left after so long at most, whether it waits or not, milliseconds. */
const LIFE_MS_MAX = 1_500;
/** Probability that one waits so long for what never comes, to be told that there is no news. */
const HOPES = 0.015;
const HOPES_MS = { from: 6_000, to: 20_000 } as const;
/** Probability that a reader sleeps before the next batch, and how long at most. */
const SLEEPS = 0.05;
const SLEEP_MS_MAX = 8_000;
/** Probability, after each watch, that its process ends and another one begins. */
const RESTARTS = 0.02;
/** Probability that also a part of the keys is watched to the end. */
const PROVES_PART = 0.1;
/** Places where watches were left, for others to go on from. */
const PLACES_MAX = 8;

/** Nobody writes there. */
const HOPELESS: WatchWish = { watched: { key: 'none' }, prevKv: false, from: null };

/** Where a watch was left. */
export interface WatchPlace {
  readonly wish: WatchWish;
  /** The process that left it. */
  readonly by: string;
}

/** What all watchers of a run share. */
export interface WatchParts {
  readonly world: World;
  readonly network: ClientNetwork;
  readonly oracle: Oracle;
  readonly replay: Replay;
  readonly planted: Planted;
  readonly endpoints: readonly string[];
  readonly skewMax: number;
  /** Whoever takes one goes on there, with a clerk of his own. */
  readonly places: WatchPlace[];
}

/** A watch that runs. */
interface Running {
  readonly judge: WatchJudge;
  readonly watch: Watch<'bytes'>;
  /** Terms that had a leader when it began. */
  readonly terms: number;
  /** Where it was when it began. */
  readonly host: string | null;
  /** Its member got a snapshot on this connection, when this revision was the newest. */
  installed: { readonly connection: number; readonly revision: number } | null;
}

/**
 * An application that opens watches of a production `Clerk`, several at a time, reads some batches
 * of each, slowly at times, and leaves them: in the past, at the end of the history, before what is
 * compacted, and where there is nothing yet.
 */
export class WatchActor {
  readonly plan: WatcherPlan;
  readonly #parts: WatchParts;
  readonly #stream: Stream;
  #process: Process | null = null;
  #clerk: Clerk | null = null;
  #incarnation = 0;
  #stopped = false;
  /** Watches of the present process that have no end yet. */
  #pending = 0;
  readonly #running = new Set<Running>();
  /** Readers that take their time, to be woken. */
  readonly #sleepers = new Set<() => void>();
  /** The member that greeted last, and how many have. */
  #host: string | null = null;
  #connection = 0;

  constructor(plan: WatcherPlan, parts: WatchParts) {
    this.plan = plan;
    this.#parts = parts;
    this.#stream = parts.world.stream(`watcher ${plan.name}`);
  }

  get process(): Process | null {
    return this.#process;
  }

  /** Watches without an end. */
  get pending(): number {
    return this.#pending;
  }

  /** Starts a process in the place of the one before. */
  start(): void {
    const { world, network, planted, endpoints, skewMax } = this.#parts;
    this.#process?.kill();
    this.#pending = 0;
    this.#running.clear();
    this.#sleepers.clear();
    const process = world.process(`${this.plan.name}.${++this.#incarnation}`, {
      offsetMs: this.#stream.below(1_000_000),
      rate: 1 + this.#stream.between(-skewMax, skewMax),
    });
    this.#process = process;
    const channels = this.#noticing(network.channels(process, this.plan.name));
    const io = {
      clock: wakingClock(process, world),
      random: process.random,
      channels: planted.channels?.(channels) ?? channels,
    };
    const options = {
      endpoints: this.#stream.shuffled(endpoints),
      requestTimeoutMs: this.plan.timeoutMs,
    };
    world.movePromises();
    createClerk(options, io).then(
      (clerk) => {
        this.#clerk = clerk;
        for (let i = 0; i < this.plan.concurrency; i++) this.#think(process, clerk);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Opens nothing more, and leaves what is open. */
  stop(): void {
    this.#stopped = true;
    this.#parts.world.movePromises();
    for (const { watch } of this.#running) void watch.return();
    for (const wake of this.#sleepers) wake();
  }

  /** A snapshot begins to take the place of a member's state. */
  memberInstalls(host: string): void {
    if (host !== this.#host) return;
    const { revision } = this.#parts.replay;
    for (const one of this.#running) one.installed = { connection: this.#connection, revision };
  }

  /**
   * Watches once more what can still be read, everything and sometimes a part of it, until all
   * watches have come to `revision`; calls `done` then.
   */
  catchUp(revision: number, done: () => void): void {
    const clerk = this.#clerk;
    if (clerk === null) return this.#fail(new Error('a watcher has no clerk'));
    this.#parts.world.movePromises();
    // Of a part there may be no news, and to be sure of that takes some time.
    const part = this.#stream.chance(PROVES_PART) ? [this.#choose()] : [];
    const all = [{ prefix: '' }, ...part];
    Promise.all(all.map((watched) => this.#follow(clerk, watched, revision))).then(
      done,
      (error: unknown) => this.#fail(error),
    );
  }

  async #follow(clerk: Clerk, watched: Watched, to: number): Promise<void> {
    const from = Math.max(1, this.#parts.replay.compactRevision);
    const wish = { watched, prevKv: true, from };
    const { judge, watch } = await this.#open(clerk, wish, { progress: true });
    try {
      while (judge.nextRevision <= to) {
        judge.asked();
        const { value: batch } = await watch.next();
        if (batch === undefined) throw new Error('a watch ended that nobody left');
        judge.batch(batch);
      }
    } catch (error) {
      if (!isCompacted(error)) throw error;
      // A compaction that nobody waited for any more.
      judge.compacted(error.compactRevision ?? 0);
      return await this.#follow(clerk, watched, to);
    }
    await watch.return();
  }

  #noticing(channels: ChannelFactory): ChannelFactory {
    return {
      status: (endpoint, done) => channels.status(endpoint, done),
      open: (endpoint, handlers) =>
        channels.open(endpoint, {
          onHello: (hello) => {
            this.#host = endpoint.host;
            this.#connection++;
            handlers.onHello(hello);
          },
          onReplies: (replies) => handlers.onReplies(replies),
          onClose: (error) => handlers.onClose(error),
        }),
    };
  }

  #think(process: Process, clerk: Clerk): void {
    this.#later(process, this.#stream.exponential(this.plan.thinkMs), () => {
      if (this.#stopped) return;
      this.#pending++;
      this.#live(process, clerk)
        .finally(() => {
          if (process.alive) this.#pending--;
        })
        .then(
          () => this.#goOn(process, clerk),
          (error: unknown) => process.alive && this.#fail(error),
        );
    });
  }

  #goOn(process: Process, clerk: Clerk): void {
    if (!process.alive || this.#stopped) return;
    if (this.#stream.chance(RESTARTS)) this.start();
    else this.#think(process, clerk);
  }

  #later(process: Process, delayMs: number, run: () => void): SimEvent {
    const { world } = this.#parts;
    return world.schedule(process, { kind: 'timer', delayUs: delayMs * 1000, label: '' }, () => {
      world.movePromises();
      run();
    });
  }

  /** Nothing may go wrong with a watch but what it tells. */
  #fail(error: unknown): void {
    const { world } = this.#parts;
    const reason = error instanceof Error ? error : new Error(String(error));
    const isBug = reason instanceof KvError || reason instanceof InvariantViolation;
    const cause = { cause: reason };
    world.stop(isBug ? new Violation('watches go on', reason.message, cause) : reason);
  }

  // ── one watch ────────────────────────────────────────────────────────────────────────────────

  async #live(process: Process, clerk: Clerk): Promise<void> {
    const { counters } = this.#parts.network;
    const hopes = this.#stream.chance(HOPES);
    const wish = hopes ? HOPELESS : this.#wish();
    let running: Running;
    try {
      running = await this.#open(clerk, wish, { progress: hopes || this.#stream.chance(0.5) });
    } catch (error) {
      // It has to ask for the newest revision, and that may take too long.
      if (!(error instanceof KvError && error.code === 'DEADLINE_NOT_APPLIED')) throw error;
      return counters.add('watch: newest revision not known in time');
    }
    const { watch } = running;
    this.#running.add(running);
    if (this.#stopped) void watch.return();
    const { from, to } = hopes ? HOPES_MS : { from: 0, to: LIFE_MS_MAX };
    const lifeMs = this.#stream.between(from, to);
    const end = this.#later(process, lifeMs, () => void watch.return());
    try {
      await this.#read(process, running);
    } catch (error) {
      if (!isCompacted(error)) throw error;
      running.judge.compacted(error.compactRevision ?? 0);
    } finally {
      end.cancelled = true;
      this.#running.delete(running);
    }
    await watch.return();
    counters.add('watch: lifecycles');
    this.#leavePlace({ wish: { ...wish, from: running.judge.nextRevision }, by: process.name });
  }

  async #open(clerk: Clerk, wish: WatchWish, how: { progress: boolean }): Promise<Running> {
    const { network, replay, oracle } = this.#parts;
    const { counters } = network;
    const { watched, prevKv, from } = wish;
    const judge = new WatchJudge(wish, { replay, counters, who: this.plan.name });
    const watch = await clerk.watch('key' in watched ? watched.key : watched, {
      ...{ prevKv, as: 'bytes', progress: how.progress },
      ...(from === null ? {} : { fromRevision: from }),
    });
    judge.opened(watch.nextRevision);
    return { judge, watch, terms: oracle.leaders.size, host: this.#host, installed: null };
  }

  async #read(process: Process, running: Running): Promise<void> {
    const { counters } = this.#parts.network;
    const { judge, watch } = running;
    for (let rest = this.#stream.pick(BATCHES_MAX); rest > 0; rest--) {
      judge.asked();
      const { value: batch } = await watch.next();
      if (batch === undefined) return counters.add('sometimes: watch left while it waited');
      judge.batch(batch);
      if (batch.events.length > 0) this.#countCrossings(running, batch.revision);
      if (!this.#stream.chance(SLEEPS)) continue;
      counters.add('sometimes: watch read slowly');
      await this.#sleep(process, this.#stream.between(0, SLEEP_MS_MAX));
    }
  }

  /** Across what a watch has gone on. */
  #countCrossings({ terms, host, installed }: Running, revision: number): void {
    const { network, oracle } = this.#parts;
    const { counters } = network;
    const crossings = [
      [oracle.leaders.size > terms, 'a change of leader'],
      [host !== null && host !== this.#host, 'a change of its member'],
      [
        // Only the state that was installed, and what came after it, reaches so far.
        installed?.connection === this.#connection && revision >= installed.revision,
        'a snapshot installed where it asks',
      ],
    ] as const;
    for (const [isCrossed, what] of crossings) {
      if (isCrossed) counters.add(`sometimes: watch across ${what}`);
    }
  }

  #sleep(process: Process, delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(wake);
        resolve();
      };
      this.#sleepers.add(wake);
      this.#later(process, delayMs, wake);
    });
  }

  // ── what to watch ────────────────────────────────────────────────────────────────────────────

  #wish(): WatchWish {
    const { replay, places, network } = this.#parts;
    const stream = this.#stream;
    const { revision: newest, compactRevision } = replay;
    const kind = stream.below(20);
    if (kind < 3) {
      const place = places.splice(stream.below(places.length || 1), 1)[0];
      if (place !== undefined) {
        const isOther = place.by !== this.#process?.name;
        if (isOther) network.counters.add('sometimes: watch gone on with by another clerk');
        return place.wish;
      }
    }
    const watched = this.#choose();
    const prevKv = stream.chance(0.5);
    const wish = (from: number): WatchWish => ({ watched, prevKv, from: Math.max(1, from) });
    if (kind < 6) return { watched, prevKv, from: null };
    if (kind < 14) return wish(newest - stream.below(20));
    if (kind < 15) return { ...wish(1 + stream.below(newest)), watched: { prefix: '' } };
    if (kind < 17) return wish(compactRevision - 4 + stream.below(8));
    return wish(newest + 1 + stream.below(12));
  }

  #choose(): Watched {
    const stream = this.#stream;
    const kind = stream.below(10);
    if (kind < 3) return { key: stream.pick([...this.#parts.replay.recentKeys(4), 'none']) };
    return { prefix: kind < 7 ? stream.pick(['a', 'r', 'x', 'y']) : '' };
  }

  #leavePlace(place: WatchPlace): void {
    const { places } = this.#parts;
    if (places.length < PLACES_MAX) places.push(place);
    else places[this.#stream.below(PLACES_MAX)] = place;
  }
}

function isCompacted(error: unknown): error is KvError {
  return error instanceof KvError && error.code === 'COMPACTED';
}

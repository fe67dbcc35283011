import { expect, it } from 'vitest';
import type { ErrorCode } from '../api/index.ts';
import { Prng } from '../lib/index.ts';
import type { Clerk } from './clerk.ts';
import type { Fate } from './testing/fake-cluster.ts';
import { batchOf, MachineWorld } from './testing/machine-world.ts';
import { later } from './testing/world.ts';
import type { Watch } from './watch.ts';

/* Watches and locks while a tenth of all requests meets whatever can happen to one. */

const SEEDS = 60;
const CHANGES = 40;
const CODES: readonly ErrorCode[] = ['OVERLOADED', 'READ_UNCONFIRMED', 'STOPPING'];

function lossy(world: MachineWorld, prng: Prng): () => Fate {
  return () => {
    if (!prng.chance(0.1)) return 'serve';
    const fates: readonly Fate[] = ['drop', 'mute', 'cut', 'cutAfter'];
    if (prng.chance(0.4)) return fates[prng.below(fates.length)] ?? 'serve';
    if (prng.chance(0.3)) {
      world.cluster.leader = prng.chance(0.5) ? null : prng.below(3);
      world.clock.setTimer(prng.below(500), () => {
        world.cluster.leader = prng.below(3);
      });
    }
    return { code: CODES[prng.below(CODES.length)] ?? 'STOPPING' };
  };
}

/** Reads a watch to the end of the workload, now and then slowly. */
async function collect(
  world: MachineWorld,
  { watch, until, prng }: { watch: Watch; until: number; prng: Prng },
): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const { events, revision } = await batchOf(watch);
    for (const event of events) {
      const { key, modRevision } =
        event.type === 'put' ? event.entry : { key: event.key, modRevision: event.revision };
      seen.push(`${modRevision} ${event.type} ${key}`);
    }
    if (revision >= until) return seen;
    if (prng.chance(0.2)) {
      await new Promise<void>((resolve) => world.clock.setTimer(prng.below(8_000), resolve));
    }
  }
}

it(`a watch loses nothing and tells nothing twice (${SEEDS} seeds)`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const replay = `seed ${seed} failed: SEEDS in following-property.test.ts`;
    const prng = new Prng(seed);
    const world = new MachineWorld(seed);
    const clerk = await world.clerk({ requestTimeoutMs: 600_000 });
    world.cluster.fate = lossy(world, prng);
    const changes = Array.from({ length: CHANGES }, (_, i) => ({
      revision: i + 2,
      key: `k${prng.below(3)}`,
    }));
    const until = CHANGES + 1;
    const from = 1 + prng.below(CHANGES);
    const options = { progress: true, fromRevision: from };
    const all = await world.run(clerk.watch({ prefix: 'k' }, options), 1_000_000);
    const one = await world.run(clerk.watch('k1', options), 1_000_000);
    const collecting = later(
      Promise.all([
        collect(world, { watch: all, until, prng }),
        collect(world, { watch: one, until, prng }),
      ]),
    );
    for (const { key } of changes) {
      world.put(key);
      if (prng.chance(0.5)) await world.clock.advance(prng.below(2_000));
      if (prng.chance(0.05)) world.cluster.cutAll();
    }
    const [allSeen, oneSeen] = await world.run(collecting, 10_000_000);
    const wanted = changes.filter(({ revision }) => revision >= from);
    const words = wanted.map(({ revision, key }) => `${revision} put ${key}`);
    expect(allSeen, replay).toEqual(words);
    expect(oneSeen, replay).toEqual(words.filter((word) => word.endsWith('k1')));
    world.cluster.fate = () => 'serve';
    world.cluster.leader = 0;
    await world.run(clerk.close());
  }
});

/** A guarded command: the revision in which it ran, and the token of the lock over it. */
interface Guarded {
  readonly revision: number;
  readonly token: number;
}

/** Takes the lock again and again; what is done under it is guarded by the lock's condition. */
async function contend(clerk: Clerk, done: Guarded[], lost: { count: number }): Promise<void> {
  for (let i = 0; i < 5; i++) {
    try {
      await using lock = await clerk.lock('l', { ttlMs: 2_000 });
      const { entries } = await clerk.range('counter');
      const before = Number(entries[0]?.value ?? 0);
      const { succeeded, revision } = await clerk.txn({
        compares: [lock.condition],
        success: [{ put: 'counter', value: String(before + 1) }],
      });
      if (succeeded) done.push({ revision, token: lock.fencingToken });
      else lost.count++;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'LEASE_LOST') throw error;
      lost.count++;
    }
  }
}

it(`what is guarded by a lock is done by one at a time (${SEEDS / 2} seeds)`, async () => {
  const lost = { count: 0 };
  for (let seed = 1; seed <= SEEDS / 2; seed++) {
    const replay = `seed ${seed} failed: SEEDS in following-property.test.ts`;
    const prng = new Prng(seed);
    const world = new MachineWorld(seed);
    const patience = { requestTimeoutMs: 600_000 };
    const clerks = [await world.clerk(patience), await world.clerk(patience)];
    const done: Guarded[] = [];
    world.backend.tickFor(600_000);
    world.cluster.fate = lossy(world, prng);
    const work = Promise.all(clerks.map((clerk) => contend(clerk, done, lost)));
    await world.run(work, 10_000_000);
    world.cluster.fate = () => 'serve';
    world.cluster.leader = 0;
    const counter = await world.run((clerks[0] as Clerk).get('counter'));
    expect(Number(counter ?? 0), replay).toBe(done.length);
    // Answers may come late: what counts is when it was done.
    const tokens = done.sort((a, b) => a.revision - b.revision).map(({ token }) => token);
    expect(tokens, replay).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    for (const clerk of clerks) await world.run(clerk.close());
  }
  // Leases are lost too, or the runs prove little.
  expect(lost.count).toBeGreaterThan(10);
});

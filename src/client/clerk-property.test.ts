import { expect, it } from 'vitest';
import type { ErrorCode, KvError } from '../api/index.ts';
import { Prng } from '../lib/index.ts';
import type { Clerk } from './clerk.ts';
import type { Fate } from './testing/fake-cluster.ts';
import { World } from './testing/world.ts';

const SEEDS = 120;
const COMMANDS = 60;
/** Rarely, so that most runs also get through; every kind in some run of the suite. */
const CODES: readonly ErrorCode[] = [
  'OVERLOADED',
  'LEADERSHIP_LOST',
  'REQUEST_TIMEOUT',
  'STOPPING',
  'SESSION_WINDOW_FULL',
];

interface Ending {
  readonly token: number;
  readonly error: KvError | null;
}

/** A network and a cluster that do to a tenth of all requests whatever can be done to one. */
function lossy(world: World, prng: Prng): () => Fate {
  return () => {
    if (!prng.chance(0.1)) return 'serve';
    const fates: readonly Fate[] = ['drop', 'mute', 'cut', 'cutAfter'];
    const kind = prng.below(3);
    if (kind === 0) return fates[prng.below(fates.length)] ?? 'serve';
    const code = CODES[prng.below(CODES.length)] ?? 'OVERLOADED';
    const mayHappen = code === 'LEADERSHIP_LOST' || code === 'REQUEST_TIMEOUT';
    if (mayHappen && prng.chance(0.7)) return { code, lateMs: prng.below(3_000) };
    if (prng.chance(0.3)) {
      world.cluster.leader = prng.chance(0.5) ? null : prng.below(3);
      world.clock.setTimer(prng.below(500), () => {
        world.cluster.leader = prng.below(3);
      });
    }
    return { code };
  };
}

/** Issues commands in bursts, some of them with little patience; returns how each ended. */
async function work(world: World, clerk: Clerk, prng: Prng): Promise<Ending[]> {
  const endings: Promise<Ending>[] = [];
  for (let token = 1; token <= COMMANDS; token++) {
    const isHasty = prng.chance(0.2);
    const abort = new AbortController();
    const options = isHasty
      ? { timeoutMs: 1 + prng.below(400), signal: abort.signal }
      : { timeoutMs: 600_000 };
    if (isHasty) world.clock.setTimer(prng.below(800), () => abort.abort());
    const call = clerk.append('k', `${token},`, options);
    endings.push(
      call.then(
        () => ({ token, error: null }),
        (error: KvError) => ({ token, error }),
      ),
    );
    if (prng.chance(0.3)) await world.clock.advance(prng.below(60));
    if (prng.chance(0.02)) world.cluster.cutAll();
  }
  return await world.run(Promise.all(endings), 1_000_000);
}

it(`commands run once and in order, outcomes are told truly (${SEEDS} seeds)`, async () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const prng = new Prng(seed);
    const world = new World({ seed });
    world.cluster.fate = lossy(world, prng);
    const name = seed % 2 === 0 ? { session: 'job' } : {};
    const clerk = await world.clerk({ ...name, requestTimeoutMs: 600_000 });
    const endings = await work(world, clerk, prng);
    // Whatever is still on its way arrives, and the places of given-up commands are filled.
    world.cluster.fate = () => 'serve';
    world.cluster.leader = 0;
    await world.clock.advance(10_000);
    await world.run(clerk.close());

    const replay = `seed ${seed} failed: SEED in clerk-property.test.ts`;
    const tokens = (world.cluster.store.text('k') ?? '').split(',').filter(Boolean).map(Number);
    expect(tokens, `${replay}: twice or out of order`).toEqual(
      [...new Set(tokens)].sort((a, b) => a - b),
    );
    for (const { token, error } of endings) {
      const outcome = error?.outcome ?? 'applied';
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      if (outcome === 'unknown') continue;
      if (error !== null) expect(outcome, `${replay}: ${error.message}`).toBe('notApplied');
      expect(tokens.includes(token), `${replay}: token ${token} ${error?.code ?? 'done'}`).toBe(
        outcome === 'applied',
      );
    }
    expect([world.clock.timerCount, world.cluster.openChannels], replay).toEqual([0, 0]);
  }
  // The runs reach every kind of end, or they prove nothing.
  for (const outcome of ['applied', 'notApplied', 'unknown']) {
    expect(seen.get(outcome) ?? 0, outcome).toBeGreaterThan(50);
  }
});

it('what resolve says of an unknown outcome is what happened', async () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= 100; seed++) {
    const prng = new Prng(seed);
    const world = new World({ seed });
    const clerk = await world.clerk({ requestTimeoutMs: 600_000 });
    await world.run(clerk.append('k', '0,'));
    world.cluster.fate = lossy(world, prng);
    for (let token = 1; token <= 10; token++) {
      const call = clerk.append('k', `${token},`, { timeoutMs: 1 + prng.below(4) });
      const error = await world.run(call.then(() => null).catch((reason: KvError) => reason));
      if (error?.outcome !== 'unknown') continue;
      const seq = Number(/resolve\((\d+)\)/.exec(error.message)?.[1]);
      const { state } = await world.run(clerk.resolve(seq));
      seen.set(state, (seen.get(state) ?? 0) + 1);
      await world.clock.advance(4_000);
      const ran = world.cluster.store.text('k')?.split(',').includes(String(token)) ?? false;
      expect(ran, `seed ${seed} failed: token ${token} ${state}`).toBe(state === 'executed');
    }
    await world.run(clerk.close());
  }
  expect(seen.get('executed') ?? 0).toBeGreaterThan(20);
  expect(seen.get('skipped') ?? 0).toBeGreaterThan(20);
});

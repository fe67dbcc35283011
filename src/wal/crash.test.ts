import { describe, expect, test } from 'vitest';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { Prng } from '../lib/index.ts';
import type { LogPosition, WalBatch } from './index.ts';
import {
  type CrashState,
  type CutLimits,
  dieAt,
  digest,
  powerCuts,
} from './testing/crash-states.ts';
import {
  command,
  contents,
  filler,
  fingerprint,
  type Opened,
  open,
  quiescence,
  seenFrom,
} from './testing/fixture.ts';
import { BATCHES, batchesIn, LIMITS, live, type Progress } from './testing/workload.ts';

/** Every unsynced sector and name alone, all but one of them, and 32 random subsets. */
const CUTS: CutLimits = { singlesMax: Number.POSITIVE_INFINITY, randomSubsets: 32 };
/** `QUORATE_TEST_SCALE=full`: recovery is crashed as thoroughly; otherwise a sample of seconds. */
const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const RECOVERY_CUTS: CutLimits = FULL ? CUTS : { singlesMax: 2, randomSubsets: 1 };
/** Share of the states after one and two crashes in which a further one is tried. */
const SAMPLED = FULL ? [1, 1] : [1, 0.3];
const SEED = 1;
const FULL_TIMEOUT_MS = 30 * 60_000;

/** The disk of a process that died at its call `at`, and what it had been told until then. */
async function deadAt(at: number): Promise<Progress & { disk: MemoryDisk }> {
  const disk = memoryDisk();
  dieAt(disk, at);
  const progress: Progress = { acked: 0, state: null };
  const life = open(disk, LIMITS).then(async ({ wal }) => {
    await live(wal, progress);
    await wal.close();
  });
  await Promise.race([life, died()]);
  return { disk, ...progress };

  /** Nothing more was acknowledged for a while. */
  async function died(): Promise<void> {
    for (let quiet = 0, acked = 0; quiet < 4; quiet = acked === progress.acked ? quiet + 1 : 0) {
      acked = progress.acked;
      await quiescence();
    }
  }
}

/** The calls that `work` makes to the disk. */
async function callsOf(work: () => Promise<unknown>, disk: MemoryDisk): Promise<number> {
  let first: number | null = null;
  let last = 0;
  disk.intercept = ({ number }) => {
    first ??= number;
    last = number;
    return 'run';
  };
  await work();
  return first === null ? 0 : last - first + 1;
}

async function callsOfLife(): Promise<number> {
  const disk = memoryDisk();
  const progress: Progress = { acked: 0, state: null };
  const calls = await callsOf(async () => {
    const { wal } = await open(disk, LIMITS);
    await live(wal, progress);
    await wal.close();
  }, disk);
  expect(progress.acked).toBe(BATCHES.length);
  return calls;
}

interface Recovered extends Opened {
  /** Batches that were found, at least. */
  readonly batches: number;
}

/**
 * Opens what a crash left; fails unless all that was acknowledged is there and nothing is made up.
 */
async function recover(state: CrashState, known: Progress): Promise<Recovered> {
  const base = known.state;
  const opened = await open(state.disk, LIMITS, { base }).catch((cause: unknown) => {
    throw new Error(`${state.name}: an ordinary crash was refused`, { cause });
  });
  const batches = batchesIn(opened.wal.recovery, base);
  if (batches < known.acked) {
    throw new Error(`${state.name}: acknowledged ${known.acked} batches, found ${batches}`);
  }
  return { ...opened, batches };
}

/** Goes on with the log: a new term, its entries, all of it cut off again. */
async function goOn({ wal, disk }: Recovered, state: CrashState, base: LogPosition | null) {
  const { hardState, entries } = wal.recovery;
  const term = (hardState?.term ?? 0) + 1;
  const last = entries.at(-1)?.index ?? base?.index ?? 0;
  const commitIndex = hardState?.commitIndex ?? 0;
  const more: WalBatch[] = [1, 2, 3].map((n) => ({
    hardState: { term, vote: 0xa2n, commitIndex: Math.max(commitIndex, last + n - 1) },
    entries: [command(last + n, term, filler(7000, n))],
  }));
  const expected = contents(more, { base, hardState, entries }).at(-1);
  for (const batch of more) wal.append(batch, () => {});
  wal.compact(last + 2);
  await wal.close();
  const next = { index: last + 2, term };
  for (const at of [base, next]) {
    if (expected === undefined || wal.firstIndex > (at?.index ?? 0) + 1) continue;
    const cut = disk.afterPowerCut(() => false);
    const again = await open(cut, LIMITS, { base: at }).catch((cause: unknown) => {
      throw new Error(`${state.name}: refused after it was used again`, { cause });
    });
    if (fingerprint(again.wal.recovery) !== fingerprint(seenFrom(expected, at))) {
      throw new Error(`${state.name}: differs after it was used again`);
    }
  }
}

describe('a crash at every disk operation', () => {
  test(
    'loses nothing acknowledged, whatever unsynced sectors and names survive',
    async () => {
      const calls = await callsOfLife();
      expect(calls).toBeGreaterThan(150);
      const random = new Prng(SEED);
      const seen = new Set<string>();
      const kinds = { cut: 0, reset: 0, torn: 0 };
      for (let at = 1; at <= calls + 1; at++) {
        const { disk, ...known } = await deadAt(at);
        for (const cut of powerCuts(disk, CUTS, random)) {
          const state = { ...cut, name: `seed ${SEED}, call ${at}, ${cut.name}` };
          const key = `${known.acked} ${known.state?.index} ${digest(state.disk)}`;
          if (seen.has(key)) continue;
          seen.add(key);
          const found = await recover(state, known);
          const { firstIndex, recovery } = found.wal;
          if (firstIndex > 1) kinds.cut += 1;
          if (recovery.reset) kinds.reset += 1;
          if (recovery.tail.kind === 'torn') kinds.torn += 1;
          // What was reported once is durable, and the log can be used.
          const cutAgain = { disk: found.disk.afterPowerCut(() => false), name: state.name };
          await recover(cutAgain, { ...known, acked: found.batches });
          await goOn(found, state, known.state);
        }
      }
      for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(20);
      expect(seen.size).toBeGreaterThan(400);
    },
    FULL_TIMEOUT_MS,
  );

  test('of the process alone loses nothing, also if the power fails later', async () => {
    const calls = await callsOfLife();
    for (let at = 1; at <= calls + 1; at++) {
      const { disk, ...known } = await deadAt(at);
      const name = `call ${at}, killed`;
      const again = await recover({ disk: disk.afterKill(), name }, known);
      const cut = again.disk.afterPowerCut(() => false);
      const reported = { ...known, acked: again.batches };
      await recover({ disk: cut, name: `${name}, then power cut` }, reported);
      // What the dead process left unsynced, names too, is what the next one builds on.
      await goOn(again, { disk, name: `${name}, used, power cut` }, known.state);
    }
  });

  test(
    'of recovery itself, up to three times in a row, changes nothing',
    async () => {
      const calls = await callsOfLife();
      const random = new Prng(SEED);
      const seen = new Set<string>();
      const waiting: { state: CrashState; known: Progress; crashes: number }[] = [];
      /** Every state is judged once and crashed once: what follows is the same each time. */
      async function visit(state: CrashState, known: Progress, crashes: number): Promise<void> {
        const key = `${known.acked} ${known.state?.index} ${digest(state.disk)}`;
        if (seen.has(key)) return;
        seen.add(key);
        await recover({ ...state, disk: state.disk.afterKill() }, known);
        waiting.push({ state, known, crashes });
      }
      for (let at = 1; at <= calls; at++) {
        const { disk, ...known } = await deadAt(at);
        for (const { disk: left, name } of powerCuts(disk, RECOVERY_CUTS, random)) {
          await visit({ disk: left, name: `seed ${SEED}, call ${at}, ${name}` }, known, 1);
        }
      }
      const before = seen.size;
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const { state, known, crashes } = next;
        if (crashes === 3 || !random.chance(SAMPLED[crashes - 1] ?? 0)) continue;
        const whole = state.disk.afterKill();
        const base = known.state;
        const steps = await callsOf(() => open(whole, LIMITS, { base }), whole);
        for (let at = 1; at <= steps; at++) {
          const dying = state.disk.afterKill();
          dieAt(dying, at);
          void open(dying, LIMITS, { base });
          await quiescence();
          if (dying.unsynced().length === 0 && digest(dying) === digest(state.disk)) continue;
          for (const { disk: left, name } of powerCuts(dying, RECOVERY_CUTS, random)) {
            const what = `${state.name}; recovery call ${at}, ${name}`;
            await visit({ disk: left, name: what }, known, crashes + 1);
          }
        }
      }
      expect(seen.size).toBeGreaterThan(before + 60);
    },
    FULL_TIMEOUT_MS,
  );
});

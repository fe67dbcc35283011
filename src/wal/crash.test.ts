import { describe, expect, test } from 'vitest';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { Prng } from '../lib/index.ts';
import type { WalBatch } from './index.ts';
import { type CrashState, dieAt, digest, powerCuts } from './testing/crash-states.ts';
import {
  append,
  contents,
  fingerprint,
  manyBatches,
  type Opened,
  open,
  quiescence,
} from './testing/fixture.ts';

const LIMITS = { segmentBytes: 32 * 1024 };
const SEED = 1;
/** Share of the states after two crashes in which a third one is tried. */
const SAMPLED = 0.03;
const BATCHES = workload();
const ALLOWED = contents(BATCHES).map(fingerprint);

/** Twice through all kinds of records: two changes of segments. */
function workload(): WalBatch[] {
  const once = manyBatches();
  const moved = once.map(({ hardState, entries }) => ({
    hardState: hardState && {
      ...hardState,
      term: hardState.term + 3,
      commitIndex: hardState.commitIndex + 8,
    },
    entries: entries.map((entry) => ({ ...entry, index: entry.index + 8, term: entry.term + 3 })),
  }));
  return [...once, ...moved];
}

/** Opens a log and appends everything: one by one, then all that is left at once. */
async function run(disk: MemoryDisk, onAcked: (count: number) => void): Promise<void> {
  const { wal } = await open(disk, LIMITS);
  const alone = 6;
  let acked = 0;
  const done = (): void => onAcked(++acked);
  for (const batch of BATCHES.slice(0, alone)) await append(wal, batch).then(done);
  for (const batch of BATCHES.slice(alone, 12)) wal.append(batch, done);
  await quiescence();
  for (const batch of BATCHES.slice(12)) wal.append(batch, done);
  await wal.close();
}

/** The disk of a process that died at its call `at`, and how many batches it had acknowledged. */
async function deadAt(at: number): Promise<{ disk: MemoryDisk; acked: number }> {
  const disk = memoryDisk();
  dieAt(disk, at);
  let acked = 0;
  void run(disk, (count) => {
    acked = count;
  });
  await quiescence();
  // `run` rests once in between.
  await quiescence();
  return { disk, acked };
}

async function callsOf(work: (disk: MemoryDisk) => Promise<unknown>, disk: MemoryDisk) {
  let calls = 0;
  disk.intercept = ({ number }) => {
    calls = number;
    return 'run';
  };
  await work(disk);
  return calls;
}

/**
 * Opens what a crash left; fails unless all that was acknowledged is there and nothing is made up.
 */
async function recover(state: CrashState, acked: number): Promise<Opened & { batches: number }> {
  let opened: Opened;
  try {
    opened = await open(state.disk, LIMITS);
  } catch (error) {
    throw new Error(`${state.name}: an ordinary crash was refused`, { cause: error });
  }
  const found = ALLOWED.lastIndexOf(fingerprint(opened.wal.recovery));
  if (found < acked) {
    throw new Error(`${state.name}: acknowledged ${acked} batches, found ${found}`);
  }
  return { ...opened, batches: found };
}

describe('a crash at every disk operation', () => {
  test('loses nothing acknowledged, whatever unsynced sectors survive', async () => {
    const calls = await callsOf((disk) => run(disk, () => {}), memoryDisk());
    expect(calls).toBeGreaterThan(60);
    const random = new Prng(SEED);
    const seen = new Set<string>();
    for (let at = 1; at <= calls + 1; at++) {
      const { disk, acked } = await deadAt(at);
      for (const cut of powerCuts(disk, 8, random)) {
        const state = { ...cut, name: `seed ${SEED}, call ${at}, ${cut.name}` };
        const key = `${acked} ${digest(state.disk)}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const { disk: found, wal, batches } = await recover(state, acked);
        // What was reported once is durable, and the log can be used.
        await recover({ disk: found.afterPowerCut(() => false), name: state.name }, batches);
        for (const batch of BATCHES.slice(batches)) wal.append(batch, () => {});
        await wal.close();
        await recover({ disk: found.afterPowerCut(() => false), name: state.name }, BATCHES.length);
      }
    }
    expect(seen.size).toBeGreaterThan(200);
  });

  test('of the process alone loses nothing, also if the power fails later', async () => {
    const calls = await callsOf((disk) => run(disk, () => {}), memoryDisk());
    for (let at = 1; at <= calls + 1; at++) {
      const { disk, acked } = await deadAt(at);
      const name = `call ${at}, killed`;
      const again = await recover({ disk: disk.afterKill(), name }, acked);
      const cut = again.disk.afterPowerCut(() => false);
      await recover({ disk: cut, name: `${name}, then power cut` }, again.batches);
      // What the dead process left unsynced, names too, is what the next one builds on.
      const cuts: MemoryDisk[] = [];
      const onAcked = (): void => {
        cuts.push(again.disk.afterPowerCut(() => false));
      };
      for (const batch of BATCHES.slice(again.batches)) again.wal.append(batch, onAcked);
      await quiescence();
      for (const [i, cutThen] of cuts.entries()) {
        const more = again.batches + i + 1;
        await recover({ disk: cutThen, name: `${name}, power cut at ack ${i}` }, more);
      }
    }
  });

  test('of recovery itself, up to three times in a row, changes nothing', async () => {
    const calls = await callsOf((disk) => run(disk, () => {}), memoryDisk());
    const random = new Prng(SEED);
    const seen = new Set<string>();
    const waiting: { state: CrashState; acked: number; crashes: number }[] = [];
    /** Every state is judged once and crashed once: what follows from it is the same each time. */
    async function visit(state: CrashState, acked: number, crashes: number): Promise<void> {
      const key = `${acked} ${digest(state.disk)}`;
      if (seen.has(key)) return;
      seen.add(key);
      await recover({ ...state, disk: state.disk.afterKill() }, acked);
      waiting.push({ state, acked, crashes });
    }
    for (let at = 1; at <= calls; at++) {
      const { disk, acked } = await deadAt(at);
      for (const { disk: left, name } of powerCuts(disk, 2, random)) {
        await visit({ disk: left, name: `seed ${SEED}, call ${at}, ${name}` }, acked, 1);
      }
    }
    const before = seen.size;
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { state, acked, crashes } = next;
      if (crashes === 3 || (crashes === 2 && !random.chance(SAMPLED))) continue;
      const steps = await callsOf((disk) => open(disk, LIMITS), state.disk.afterKill());
      for (let at = 1; at <= steps; at++) {
        const dying = state.disk.afterKill();
        dieAt(dying, at);
        void open(dying, LIMITS);
        await quiescence();
        if (dying.unsynced().length === 0 && digest(dying) === digest(state.disk)) continue;
        for (const { disk: left, name } of powerCuts(dying, 1, random)) {
          await visit(
            { disk: left, name: `${state.name}; recovery call ${at}, ${name}` },
            acked,
            crashes + 1,
          );
        }
      }
    }
    expect(seen.size).toBeGreaterThan(before + 100);
  });
});

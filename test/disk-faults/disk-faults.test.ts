import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Prng } from '../../src/lib/index.ts';
import { compileLossy, runsLossy } from '../kill/lossy.ts';
import { FULL, SEED, teller } from '../kill/scale.ts';
import { type Fault, type FaultyRun, faultyRun } from './faulty-run.ts';

/** Calls that a short run tries of each fault; a full one tries every call up to the last. */
const SHORT_CALLS = 1;

/** The number of calls differs from run to run by a few: so many behind the last are tried too. */
const BEYOND = 5;

/** Calls after which a first run dies, before a second one meets the fault: among the appends. */
const BEFORE = 52;

/** `CALL=n` tries this one alone. */
const CALL = process.env['CALL'];

describe.runIf(runsLossy())('one call to the disk goes wrong', () => {
  let root: string;
  let library: string;
  /** Calls of the workload without a fault, by the `before` of the run. */
  const soundCalls = new Map<number | null, number>();

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'quorate-lossy-'));
    library = compileLossy(root);
  });
  afterAll(() => rmSync(root, { recursive: true }));

  /** `before`: calls of an earlier run of the same member, which died at the last of them. */
  async function tryCalls(fault: Fault, before: number | null = null): Promise<void> {
    const runWith = (call: number | null): Promise<FaultyRun> =>
      faultyRun({ main: inject('quorateMain'), library, fault, call, before, seed: SEED });
    const tell = teller(`disk ${fault}${before === null ? '' : ' after a restart'}`);
    let calls = soundCalls.get(before);
    if (calls === undefined) {
      const sound = await runWith(null);
      expect(sound.problems, 'without a fault').toEqual([]);
      calls = sound.calls;
      soundCalls.set(before, calls);
    }
    tell(`the workload makes ${calls} calls`);
    let hits = 0;
    for (const call of callsToTry(calls, fault)) {
      const { isHit, problems } = await runWith(call);
      const replay = `CALL=${call} SEED=${SEED} npx vitest run test/disk-faults -t '${fault}'`;
      expect(problems, replay).toEqual([]);
      if (isHit) hits++;
      if (call % 20 === 0) tell(`call ${call}: well`);
      if (!isHit && (fault === 'ENOSPC' || call > calls)) break;
    }
    tell(`${hits} calls met the fault`);
    expect(hits).toBeGreaterThan(0);
  }

  const minutes = FULL ? 15 : 2;
  const options = { timeout: minutes * 60_000 };

  test(
    'EIO: no false acknowledgement, one clear line, and all is there after a restart',
    options,
    () => tryCalls('EIO'),
  );

  test('ENOSPC from one call on: likewise', options, () => tryCalls('ENOSPC'));

  test('EIO when it starts again after a power cut: likewise', options, () =>
    tryCalls('EIO', BEFORE),
  );

  test('kill -9 before one call, and the power goes: all is there after a restart', options, () =>
    tryCalls('kill'),
  );

  test('kill -9 when it starts again after a power cut: likewise', options, () =>
    tryCalls('kill', BEFORE),
  );
});

/**
 * All calls and some beyond, or a few of them. A full disk shows only while files are made: among
 * the first half of the calls.
 */
function callsToTry(calls: number, fault: Fault): number[] {
  if (CALL !== undefined) return [Number(CALL)];
  if (FULL) return Array.from({ length: calls + BEYOND }, (_, at) => at + 1);
  const prng = new Prng(SEED);
  const last = fault === 'ENOSPC' ? Math.floor(calls / 2) : calls;
  return Array.from({ length: SHORT_CALLS }, () => 1 + prng.below(last));
}

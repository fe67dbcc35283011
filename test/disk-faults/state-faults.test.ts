import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { silentLog, systemDisk } from '../../src/io/index.ts';
import { Prng } from '../../src/lib/index.ts';
import { lmdbEngines, openStateHome } from '../../src/store/index.ts';
import { compileLossy, lossyEnvironment, runsLossy } from '../kill/lossy.ts';
import { cutPower } from '../kill/power-cut.ts';
import { FULL, SEED } from '../kill/scale.ts';
import { readUndoLogs } from '../kill/undo-log.ts';
import { isLmdbDeath } from './faulty-run.ts';

/** Calls that a short run tries of each fault; a full one tries every call. */
const SHORT_CALLS = 3;

const KEY = Uint8Array.of(7);

/** Flushes three times, puts another state in force, flushes again; says what is durable. */
const SCRIPT = `
  const { openStateHome, lmdbEngines } = await import(process.argv[1] + '/store/index.js');
  const { silentLog, systemDisk } = await import(process.argv[1] + '/io/index.js');
  const key = Uint8Array.of(${KEY[0]});
  const valueOf = (step) => new Uint8Array(9_000).fill(step);
  const settled = (run) =>
    new Promise((resolve, reject) => run((e) => (e === null ? resolve() : reject(e))));
  const home = await openStateHome({
    disk: systemDisk, engines: lmdbEngines(), directory: process.argv[2], log: silentLog,
  });
  const flush = async (step) => {
    home.current.put('t', key, valueOf(step));
    await settled((done) => home.current.flush(done));
    console.log(step);
  };
  console.log(0);
  try {
    for (const step of [1, 2, 3]) await flush(step);
    const fresh = await home.create();
    const rows = [{ table: 't', key, value: valueOf(4) }];
    await settled((done) => fresh.engine.commit(rows, done));
    await fresh.adopt();
    console.log(4);
    await flush(5);
  } finally {
    await home.close();
  }`;
const LAST_STEP = 5;

/** How a run of the script ended. */
interface Run {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last step that it called durable; null: it did not even open. */
  readonly told: number | null;
  readonly error: string;
  readonly isHit: boolean;
  readonly calls: number;
}

describe.runIf(runsLossy())(
  'one call goes wrong under a state that is flushed and replaced',
  () => {
    let root: string;
    let directory: string;
    let side: string;
    let library: string;

    beforeAll(() => {
      root = mkdtempSync(join(realpathSync(tmpdir()), 'quorate-state-'));
      library = compileLossy(root);
      [directory, side] = [join(root, 'state'), join(root, 'side')];
    });
    beforeEach(reset);
    afterAll(() => rmSync(root, { recursive: true }));

    function reset(): void {
      for (const path of [directory, side]) rmSync(path, { recursive: true, force: true });
      mkdirSync(directory, { mode: 0o700 });
    }

    function run(fail: string | null): Run {
      const fault = fail === null ? {} : { fail };
      const world = lossyEnvironment({ library, directories: [directory], side, ...fault });
      const modules = pathToFileURL(dirname(dirname(inject('quorateMain')))).href;
      const args = ['--input-type=module', '-e', SCRIPT, modules, directory];
      const child = spawnSync(process.execPath, args, { env: { ...process.env, ...world } });
      const { status: code, signal, stdout, stderr } = child;
      const steps = String(stdout).trim().split('\n').filter(Boolean).map(Number);
      const records = readUndoLogs(side);
      return {
        code,
        signal,
        told: steps.at(-1) ?? null,
        error: String(stderr),
        isHit: records.some(({ type }) => type === 'fault'),
        calls: records.reduce((most, { call }) => Math.max(most, call), 0),
      };
    }

    /** The step that the state is of after a power cut; 0: it is empty. */
    async function stepAfterCut(call: number): Promise<number> {
      cutPower({ directories: [directory], side, prng: new Prng(SEED + call) });
      const [disk, engines] = [systemDisk, lmdbEngines()];
      const home = await openStateHome({ disk, engines, directory, log: silentLog });
      const value = home.current.get('t', KEY);
      const [step = 0] = value ?? [];
      expect(value ?? new Uint8Array(0)).toEqual(new Uint8Array(step === 0 ? 0 : 9_000).fill(step));
      await home.close();
      return step;
    }

    async function tryCall(fault: string, call: number): Promise<void> {
      reset();
      const replay = `SEED=${SEED} npx vitest run test/disk-faults/state-faults.test.ts, ${call}`;
      const { code, signal, told, error, isHit } = run(`${call}:${fault}`);
      if (fault === 'kill') expect(signal, replay).toBe('SIGKILL');
      else if (!isLmdbDeath(signal, error)) expect(signal, `${replay}\n${error}`).toBeNull();
      if (isHit && code === 1) expect(error, replay).toContain(fault === '5' ? 'EIO' : 'ENOSPC');
      // Only what is no longer in force may fail to go, and be removed by the next start.
      if (code === 0) expect(told, replay).toBe(LAST_STEP);
      const found = await stepAfterCut(call);
      expect([told ?? 0, (told ?? 0) + 1], replay).toContain(found);
    }

    test.each([
      ['EIO', '5'],
      ['ENOSPC from there on', 'full'],
      ['kill -9', 'kill'],
    ])(
      '%s: no signal, an error that names it, and every reported flush is there',
      {
        timeout: 300_000,
      },
      async (_name, fault) => {
        const sound = run(null);
        expect(sound, sound.error).toMatchObject({ code: 0, told: LAST_STEP });
        const calls = Array.from({ length: sound.calls }, (_, at) => at + 1);
        const prng = new Prng(SEED);
        const some = calls.slice(0, SHORT_CALLS).map(() => 1 + prng.below(sound.calls));
        for (const call of FULL ? calls : some) await tryCall(fault, call);
      },
    );
  },
);

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Prng } from '../../src/lib/index.ts';
import { compileLossy, lossyEnvironment, runsLossy } from './lossy.ts';
import { cutPower } from './power-cut.ts';
import { FULL, SEED } from './scale.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUNS = FULL ? 60 : 4;
/** Calls after which a run is killed: from the creation of the file to some dozen commits. */
const CALLS_MAX = 80;

const OPEN = `
  const fs = require('node:fs');
  const { open } = require('lmdb');
  const [, directory, noSync] = process.argv;
  const options = { noSubdir: true, overlappingSync: false, noSync: noSync === 'noSync' };
  const db = open(directory + '/data.lmdb', options);`;

/** Commits batch after batch, each of which replaces all rows, and says when one is durable. */
const WRITER = `${OPEN}
  const d = fs.openSync(directory, 'r');
  fs.fsyncSync(d);
  const commit = async (batch) => {
    const value = 'v'.repeat(100) + batch;
    await Promise.all(Array.from({ length: 200 }, (_, at) => db.put('row ' + at, value)));
    fs.writeSync(1, batch + '\\n');
    await commit(batch + 1);
  };
  commit(1);`;

/** Says of which batch the rows are: one number, if it was committed as a whole. */
const READER = `${OPEN}
  const found = new Set([...db.getRange({})].map(({ value }) => Number(value.slice(100))));
  console.log(JSON.stringify([...found]));
  db.close();`;

describe.runIf(runsLossy())('LMDB, as a member uses it, on a disk that forgets', () => {
  let root: string;
  let library: string;

  beforeAll(() => {
    root = mkdtempSync(join(realpathSync(tmpdir()), 'quorate-lmdb-'));
    library = compileLossy(root);
  });
  afterAll(() => rmSync(root, { recursive: true }));

  /** Commits, dies at a call, loses power; returns the last batch that was durable, and what is. */
  function run(seed: number, sync: 'sync' | 'noSync'): { told: number; found: number[] | null } {
    const prng = new Prng(seed);
    const [directory, side] = [join(root, 'data'), join(root, 'side')];
    for (const path of [directory, side]) rmSync(path, { recursive: true, force: true });
    mkdirSync(directory);
    const call = 10 + prng.below(CALLS_MAX);
    const options = { library, directories: [directory], side, fail: `${call}:kill` };
    const env = { ...process.env, ...lossyEnvironment(options) };
    const writer = spawnSync(process.execPath, ['-e', WRITER, directory, sync], { env, cwd: ROOT });
    expect(writer.signal, String(writer.stderr)).toBe('SIGKILL');
    const told = Number(String(writer.stdout).trim().split('\n').at(-1));
    cutPower({ directories: [directory], side, prng });
    const reader = spawnSync(process.execPath, ['-e', READER, directory, sync], { cwd: ROOT });
    return { told, found: reader.status === 0 ? JSON.parse(String(reader.stdout)) : null };
  }

  test('a commit that was reported is there as a whole, and no commit is there in part', {
    timeout: 5_000 * RUNS,
  }, () => {
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const { told, found } = run(seed, 'sync');
      const replay = `SEED=${seed} npx vitest run test/kill/lossy-lmdb.test.ts, told ${told}`;
      const possible = [[told], [told + 1], ...(told === 0 ? [[]] : [])];
      expect(possible, replay).toContainEqual(found);
    }
  });

  test('without syncs, commits that were reported are lost', { timeout: 60_000 }, () => {
    const seeds = Array.from({ length: RUNS }, (_, at) => SEED + at);
    const isLost = seeds.some((seed) => {
      const { told, found } = run(seed, 'noSync');
      return found === null || found.length !== 1 || (found[0] ?? 0) < told;
    });
    expect(isLost).toBe(true);
  });
});

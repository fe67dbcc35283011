import { spawn } from 'node:child_process';
import { open, stat, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { describe, expect, inject, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { type Engine, lmdbEngines } from './index.ts';
import { commit, put, rowsOf, tempDirectory } from './testing/index.ts';

const everything = { from: new Uint8Array(0), to: null };

async function inDirectory(body: (path: string) => Promise<void>): Promise<void> {
  const { path, remove } = await tempDirectory();
  try {
    await body(`${path}/a.lmdb`);
  } finally {
    await remove();
  }
}

/** Starts `script` as a process of its own, with the compiled store as `store` and a path. */
function start(script: string, path: string, shell = 'exec "$0" "$@"') {
  const index = pathToFileURL(join(dirname(inject('quorateMain')), '..', 'store', 'index.js'));
  const source = `import * as store from '${index}'; const path = process.argv[1];
    const commit = (engine, changes) => new Promise((resolve) => engine.commit(changes, resolve));
    const key = (i) => Uint8Array.of(i >> 16, i >> 8, i);
    ${script}`;
  const args = ['--input-type=module', '-e', source, path];
  const child = spawn('sh', ['-c', shell, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines: string[] = [];
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const output = createInterface(child.stdout);
  output.on('line', (line) => lines.push(line));
  /** Until that many lines have come, or the process is over. */
  async function printed(count: number): Promise<void> {
    let isOver = false;
    closed.then(() => {
      isOver = true;
    });
    while (lines.length < count && !isOver) {
      await Promise.race([closed, new Promise((resolve) => output.once('line', resolve))]);
    }
  }
  return { child, lines, closed, printed };
}

describe('LMDB under kill -9', () => {
  const ROWS = 50_000;
  const KILLS = 8;

  test('a commit of 50,000 rows is there wholly or not at all', { timeout: 120_000 }, () =>
    inDirectory(async (path) => {
      const prng = new Prng(11);
      await (await lmdbEngines().open(path, { create: true })).close();
      let last = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const run = start(
          `const engine = await store.lmdbEngines().open(path);
           console.log('ready');
           for (let round = ${last + 1}; ; round++) {
             const value = Uint8Array.from(String(round), (c) => c.charCodeAt(0));
             const changes = Array.from({ length: ${ROWS} }, (_, i) =>
               ({ table: 't', key: key(i), value }));
             if ((await commit(engine, changes)) !== null) process.exit(1);
             console.log(round);
           }`,
          path,
        );
        // Knowing how long one commit takes: somewhere in the second, or early in the third.
        await run.printed(1);
        const readyMs = performance.now();
        await run.printed(2);
        const commitMs = performance.now() - readyMs;
        await new Promise((resolve) => setTimeout(resolve, prng.below(Math.ceil(1.5 * commitMs))));
        run.child.kill('SIGKILL');
        await run.closed;
        const acknowledged = Math.max(last, ...run.lines.slice(1).map(Number));
        last = await roundOf(path, ROWS);
        expect(last, `kill ${kill}`).toBeGreaterThanOrEqual(acknowledged);
        expect(last, `kill ${kill}`).toBeLessThanOrEqual(acknowledged + 1);
      }
      expect(last).toBeGreaterThan(0);
    }),
  );

  /** The round that all rows are of; 0 while there are none. */
  async function roundOf(path: string, rows: number): Promise<number> {
    const engine = await lmdbEngines().open(path);
    const rounds = new Set<string>();
    let count = 0;
    for (const { value } of engine.range('t', everything)) {
      rounds.add(Buffer.from(value).toString());
      count++;
    }
    await engine.close();
    expect([0, rows]).toContain(count);
    expect(rounds.size).toBeLessThanOrEqual(1);
    return Number([...rounds][0] ?? 0);
  }
});

test('a commit that can not be written is refused, no later one is tried, nothing is lost', () =>
  inDirectory(async (path) => {
    const run = start(
      `const engine = await store.lmdbEngines().open(path, { create: true });
       const value = new Uint8Array(100_000);
       const all = { from: new Uint8Array(0), to: null };
       let rows = 0, error = null;
       while (error === null) {
         const changes = [0, 1, 2].map((i) => ({ table: 't', key: key(rows + i), value }));
         error = await commit(engine, changes);
         if (error === null) rows += 3;
       }
       const removal = [{ table: 't', key: key(0), value: null }];
       const again = await commit(engine, removal);
       console.log(error.code, again === error, engine.count('t', all) === rows);
       console.log(rows);
       await engine.close();`,
      path,
      'ulimit -f 8192 && exec "$0" "$@"', // blocks of 512 or 1024 bytes
    );
    await run.closed;
    expect(run.lines[0]).toBe('IO true true');
    const engine = await lmdbEngines().open(path);
    expect(engine.count('t', everything)).toBe(Number(run.lines[1]));
    await engine.close();
  }));

describe('LMDB files', () => {
  test('are for their owner alone, and grow by themselves under an open view', () =>
    inDirectory(async (path) => {
      const engine = await lmdbEngines().open(path, { create: true });
      await commit(engine, [put('t', 'first', 'row')]);
      const view = engine.view();
      const value = new Uint8Array(1_000_000);
      for (let i = 0; i < 24; i++)
        await commit(engine, [{ table: 'u', key: Uint8Array.of(i), value }]);
      expect(engine.usage().fileBytes).toBeGreaterThan(24_000_000);
      expect([...view.rows()].length).toBe(1);
      expect(engine.count('u', everything)).toBe(24);
      for (const file of [path, `${path}-lock`]) {
        expect((await stat(file)).mode & 0o777, file).toBe(0o600);
      }
      await engine.close();
    }));

  test('that are empty, cut short or no LMDB files at all are CORRUPT when opened', async () => {
    for (const length of [0, 100, 4_096, 8_192, 100_000]) {
      await inDirectory(async (path) => {
        await makeFile(path);
        await truncate(path, length);
        await expectCorrupt(path, `${length} bytes`);
      });
    }
    await inDirectory(async (path) => {
      await makeFile(path);
      await overwrite(path, 0, new Uint8Array(8_192).fill(0x41));
      await expectCorrupt(path, 'no meta page');
    });
  });

  test('with a bit flipped in a value are CORRUPT when that row is read', () =>
    inDirectory(async (path) => {
      await makeFile(path);
      const { buffer } = await readFileOf(path);
      const at = Buffer.from(buffer).lastIndexOf('needle');
      await overwrite(path, at, Buffer.from('Needle'));
      const engine = await lmdbEngines().open(path);
      expect(engine.get('t', Uint8Array.of(7))).toEqual(new Uint8Array(1_000).fill(7));
      const corrupt = expect.objectContaining({ code: 'CORRUPT', file: path });
      expect(() => engine.get('t', Uint8Array.of(200))).toThrow(corrupt);
      expect(() => rowsOf(engine)).toThrow(corrupt);
      await engine.close();
    }));

  async function makeFile(path: string): Promise<void> {
    const engine: Engine = await lmdbEngines().open(path, { create: true });
    const rows = Array.from({ length: 200 }, (_, i) => ({
      table: 't',
      key: Uint8Array.of(i),
      value: new Uint8Array(1_000).fill(i),
    }));
    const needle = { table: 't', key: Uint8Array.of(200), value: Buffer.from('needle') };
    await commit(engine, [...rows, needle]);
    await engine.close();
  }

  async function expectCorrupt(path: string, what: string): Promise<void> {
    const opened = lmdbEngines().open(path);
    await expect(opened, what).rejects.toMatchObject({ code: 'CORRUPT', file: path });
  }

  async function overwrite(path: string, at: number, bytes: Uint8Array): Promise<void> {
    const file = await open(path, 'r+');
    await file.write(bytes, 0, bytes.length, at);
    await file.close();
  }

  async function readFileOf(path: string): Promise<{ buffer: ArrayBuffer }> {
    const file = await open(path, 'r');
    const bytes = await file.readFile();
    await file.close();
    return { buffer: Uint8Array.from(bytes).buffer };
  }
});

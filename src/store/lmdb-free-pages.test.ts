import { open, readFile, stat, truncate } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assert, concatBytes, EMPTY_BYTES, equalBytes, Prng } from '../lib/index.ts';
import { type Change, type Engine, lmdbEngines } from './index.ts';
import { metaPage, PAGE_BYTES } from './lmdb-files.ts';
import { freeRuns, lacksOnlyFreePages } from './lmdb-free-pages.ts';
import { commit, rowsOf, tempDirectory } from './testing/index.ts';

let path: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  const directory = await tempDirectory();
  path = `${directory.path}/a.lmdb`;
  remove = directory.remove;
});
afterEach(() => remove());

function change(n: number, value: Uint8Array | null): Change {
  return { table: 't', key: Uint8Array.of(n >> 16, n >> 8, n), value };
}

async function makeFile(commits: readonly (readonly Change[])[]): Promise<void> {
  const engine: Engine = await lmdbEngines().open(path, { create: true });
  for (const changes of commits) await commit(engine, changes);
  await engine.close();
}

/** Two rows, before pages that others have left; LMDB goes on with those in the middle. */
function withFreeTail(removed: number): Change[][] {
  const rows = Array.from({ length: removed }, (_, i) => change(i, new Uint8Array(1_000).fill(i)));
  const kept = [change(removed, Uint8Array.of(1)), change(removed + 1, Uint8Array.of(2))];
  const more = Array.from({ length: 9 }, (_, i) => [change(removed, Uint8Array.of(i))]);
  return [[...rows, ...kept], rows.map(({ table, key }) => ({ table, key, value: null })), ...more];
}

async function reopened(): Promise<'CORRUPT' | number> {
  try {
    const engine = await lmdbEngines().open(path);
    const rows = rowsOf(engine).length;
    await engine.close();
    return rows;
  } catch (error) {
    expect(error).toMatchObject({ code: 'CORRUPT', file: path });
    return 'CORRUPT';
  }
}

test('a file without its last pages is whole if they are free, and else not', async () => {
  await makeFile(withFreeTail(400));
  const { size } = await stat(path);
  const found: ('CORRUPT' | number)[] = [];
  for (let bytes = size - PAGE_BYTES; bytes > 2 * PAGE_BYTES; bytes -= PAGE_BYTES) {
    await truncate(path, bytes);
    found.push(await reopened());
  }
  const whole = found.indexOf('CORRUPT');
  expect(whole).toBeGreaterThan(50);
  expect(new Set(found.slice(0, whole))).toEqual(new Set([2]));
  expect(new Set(found.slice(whole))).toEqual(new Set(['CORRUPT']));
});

test('such a file takes further commits', async () => {
  await makeFile(withFreeTail(400));
  await truncate(path, (await stat(path)).size - 50 * PAGE_BYTES);
  const engine = await lmdbEngines().open(path);
  const values = Array.from({ length: 600 }, (_, i) => new Uint8Array(1_000).fill(i));
  await commit(
    engine,
    values.map((value, i) => change(i, value)),
  );
  const found = values.map((_, i) => engine.get('t', change(i, null).key));
  const all = concatBytes(found.map((value) => value ?? EMPTY_BYTES));
  expect(equalBytes(all, concatBytes(values))).toBe(true);
  await engine.close();
  expect(await reopened()).toBe(600);
});

test('with those in the tables, all pages are accounted for, long tables included', async () => {
  const prng = new Prng(5);
  const engine = await lmdbEngines().open(path, { create: true });
  await commit(
    engine,
    Array.from({ length: 3_000 }, (_, i) => change(i, new Uint8Array(1_000))),
  );
  // It keeps the pages of all the commits until it is closed: each leaves a list in the table.
  const view = engine.view();
  const lists = { withBranches: 80, onPagesOfTheirOwn: 500 };
  for (let i = 0; i < 40; i++) {
    const count = i % 10 === 0 ? lists.onPagesOfTheirOwn : lists.withBranches;
    const some = Array.from({ length: count }, () => prng.below(3_000));
    await commit(
      engine,
      some.map((n) => change(n, new Uint8Array(1_000))),
    );
    const { usedBytes, fileBytes } = engine.usage();
    const free = await freePages();
    expect(free.length, `commit ${i}`).toBe(new Set(free).size);
    expect(free.length, `commit ${i}`).toBe((fileBytes - usedBytes) / PAGE_BYTES);
  }
  expect((await freePages()).length).toBeGreaterThan(2_000);
  view.close();
  await engine.close();
});

async function freePages(): Promise<number[]> {
  const meta = metaPage(await readFile(path));
  const file = await open(path, 'r');
  try {
    const free: number[] = [];
    assert(meta !== null, 'pages of another size');
    for await (const { first, count } of freeRuns(file, meta)) {
      for (let page = first; page < first + count; page++) free.push(page);
    }
    return free;
  } finally {
    await file.close();
  }
}

test('a damaged table of free pages is CORRUPT, or a file is too short by it', async () => {
  await makeFile(withFreeTail(400));
  const { size } = await stat(path);
  const bytes = size - 20 * PAGE_BYTES;
  const root = metaPage(await readFile(path))?.freeRoot ?? 0;
  const prng = new Prng(7);
  const found = new Set<unknown>();
  for (let round = 0; round < 500; round++) {
    // Its first bytes: the head, and where the nodes are; or its last: the nodes.
    const at = root * PAGE_BYTES + (round % 2 === 0 ? 0 : PAGE_BYTES - 200) + prng.below(200);
    const before = await overwritten(at, Uint8Array.of(prng.below(256)));
    const outcome = await lacksOnlyFreePages(path, bytes).catch((error: unknown) => {
      expect(error, `round ${round}`).toMatchObject({ code: 'CORRUPT', file: path });
      return 'CORRUPT';
    });
    found.add(outcome);
    await overwritten(at, before);
  }
  expect(found).toEqual(new Set([true, false, 'CORRUPT']));
  expect(await lacksOnlyFreePages(path, bytes)).toBe(true);
});

/** @returns what stood there. */
async function overwritten(at: number, bytes: Uint8Array): Promise<Uint8Array> {
  const file = await open(path, 'r+');
  try {
    const before = new Uint8Array(bytes.length);
    await file.read(before, 0, before.length, at);
    await file.write(bytes, 0, bytes.length, at);
    return before;
  } finally {
    await file.close();
  }
}

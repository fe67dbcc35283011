import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { viewOf, writeMeta } from './format.ts';
import { BoltError, BoltReader, type ByteSource, bytesSource, looksLikeBolt } from './index.ts';
import { databaseOf, randomRows, tablesIn } from './testing/tables.ts';

const SEED = Number(process.env['QUORATE_TEST_SEED'] ?? 1);
const FUZZ = process.env['QUORATE_TEST_SCALE'] === 'full' ? 30_000 : 2_000;

let file: Uint8Array;
/** A page of the database's first bucket, and of the leaves below it. */
let branch: number;

beforeAll(async () => {
  const prng = new Prng(7);
  file = await databaseOf({
    a: randomRows(prng, { rows: 900, keyBytes: 60, valueBytes: 9_000 }),
    b: randomRows(prng, { rows: 3, keyBytes: 60, valueBytes: 60 }),
  });
  branch = pages().find(({ flags }) => flags === 1)?.id ?? 0;
});

function pages(): { readonly id: number; readonly flags: number }[] {
  const view = viewOf(file);
  const found: { id: number; flags: number }[] = [];
  for (let id = 0; id * 4096 < file.length; id += 1 + view.getUint32(id * 4096 + 12, true)) {
    found.push({ id, flags: view.getUint16(id * 4096 + 8, true) });
  }
  return found;
}

/** The file with some bytes changed by `change`. */
function changed(change: (view: DataView) => void): Uint8Array {
  const copy = file.slice();
  change(viewOf(copy));
  return copy;
}

/** What is wrong with a file, which must be told in one line; null: nothing. */
function problemOf(bytes: Uint8Array): string | null {
  let reads = 0;
  const counting: ByteSource = {
    length: bytes.length,
    read(offset, length) {
      if (++reads > 10 + 40 * (bytes.length / 4096)) throw new Error('it reads without end');
      return bytesSource(bytes).read(offset, length);
    },
  };
  try {
    tablesIn(new BoltReader(counting));
    return null;
  } catch (error) {
    if (!(error instanceof BoltError)) throw error;
    expect(error.message).toMatch(/^bbolt: [^\n]+$/);
    return error.message;
  }
}

test('a file that etcd and etcdctl made is read: branches, inline buckets, overflow', () => {
  const golden = gunzipSync(readFileSync(new URL('golden/etcd-3.4.db.gz', import.meta.url)));
  const tables = tablesIn(new BoltReader(bytesSource(golden.subarray(0, -32))));
  const counts = Object.entries(tables).map(([name, rows]) => [name, rows.length]);
  expect(Object.fromEntries(counts)).toEqual({
    alarm: 0,
    auth: 1,
    authRoles: 0,
    authUsers: 0,
    cluster: 1,
    key: 489,
    lease: 2,
    members: 1,
    members_removed: 0,
    meta: 3,
  });
  expect(tables['cluster']).toEqual([['clusterVersion', '3.4.0']]);
  expect(tables['key']?.filter(([, value]) => value.includes('x'.repeat(9_000)))).toHaveLength(1);
});

describe('a file is refused', () => {
  test('when it is something else, or was cut off', () => {
    for (const length of [0, 1, 79, 80, 4_095, 4_096]) {
      expect(problemOf(new Uint8Array(length))).toMatch('it is no database');
    }
    expect(looksLikeBolt(Buffer.from('QUORSNAP'))).toBe(false);
    expect(looksLikeBolt(file.subarray(0, 100))).toBe(true);
    for (let length = 0; length < file.length; length += 999) {
      expect(problemOf(file.subarray(0, length)), `${length} bytes`).not.toBeNull();
    }
    expect(problemOf(file.subarray(0, file.length - 1))).toMatch('it was cut off');
    // What is behind the pages is no part of it: etcdctl puts a SHA-256 there.
    expect(problemOf(Buffer.concat([file, Buffer.alloc(32)]))).toBeNull();
  });

  test('when both heads are damaged, and read by the other head when one is', () => {
    for (let at = 16; at < 80; at++) {
      const flip = (view: DataView, page: number): void =>
        view.setUint8(4096 * page + at, view.getUint8(4096 * page + at) ^ 4);
      expect(problemOf(changed((view) => flip(view, 0))), `byte ${at}`).toBeNull();
      expect(problemOf(changed((view) => flip(view, 1))), `byte ${at}`).toBeNull();
      const both = changed((view) => [0, 1].map((page) => flip(view, page)));
      expect(problemOf(both), `byte ${at}`).toMatch('both its heads are damaged');
    }
  });

  test('when a page is another one, of another kind, empty, or longer than the file', () => {
    const at = branch * 4096;
    const child = Number(viewOf(file).getBigUint64(at + 16 + 8, true)) * 4096;
    const cases: readonly (readonly [string, (view: DataView) => void])[] = [
      ['another page is in its place', (view) => view.setBigUint64(child, 9n, true)],
      ['another page is in its place', (view) => view.setBigUint64(child, 2n ** 63n, true)],
      ['no branch and no leaf', (view) => view.setUint16(child + 8, 16, true)],
      ['it is empty', (view) => view.setUint16(child + 10, 0, true)],
      ['do not fit into it', (view) => view.setUint16(child + 10, 65_535, true)],
      ['it is longer than the file', (view) => view.setUint32(child + 12, 2 ** 32 - 1, true)],
      ['a row is longer than it', (view) => view.setUint32(child + 16 + 12, 2 ** 32 - 1, true)],
      ['a row is longer than it', (view) => view.setUint32(child + 16 + 4, 2 ** 31, true)],
      ['it is not in the file', (view) => view.setBigUint64(at + 24, 1n, true)],
      ['it is not in the file', (view) => view.setBigUint64(at + 24, 999_999n, true)],
      ['no file has', (view) => view.setBigUint64(at + 24, 2n ** 60n, true)],
    ];
    for (const [said, damage] of cases) expect(problemOf(changed(damage))).toMatch(said);
  });

  test('when its pages go round in a circle, or one is used twice', () => {
    const at = branch * 4096;
    const circle = changed((view) => view.setBigUint64(at + 24, BigInt(branch), true));
    expect(problemOf(circle)).toMatch('the tree is too deep');
    const twice = changed((view) =>
      view.setBigUint64(at + 40, view.getBigUint64(at + 24, true), true),
    );
    expect(problemOf(twice)).toMatch('its keys do not ascend');
    // Every row of the branch leads back to it: 2^32 ways down.
    const maze = changed((view) => {
      for (let i = 0; i < view.getUint16(at + 10, true); i++) {
        view.setBigUint64(at + 24 + 16 * i, BigInt(branch), true);
      }
    });
    expect(problemOf(maze)).toMatch('the tree is too deep');
  });

  test('when its root is no root of buckets, or a bucket has none', () => {
    const pagesOfFile = file.length / 4096;
    const withRoot = (root: number): Uint8Array =>
      changed((view) => {
        const page = new DataView(view.buffer, view.byteOffset, 4096);
        const meta = { pageBytes: 4096, root, freelist: 2, pages: pagesOfFile, txid: 9n };
        writeMeta(page, meta);
      });
    expect(problemOf(withRoot(branch))).toMatch('a row stands among the buckets');
    for (const root of [0, 1, pagesOfFile]) {
      expect(problemOf(withRoot(root))).toMatch('it is not in the file');
    }
    const root = Number(viewOf(file).getBigUint64(32, true)) * 4096;
    const shortBucket = changed((view) => view.setUint32(root + 16 + 12, 15, true));
    expect(problemOf(shortBucket)).toMatch('a bucket without a root');
    const start = root + 16 + viewOf(file).getUint32(root + 16 + 4, true) + 1;
    const rootless = changed((view) => view.setBigUint64(start, 0n, true));
    expect(problemOf(rootless)).toMatch('a bucket without rows');
  });
});

test(`${FUZZ} damaged files are each read to an end or refused in one line`, () => {
  const prng = new Prng(SEED);
  let refused = 0;
  for (let n = 0; n < FUZZ; n++) {
    const damaged = changed((view) => {
      for (let i = 1 + prng.below(4); i > 0; i--) damage(prng, view);
    });
    try {
      if (problemOf(damaged) !== null) refused++;
    } catch (error) {
      throw new Error(`file ${n}: QUORATE_TEST_SEED=${SEED}`, { cause: error });
    }
  }
  expect(refused).toBeGreaterThan(FUZZ / 4);
}, 180_000);

/** Changes what decides: the beginning of a page, where its header and its rows' places are. */
function damage(prng: Prng, view: DataView): void {
  const page = 2 + prng.below(view.byteLength / 4096 - 2);
  const at = page * 4096 + prng.below(prng.below(2) === 0 ? 16 : 400);
  const numbers = [0, 1, 2, 16, 255, 65_535, 2 ** 31, 2 ** 32 - 1, prng.below(2 ** 31)];
  if (prng.below(2) === 0) view.setUint8(at, prng.below(256));
  else view.setUint32(at & ~3, numbers[prng.below(numbers.length)] ?? 0, true);
}

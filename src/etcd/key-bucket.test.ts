import { expect, test } from 'vitest';
import { hex, utf8Bytes } from '../lib/index.ts';
import { bucketRows } from './key-bucket.ts';
import { KEY_VALUE } from './messages/common.ts';
import { WatchWorld } from './testing/world.ts';

/** Rows as text: `revision.sub key=value`, `t` behind the number of a deletion. */
function rowsOf({ rows }: WatchWorld, at?: number): string[] {
  const { span } = rows;
  return [...bucketRows(rows, { ...span, revision: at ?? span.revision })].map((row) => {
    const kv = KEY_VALUE.decode(row.value);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
    const mark = row.key.length === 18 ? 't' : '';
    return `${row.id.revision}.${row.id.sub}${mark} ${text(kv.key)}=${text(kv.value)}`;
  });
}

const put = (key: string, value: string) =>
  ({ type: 'put', key: utf8Bytes(key), value: utf8Bytes(value), prevKv: false }) as const;
const remove = (from: string, to: string) =>
  ({
    type: 'delete',
    range: { from: utf8Bytes(from), to: utf8Bytes(to) },
    prevKv: false,
  }) as const;

function filled(): WatchWorld {
  const world = new WatchWorld();
  world.apply(put('a', '1'));
  world.apply({
    type: 'txn',
    compares: [],
    success: [put('b', '2'), put('c', '3')],
    failure: [],
  });
  world.apply(put('a', '4'));
  world.apply(remove('b', 'd'));
  world.apply(put('b', '5'));
  return world;
}

test('every change is a row, a deletion with a mark behind its revision', () => {
  expect(rowsOf(filled())).toEqual([
    '2.0 a=1',
    '3.0 b=2',
    '3.1 c=3',
    '4.0 a=4',
    '5.0t b=',
    '5.1t c=',
    '6.0 b=5',
  ]);
  expect(rowsOf(filled(), 3)).toEqual(['2.0 a=1', '3.0 b=2', '3.1 c=3']);
});

test('after a compaction a key that lives at its revision has one row, a deleted one none', () => {
  const world = filled();
  world.apply({ type: 'compact', revision: 5 });
  expect(world.rows.span).toEqual({
    compactRevision: 5,
    revision: 6,
    compacting: false,
  });
  expect(rowsOf(world)).toEqual(['4.0 a=4', '6.0 b=5']);
});

test('while a compaction is under way nothing is left out, as a deletion may hide a change', () => {
  const world = new WatchWorld();
  for (let i = 0; i < 600; i++) world.apply(put(`k${i}`, ''));
  world.apply(put('last', '1'));
  world.apply(remove('last', 'lasu'));
  world.apply({ type: 'compact', revision: world.machine.revision });
  expect(world.rows.span.compacting).toBe(true);
  expect(rowsOf(world).slice(-2)).toEqual(['602.0 last=1', '603.0t last=']);
  while (world.machine.compacting) world.apply({ type: 'skip' });
  expect(rowsOf(world).at(-1)).toBe('601.0 k599=');
});

test('a row is what etcd writes, byte by byte', () => {
  const world = new WatchWorld();
  world.apply({ type: 'leaseGrant', lease: 0xffff_ffff_ffff_fff0n, ttlMs: 60_000 });
  world.apply({ ...put('k', 'v'), lease: 0xffff_ffff_ffff_fff0n });
  world.apply(remove('k', 'l'));
  const bytes = [...bucketRows(world.rows, world.rows.span)].map((row) => [
    hex(row.key),
    hex(row.value),
  ]);
  expect(bytes).toEqual([
    ['00000000000000025f0000000000000000', '0a016b1002180220012a017630f0ffffffffffffffff01'],
    ['00000000000000035f000000000000000074', '0a016b'],
  ]);
});

test('the rows can be taken from any change on', () => {
  const { rows } = filled();
  const later = bucketRows(rows, rows.span, { revision: 3, sub: 1 });
  expect(later.next().value?.id).toEqual({ revision: 3, sub: 1 });
});

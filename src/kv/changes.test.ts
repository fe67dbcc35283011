import { describe, expect, test } from 'vitest';
import type { ChangesRequest, KvError } from '../api/index.ts';
import { append, del, Harness, put, readable, span, txn } from './testing/harness.ts';

function page(kv: Harness, from: number, more: Partial<ChangesRequest> = {}): unknown {
  const all = { range: span('', null), prevKv: false, changesMax: 1_000, bytesMax: 1_000_000 };
  return readable(kv.machine.changes({ from, ...all, ...more }));
}

/** `revision type key=value` of each event. */
function shortly(kv: Harness, from: number, more: Partial<ChangesRequest> = {}): string[] {
  const { events } = page(kv, from, more) as {
    events: { type: string; kv: { key: string; value: string; modRevision: number } }[];
  };
  return events.map(({ type, kv: each }) => {
    return `${each.modRevision} ${type} ${each.key}=${each.value}`;
  });
}

function history(): Harness {
  const kv = new Harness();
  kv.put('a', '1'); // 2
  kv.run(txn([], [put('c', '2'), put('b', '3'), put('a', '4')])); // 3
  kv.run(del(span('a', 'c'))); // 4
  kv.run(append('a', '5')); // 5
  return kv;
}

describe('changes', () => {
  test('come in the order of revisions, and in one as the command made them', () => {
    const kv = history();
    expect(shortly(kv, 1)).toEqual([
      '2 put a=1',
      '3 put c=2',
      '3 put b=3',
      '3 put a=4',
      '4 delete a=',
      '4 delete b=',
      '5 put a=5',
    ]);
    expect(shortly(kv, 4)).toEqual(['4 delete a=', '4 delete b=', '5 put a=5']);
  });

  test('carry the key after the change and, when asked for, before it', () => {
    const kv = history();
    expect(page(kv, 4, { prevKv: true, range: span('a', 'a\x00') })).toEqual({
      events: [
        {
          type: 'delete',
          kv: { key: 'a', value: '', createRevision: 0, modRevision: 4, version: 0 },
          prevKv: { key: 'a', value: '4', createRevision: 2, modRevision: 3, version: 2 },
        },
        {
          type: 'put',
          kv: { key: 'a', value: '5', createRevision: 5, modRevision: 5, version: 1 },
          prevKv: null,
        },
      ],
      next: 6,
    });
  });

  test('at the end of the history a page is empty and names where the next change will be', () => {
    const kv = history();
    expect(page(kv, 6)).toEqual({ events: [], next: 6 });
    expect(page(kv, 9)).toEqual({ events: [], next: 9 });
    kv.put('d', '6');
    expect(shortly(kv, 6)).toEqual(['6 put d=6']);
  });

  test('a page ends where it is full, but never inside a revision', () => {
    const kv = history();
    expect(page(kv, 1, { changesMax: 1 })).toMatchObject({ events: [{}], next: 3 });
    expect(page(kv, 3, { changesMax: 1 })).toMatchObject({ events: [{}, {}, {}], next: 4 });
    expect(page(kv, 3, { changesMax: 4 })).toMatchObject({ next: 5 });
    expect(page(kv, 1, { bytesMax: 3 })).toMatchObject({ events: [{}, {}, {}, {}], next: 4 });
    expect(page(kv, 5, { changesMax: 1 })).toMatchObject({ events: [{}], next: 6 });
  });

  test('other keys are passed over, and count as looked at', () => {
    const kv = history();
    const range = span('b', 'b\x00');
    expect(shortly(kv, 1, { range })).toEqual(['3 put b=3', '4 delete b=']);
    expect(page(kv, 1, { range, changesMax: 1 })).toEqual({ events: [], next: 3 });
  });

  test('begin at the compact revision at the earliest, whose own changes are all there', () => {
    const kv = history();
    kv.run({ type: 'compact', revision: 4 });
    while (kv.machine.compacting) kv.apply();
    let refusal: KvError | null = null;
    try {
      page(kv, 3);
    } catch (cause) {
      refusal = cause as KvError;
    }
    expect(refusal).toMatchObject({ code: 'COMPACTED', compactRevision: 4 });
    expect(shortly(kv, 4)).toEqual(['4 delete a=', '4 delete b=', '5 put a=5']);
    const { events } = page(kv, 4, { prevKv: true }) as { events: { prevKv: unknown }[] };
    expect(events.map(({ prevKv }) => prevKv)).toEqual([null, null, null]);
  });

  test('what a key was before its compaction is known while that can still be read', () => {
    const kv = new Harness();
    kv.put('a', '1'); // 2
    kv.put('b', '1'); // 3
    kv.put('a', '2'); // 4
    kv.run({ type: 'compact', revision: 3 });
    while (kv.machine.compacting) kv.apply();
    expect(page(kv, 4, { prevKv: true })).toMatchObject({ events: [{ prevKv: { value: '1' } }] });
  });
});

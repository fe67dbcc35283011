import { describe, expect, test } from 'vitest';
import { memoryStore } from '../store/index.ts';
import { fragileStore } from '../store/testing/index.ts';
import { type ImportedChange, StateImport } from './index.ts';
import { del, Harness, put, readable, span, text } from './testing/harness.ts';

const END = { revision: 9, compactRevision: 0, index: 1, term: 1 };

/** A put, with what etcd says of it. */
function made(
  [revision, sub]: readonly [number, number],
  key: string,
  [createRevision, version]: readonly [number, number],
  lease: bigint | null = null,
): ImportedChange {
  const value = text(`${key}@${revision}`);
  return { revision, sub, key: text(key), after: { createRevision, version, lease, value } };
}

function gone([revision, sub]: readonly [number, number], key: string): ImportedChange {
  return { revision, sub, key: text(key), after: null };
}

function importing(): { harness: Harness; state: StateImport } {
  const store = fragileStore(memoryStore());
  return { harness: new Harness({}, store), state: new StateImport(store) };
}

describe('an imported history', () => {
  test('is read at each of its revisions, and goes on', () => {
    const { harness, state } = importing();
    const changes = [
      made([2, 0], 'a', [2, 1]),
      made([3, 0], 'a', [2, 2]),
      made([3, 1], 'b', [3, 1]),
      gone([5, 0], 'a'),
      made([9, 0], 'a', [9, 1]),
    ];
    for (const change of changes) state.addChange(change);
    expect(state.finish(END)).toEqual({ keys: 2, leases: 0, changes: 5 });
    harness.restart();
    const { machine } = harness;
    expect(machine.recomputeStateHash()).toBe(machine.stateHash());
    expect(machine.position).toMatchObject({ index: 1, term: 1, revision: 9, logTimeMs: 0 });
    const seen = [2, 3, 4, 5, 8, 9].map((revision) => harness.value('a', revision));
    expect(seen).toEqual(['a@2', 'a@3', 'a@3', null, null, 'a@9']);
    harness.index = 1;
    harness.put('a', 'new');
    expect(readable(harness.get('a'))).toMatchObject({ createRevision: 9, version: 2 });
    harness.run(del(span('a', null)));
    expect(harness.machine.revision).toBe(11);
    expect(harness.value('b', 10)).toBe('b@3');
  });

  test('that begins in the middle has keys whose past is compacted', () => {
    const { harness, state } = importing();
    state.addChange(gone([4, 0], 'unknown'));
    state.addChange(made([5, 0], 'a', [2, 4]));
    state.addChange(made([7, 0], 'a', [2, 5]));
    const end = { ...END, compactRevision: 6 };
    expect(state.finish(end)).toEqual({ keys: 1, leases: 0, changes: 2 });
    harness.restart();
    harness.index = 1;
    expect(harness.value('a', 6)).toBe('a@5');
    expect(readable(harness.read(span('a', null), { revision: 5 }))).toMatchObject({
      code: 'COMPACTED',
    });
    expect(harness.value('unknown')).toBeNull();
    expect(harness.machine.compacting).toBe(true);
    harness.apply();
    expect(harness.machine.compacting).toBe(false);
    expect(harness.value('a', 6)).toBe('a@5');
    expect(harness.machine.recomputeStateHash()).toBe(harness.machine.stateHash());
  });

  test('that was not compacted to the end is compacted here', () => {
    const { harness, state } = importing();
    for (let i = 0; i < 600; i++) state.addChange(made([2 + i, 0], 'a', [2, 1 + i]));
    state.addChange(made([700, 0], 'b', [700, 1]));
    state.addChange(gone([701, 0], 'b'));
    state.finish({ ...END, revision: 703, compactRevision: 702 });
    harness.restart();
    harness.index = 1;
    while (harness.machine.compacting) harness.apply();
    const rows = [...harness.store.range('history', { from: text(''), to: null })];
    expect(rows).toHaveLength(1);
    expect(harness.value('a', 702)).toBe('a@601');
    expect(harness.machine.recomputeStateHash()).toBe(harness.machine.stateHash());
  });

  test('may change a key twice in one revision, as transactions of etcd sometimes can', () => {
    const { harness, state } = importing();
    state.addChange(made([3, 0], 'a', [3, 1]));
    state.addChange(gone([3, 1], 'a'));
    state.addChange(made([4, 0], 'b', [4, 1]));
    state.addChange(gone([5, 0], 'b'));
    state.addChange(made([5, 1], 'b', [5, 1]));
    state.finish(END);
    harness.restart();
    harness.index = 1;
    const seen = () =>
      [4, 5].map((revision) => [harness.value('a', revision), harness.value('b', revision)]);
    expect(seen()).toEqual([
      [null, 'b@4'],
      [null, 'b@5'],
    ]);
    for (const revision of [4, 5, 6]) {
      harness.run({ type: 'compact', revision });
      harness.apply();
      expect(harness.machine.compacting).toBe(false);
      expect([harness.value('a'), harness.value('b')]).toEqual([null, 'b@5']);
      expect(harness.machine.recomputeStateHash()).toBe(harness.machine.stateHash());
    }
    const rows = [...harness.store.range('history', { from: text(''), to: null })];
    expect(rows).toHaveLength(1);
  });

  test('must come in order, and not go beyond its end', () => {
    const { state } = importing();
    state.addChange(made([3, 1], 'a', [3, 1]));
    for (const at of [
      [3, 1],
      [3, 0],
      [2, 5],
    ] as const) {
      expect(() => state.addChange(made(at, 'b', [1, 1]))).toThrow('changes out of order');
    }
    expect(() => state.finish({ ...END, revision: 2 })).toThrow('beyond its end');
    expect(() => state.finish({ ...END, compactRevision: 10 })).toThrow('beyond its end');
  });
});

test('imported leases end with their keys, after their whole time in the first term', () => {
  const { harness, state } = importing();
  state.addLease(5n, 10_000);
  state.addLease(6n, 1);
  expect(() => state.addLease(5n, 1)).toThrow('lease already exists');
  state.addChange(made([2, 0], 'a', [2, 1], 5n));
  state.addChange(made([3, 0], 'b', [3, 1], 5n));
  state.addChange(made([4, 0], 'b', [3, 2]));
  state.addChange(made([5, 0], 'c', [5, 1], 6n));
  state.addChange(gone([6, 0], 'c'));
  state.finish(END);
  harness.restart();
  harness.index = 1;
  harness.term = 2;
  const granted = harness.timeMs;
  harness.apply();
  const keysOf = (lease: bigint) => {
    const query = { type: 'leaseTimeToLive', lease, keys: true } as const;
    return harness.machine.query({ serializable: true, query }).length;
  };
  expect(keysOf(5n)).toBeGreaterThan(keysOf(6n));
  harness.timeMs = granted + 9_999;
  harness.apply();
  expect(harness.machine.leases).toBe(1);
  expect(harness.value('a')).toBe('a@2');
  harness.timeMs = granted + 10_000;
  harness.apply({ type: 'operation', session: null, operation: put('d', '1') });
  expect(harness.machine.leases).toBe(0);
  expect([harness.value('a'), harness.value('b')]).toEqual([null, 'b@4']);
});

import { describe, expect, test } from 'vitest';
import type { Answer } from '../api/index.ts';
import {
  del,
  Harness,
  put,
  rangeOf,
  readable,
  span,
  string,
  text,
  txn,
} from './testing/harness.ts';

function compact(kv: Harness, revision: number): Answer {
  return kv.run({ type: 'compact', revision });
}

/** The changes that are still in the history, as `revision.sub`. */
function changes(kv: Harness): string[] {
  const rows = [...kv.store.range('history', { from: text(''), to: null })];
  return rows.map(({ key }) => `${key[7]}.${key[11]}`);
}

function forgotten(kv: Harness): string[] {
  const rows = [...kv.store.range('deleted', { from: text(''), to: null })];
  return rows.map(({ key }) => string(key));
}

/** Empty batches until nothing is left to remove; how many. */
function finish(kv: Harness): number {
  let batches = 0;
  for (; kv.machine.compacting; batches++) kv.apply();
  return batches;
}

/** a and b are written twice, c is deleted at 6, b at 8, and a is there again at 9. */
function history(limits: ConstructorParameters<typeof Harness>[0] = {}): Harness {
  const kv = new Harness(limits);
  kv.put('a', '1'); // 2
  kv.put('b', '1'); // 3
  kv.put('c', '1'); // 4
  kv.put('a', '2'); // 5
  kv.run(del('c')); // 6
  kv.put('b', '2'); // 7
  kv.run(del(span('a', 'c'))); // 8
  kv.put('a', '3'); // 9
  return kv;
}

describe('compact', () => {
  test('reads below the revision are refused, at it and above they are what they were', () => {
    const kv = history();
    const before = [5, 6, 7, 8, 9].map((revision) =>
      readable(kv.read(span('a', null), { revision })),
    );
    expect(compact(kv, 5)).toEqual({ type: 'compact', revision: 9 });
    const after = [5, 6, 7, 8, 9].map((revision) =>
      readable(kv.read(span('a', null), { revision })),
    );
    expect(after).toEqual(before);
    const refusal = {
      type: 'error',
      code: 'COMPACTED',
      message: 'required revision has been compacted',
      leader: null,
      compactRevision: 5,
    };
    expect(kv.read(span('a', null), { revision: 4 })).toEqual(refusal);
    expect(kv.run(txn([], [put('z', '1'), { ...rangeOf('a'), revision: 4 }]))).toEqual(refusal);
    expect(kv.machine).toMatchObject({ revision: 9, compactRevision: 5 });
  });

  test('a revision compacted before is COMPACTED, one of the future FUTURE_REVISION', () => {
    const kv = history();
    expect(compact(kv, 0)).toMatchObject({ code: 'COMPACTED' });
    expect(compact(kv, 10)).toMatchObject({ code: 'FUTURE_REVISION' });
    expect(compact(kv, 6)).toMatchObject({ type: 'compact' });
    for (const revision of [5, 6]) {
      expect(compact(kv, revision)).toMatchObject({ code: 'COMPACTED', compactRevision: 6 });
    }
    expect(compact(kv, 9)).toMatchObject({ type: 'compact' });
  });

  test('in a session it is executed once', () => {
    const kv = history();
    const sessionId = kv.open();
    const session = { sessionId, incarnation: 1, seq: 1, ackedSeq: 0 };
    const operation = { type: 'compact', revision: 9 } as const;
    const first = kv.one({ type: 'operation', session, operation });
    expect(first).toEqual({ type: 'compact', revision: 9 });
    expect(kv.one({ type: 'operation', session, operation })).toEqual(first);
  });
});

describe('removal', () => {
  test('of each key the last change up to the revision stays, deletions below it go', () => {
    const kv = history();
    expect(changes(kv)).toEqual(['2.0', '3.0', '4.0', '5.0', '6.0', '7.0', '8.0', '8.1', '9.0']);
    compact(kv, 7);
    finish(kv);
    expect(changes(kv)).toEqual(['5.0', '7.0', '8.0', '8.1', '9.0']);
    expect(forgotten(kv)).toEqual(['b']);
    expect(kv.value('a', 7)).toBe('2');
    expect(kv.value('b', 7)).toBe('2');
  });

  test('deletions of the revision itself stay until the next time', () => {
    const kv = history();
    compact(kv, 8);
    finish(kv);
    expect(changes(kv)).toEqual(['8.0', '8.1', '9.0']);
    compact(kv, 9);
    finish(kv);
    expect(changes(kv)).toEqual(['9.0']);
    expect(forgotten(kv)).toEqual([]);
    expect(kv.value('a')).toBe('3');
  });

  test('goes on with each batch, so many rows at a time, until nothing is left', () => {
    const kv = history({ compactionRowsPerBatch: 3 });
    compact(kv, 9);
    expect(kv.machine.compacting).toBe(true);
    expect(changes(kv)).toHaveLength(9); // 2.0, 3.0, 4.0: nothing was before them
    kv.apply();
    expect(changes(kv)).toEqual(['5.0', '7.0', '8.0', '8.1', '9.0']);
    kv.apply();
    expect(changes(kv)).toEqual(['9.0']);
    expect(finish(kv)).toBe(1);
  });

  test('a new compaction during one goes on to the new revision, and forgets no deletion', () => {
    for (const rows of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const kv = history({ compactionRowsPerBatch: rows });
      compact(kv, 6);
      compact(kv, 8);
      compact(kv, 9);
      finish(kv);
      expect([rows, changes(kv), forgotten(kv)]).toEqual([rows, ['9.0'], []]);
    }
  });

  test('comes to an end while each batch makes more changes than the fixed share', () => {
    const kv = new Harness({ compactionRowsPerBatch: 1 });
    const puts = (): void => {
      const commands = Array.from({ length: 20 }, (_, i) => put(`k${i}`, 'v'));
      kv.apply(
        ...commands.map((operation) => ({ type: 'operation', session: null, operation }) as const),
      );
    };
    for (let i = 0; i < 10; i++) puts();
    compact(kv, kv.machine.revision);
    let batches = 0;
    for (; kv.machine.compacting; batches++) puts();
    expect(batches).toBeLessThan(10);
    expect(changes(kv)).toHaveLength(20 + 20 * batches);
  });

  test('the state hash follows it, and who restarts in between goes on the same way', () => {
    const kv = history({ compactionRowsPerBatch: 1 });
    const other = history({ compactionRowsPerBatch: 1 });
    compact(kv, 8);
    compact(other, 8);
    while (kv.machine.compacting) {
      kv.apply();
      other.restart();
      other.apply();
      expect(other.machine.stateHash()).toBe(kv.machine.stateHash());
      expect(kv.machine.recomputeStateHash()).toBe(kv.machine.stateHash());
    }
    expect(other.machine.compacting).toBe(false);
  });
});

import { describe, expect, test } from 'vitest';
import type { OrderedStore } from '../store/index.ts';
import { configurationRow, KvStateMachine, StateCensus, type StateRow } from './index.ts';
import { Harness, text } from './testing/harness.ts';

const TABLES = ['keys', 'deleted', 'history', 'sessions', 'names', 'answers', 'counters'];

function rowsOf(store: OrderedStore): StateRow[] {
  return [...TABLES, 'leases', 'leaseKeys', 'position'].flatMap((table) =>
    [...store.range(table, { from: new Uint8Array(0), to: null })].map(({ key, value }) => ({
      table,
      key: key.slice(),
      value: value.slice(),
    })),
  );
}

function census(rows: readonly StateRow[]): ReturnType<StateCensus['finish']> {
  const counted = new StateCensus();
  for (const row of rows) counted.add(row);
  return counted.finish();
}

describe('the census of a state', () => {
  test('says of the rows what the machine on them says, in whatever order they come', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.put('a', '2');
    kv.put('b', '3');
    kv.open('me');
    const rows = rowsOf(kv.store);
    const { machine } = kv;
    const expected = {
      position: machine.position,
      stateHash: machine.stateHash(),
      keys: 2,
      sessions: 1,
      leases: 0,
    };
    expect(census(rows)).toEqual(expected);
    expect(census(rows.reverse())).toEqual(expected);
  });

  test('has another hash than the state says when a row was changed, is missing, or is new', () => {
    const kv = new Harness();
    kv.put('a', '1');
    const rows = rowsOf(kv.store);
    const [first] = rows;
    if (first === undefined) throw new Error('no rows');
    const foreign = { ...first, key: text('other') };
    for (const others of [rows.slice(1), [...rows, foreign], [foreign, ...rows.slice(1)]]) {
      const { position, stateHash } = census(others);
      expect(stateHash).not.toBe(position.stateHash);
    }
  });

  test('of nothing is that of an empty store', () => {
    const empty = { index: 0, term: 0, revision: 1, conf: null };
    expect(census([])).toMatchObject({ position: empty, keys: 0, sessions: 0, leases: 0 });
  });
});

test('a state with another configuration row is the same state in another cluster', () => {
  const kv = new Harness();
  kv.put('a', '1');
  const before = kv.machine.position;
  const { table, key, value } = configurationRow(text('other members'));
  kv.store.put(table, key, value);
  const { position } = new KvStateMachine({ store: kv.store });
  expect(position).toEqual({ ...before, conf: text('other members') });
});

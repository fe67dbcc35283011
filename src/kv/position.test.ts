import { describe, expect, test } from 'vitest';
import { memoryStore } from '../store/index.ts';
import { KvStateMachine, positionOf, StateFormatError } from './index.ts';
import { Harness, text } from './testing/harness.ts';

const batch = (index: number, conf: Uint8Array | null = null) => ({
  index,
  term: 3,
  timeMs: 7_000,
  commands: [],
  conf,
});

describe('position', () => {
  test('an empty store is before the first entry, at revision 1, with the hash of nothing', () => {
    const machine = new KvStateMachine({ store: memoryStore() });
    expect(machine.position).toEqual({
      index: 0,
      term: 0,
      conf: null,
      revision: 1,
      logTimeMs: 0,
      stateHash: machine.recomputeStateHash(),
    });
  });

  test('moves with every entry, also with an empty one', () => {
    const machine = new KvStateMachine({ store: memoryStore() });
    machine.apply(batch(4));
    expect(machine.position).toMatchObject({ index: 4, term: 3, revision: 1, logTimeMs: 7_000 });
    machine.apply(batch(9));
    expect(machine.position.index).toBe(9);
  });

  test('keeps the configuration that an entry brought until another brings one, unhashed', () => {
    const machine = new KvStateMachine({ store: memoryStore() });
    machine.apply(batch(1));
    const hash = machine.stateHash();
    machine.apply(batch(2, text('conf of 2')));
    machine.apply(batch(3));
    expect(machine.position.conf).toEqual(text('conf of 2'));
    expect(machine.stateHash()).toBe(hash);
    machine.apply(batch(4, text('conf of 4')));
    expect(machine.position.conf).toEqual(text('conf of 4'));
  });

  test('is read from the rows alone as the machine on them says it, and outlives the store', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.machine.apply({ ...batch(5, text('conf')), timeMs: 2_000_000 });
    const position = positionOf((table, key) => kv.store.get(table, key));
    expect(position).toEqual(kv.machine.position);
    kv.machine.apply({ ...batch(6, text('other')), timeMs: 2_000_000 });
    expect(position).toMatchObject({ index: 5, revision: 2, conf: text('conf') });
    expect(position.stateHash).toBe(kv.machine.stateHash());
  });
});

describe('format', () => {
  test('a state of a newer format is refused, and says what to do', () => {
    const store = memoryStore();
    new KvStateMachine({ store }).apply(batch(1));
    const row = store.get('position', Uint8Array.of(0))?.slice() ?? text('');
    expect(row[0]).toBe(1);
    store.put('position', Uint8Array.of(0), row.with(0, 2));
    const open = (): unknown => new KvStateMachine({ store });
    expect(open).toThrow(StateFormatError);
    expect(open).toThrow('the state is in format 2, this program knows format 1');
    expect(() => positionOf((table, key) => store.get(table, key))).toThrow(StateFormatError);
  });
});

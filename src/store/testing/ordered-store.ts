import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesKey, compareBytes, Prng } from '../../lib/index.ts';
import type { OrderedStore, RangeSpan } from '../types.ts';

type Step =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'remove'; readonly key: Uint8Array }
  | { readonly type: 'range'; readonly span: RangeSpan };

/** Makes an empty store; what it stands on is given back when the store is closed. */
type Create = () => OrderedStore | Promise<OrderedStore>;

/**
 * What every `OrderedStore` promises, as tests. `runs`: how often the random ones try; fewer for a
 * store that is slow to make.
 */
export function testOrderedStore(name: string, create: Create, runs = 150): void {
  describe(`OrderedStore: ${name}`, () => {
    testSingleEntries(create);
    testRanges(create);
    testAgainstModel(create, runs);
  });
}

function testSingleEntries(create: Create): void {
  test('get returns what was put last, null for what was never put or was removed', async () => {
    await withStore(create, (store) => {
      expect(store.get('t', text('a'))).toBeNull();
      store.put('t', text('a'), text('1'));
      store.put('t', text('a'), text('22'));
      expect(plain(store.get('t', text('a')))).toEqual([...text('22')]);
      store.remove('t', text('a'));
      store.remove('t', text('a'));
      expect(store.get('t', text('a'))).toBeNull();
    });
  });

  test('put copies: the arrays given to it may be used again at once', async () => {
    await withStore(create, (store) => {
      const key = text('a');
      const value = text('1');
      store.put('t', key, value);
      key.fill(0xff);
      value.fill(0xff);
      expect(plain(store.get('t', text('a')))).toEqual([...text('1')]);
    });
  });

  test('a view of one table may be put into another', async () => {
    await withStore(create, (store) => {
      store.put('one', text('k'), text('value'));
      store.put('two', text('k'), store.get('one', text('k')) ?? text(''));
      store.put('one', text('k'), text('other'));
      expect(plain(store.get('two', text('k')))).toEqual([...text('value')]);
    });
  });

  test('tables do not see each other', async () => {
    await withStore(create, (store) => {
      store.put('one', text('k'), text('1'));
      expect(store.get('two', text('k'))).toBeNull();
      store.remove('two', text('k'));
      expect(plain(store.get('one', text('k')))).toEqual([...text('1')]);
      expect(store.count('two', { from: text(''), to: null })).toBe(0);
    });
  });

  test('empty keys and values, zero bytes and 0xff bytes are kept apart', async () => {
    await withStore(create, (store) => {
      const keys = [[], [0], [0, 0], [0, 0xff], [1], [0xff], [0xff, 0], [0xff, 0xff]];
      for (const key of keys) store.put('t', Uint8Array.from(key), Uint8Array.from(key));
      const entries = [...store.range('t', { from: text(''), to: null })];
      expect(entries.map((entry) => plain(entry.key))).toEqual(keys);
      expect(entries.map((entry) => plain(entry.value))).toEqual(keys);
    });
  });

  test('a value of some megabytes comes back whole, can be replaced by an empty one', async () => {
    await withStore(create, (store) => {
      const large = new Uint8Array(3 * 1024 * 1024).fill(7);
      for (const key of ['a', 'b', 'c']) store.put('t', text(key), large);
      expect(compareBytes(store.get('t', text('b')) ?? text(''), large)).toBe(0);
      store.put('t', text('b'), text(''));
      expect(plain(store.get('t', text('b')))).toEqual([]);
      expect(store.get('t', text('c'))?.length).toBe(large.length);
    });
  });

  test('close may be called twice', async () => {
    const store = await create();
    store.put('t', text('a'), text('1'));
    store.close();
    store.close();
  });
}

function testRanges(create: Create): void {
  test('from is inside and to is outside, upwards and downwards', async () => {
    await withStore(create, (store) => {
      for (const key of ['a', 'b', 'c', 'd']) store.put('t', text(key), text(key));
      const span = { from: text('b'), to: text('d') };
      expect(keysOf(store, span)).toEqual(['b', 'c']);
      expect(keysOf(store, { ...span, reverse: true })).toEqual(['c', 'b']);
      expect(store.count('t', span)).toBe(2);
    });
  });

  test('a span whose end is not above its start is empty', async () => {
    await withStore(create, (store) => {
      for (const key of ['a', 'b', 'c']) store.put('t', text(key), text(key));
      for (const [from, to] of [
        ['b', 'b'],
        ['c', 'a'],
        ['b', ''],
      ] as const) {
        const span = { from: text(from), to: text(to) };
        expect(keysOf(store, span)).toEqual([]);
        expect(keysOf(store, { ...span, reverse: true })).toEqual([]);
        expect(store.count('t', span)).toBe(0);
      }
    });
  });

  test('an iteration may be left half-way, and the table changed afterwards', async () => {
    await withStore(create, (store) => {
      for (let i = 0; i < 1000; i++) store.put('t', text(`k${i}`), text('v'));
      for (const entry of store.range('t', { from: text(''), to: null })) {
        expect(entry.key.length).toBeGreaterThan(0);
        break;
      }
      store.remove('t', text('k0'));
      expect(store.count('t', { from: text(''), to: null })).toBe(999);
    });
  });

  test('changing the table while iterating is an error', async () => {
    await withStore(create, (store) => {
      for (const key of ['a', 'b', 'c']) store.put('t', text(key), text(key));
      expect(() => {
        for (const _ of store.range('t', { from: text(''), to: null })) {
          store.put('t', text('d'), text('d'));
        }
      }).toThrow();
    });
  });
}

function testAgainstModel(create: Create, runs: number): void {
  test('any steps leave what a sorted array holds after them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step(), { maxLength: 120 }), async (steps) => {
        await withStore(create, (store) => {
          const model = new SortedArray();
          for (const next of steps) run(store, model, next);
          expectSame(store, model, { from: text(''), to: null });
        });
      }),
      { numRuns: runs },
    );
  });

  for (const order of ['ascending', 'descending', 'random'] as const) {
    test(`20,000 ${order} keys, most removed: entries, ranges, counts are right`, async () => {
      await withStore(create, (store) => {
        const model = new Map<string, Uint8Array>();
        const prng = new Prng(42);
        for (let i = 0; i < 20_000; i++) {
          const number =
            order === 'random' ? prng.below(1e9) : order === 'ascending' ? i : 20_000 - i;
          const key = text(String(number).padStart(9, '0'));
          const value = new Uint8Array(prng.below(60)).fill(i);
          store.put('t', key, value);
          model.set(bytesKey(key), value.slice());
        }
        expectAll(store, model);
        for (const key of [...model.keys()]) {
          if (prng.chance(0.05)) continue;
          store.remove('t', text(key));
          model.delete(key);
        }
        expectAll(store, model);
      });
    });
  }
}

/** The whole table, up and down, and a few hundred counts, against the model. */
function expectAll(store: OrderedStore, model: ReadonlyMap<string, Uint8Array>): void {
  const keys = [...model.keys()].sort();
  const all = { from: text(''), to: null };
  expect(keysOf(store, all)).toEqual(keys);
  expect(keysOf(store, { ...all, reverse: true })).toEqual([...keys].reverse());
  const stepSize = Math.max(1, Math.floor(keys.length / 50));
  for (let i = 0; i < keys.length; i += stepSize) {
    const from = text(keys[i] ?? '');
    expect(plain(store.get('t', from))).toEqual(plain(model.get(keys[i] ?? '') ?? null));
    expect(store.count('t', { from, to: null })).toBe(keys.length - i);
    expect(store.count('t', { from: text(''), to: from })).toBe(i);
    const middle = { from, to: text(keys[Math.min(i + 100, keys.length - 1)] ?? '') };
    const expected = keys.slice(i, Math.min(i + 100, keys.length - 1));
    expect(keysOf(store, middle)).toEqual(expected);
    expect(keysOf(store, { ...middle, reverse: true })).toEqual(expected.reverse());
  }
}

/** The model: correct because it is simple. */
class SortedArray {
  entries: { key: Uint8Array; value: Uint8Array }[] = [];

  put(key: Uint8Array, value: Uint8Array): void {
    this.remove(key);
    this.entries.push({ key, value });
    this.entries.sort((a, b) => compareBytes(a.key, b.key));
  }

  remove(key: Uint8Array): void {
    this.entries = this.entries.filter((entry) => compareBytes(entry.key, key) !== 0);
  }

  range({ from, to, reverse }: RangeSpan): { key: Uint8Array; value: Uint8Array }[] {
    const inside = this.entries.filter(
      ({ key }) => compareBytes(key, from) >= 0 && (to === null || compareBytes(key, to) < 0),
    );
    return reverse === true ? inside.reverse() : inside;
  }
}

function run(store: OrderedStore, model: SortedArray, next: Step): void {
  switch (next.type) {
    case 'put':
      store.put('t', next.key.slice(), next.value.slice());
      model.put(next.key, next.value);
      break;
    case 'remove':
      store.remove('t', next.key);
      model.remove(next.key);
      break;
    case 'range':
      expectSame(store, model, next.span);
      break;
  }
}

function expectSame(store: OrderedStore, model: SortedArray, span: RangeSpan): void {
  const actual = [...store.range('t', span)].map(({ key, value }) => [plain(key), plain(value)]);
  const expected = model.range(span).map(({ key, value }) => [plain(key), plain(value)]);
  expect(actual).toEqual(expected);
  expect(store.count('t', { from: span.from, to: span.to })).toBe(expected.length);
  for (const { key, value } of model.range(span)) {
    expect(plain(store.get('t', key))).toEqual(plain(value));
  }
}

/** Few distinct bytes: so that keys meet, and are prefixes of each other. */
function shortKey(): fc.Arbitrary<Uint8Array> {
  const byte = fc.constantFrom(0, 1, 0x61, 0xff);
  return fc.array(byte, { maxLength: 4 }).map((bytes) => Uint8Array.from(bytes));
}

function step(): fc.Arbitrary<Step> {
  const value = fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 20 }) },
    { weight: 1, arbitrary: fc.integer({ min: 2_000, max: 20_000 }).map((n) => new Uint8Array(n)) },
  );
  const span = fc.record({
    from: shortKey(),
    to: fc.option(shortKey()),
    reverse: fc.boolean(),
  });
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ type: fc.constant('put'), key: shortKey(), value }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('remove'), key: shortKey() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('range'), span }) },
  ) as fc.Arbitrary<Step>;
}

function keysOf(store: OrderedStore, span: RangeSpan): string[] {
  return [...store.range('t', span)].map((entry) => bytesKey(entry.key));
}

function plain(bytes: Uint8Array | null): number[] | null {
  return bytes === null ? null : [...bytes];
}

/** One byte per character. */
function text(string: string): Uint8Array {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}

/** Runs `body` on a new store and closes it. */
async function withStore(create: Create, body: (store: OrderedStore) => void): Promise<void> {
  const store = await create();
  try {
    body(store);
  } finally {
    store.close();
  }
}

import type { OrderedStore } from '../types.ts';

const POISON = 0xee;

/**
 * A store whose views really die: what `get` and `range` gave out is overwritten at the next
 * change of its table, so a test fails wherever a view is used after its time.
 */
export function fragileStore(inner: OrderedStore): OrderedStore {
  const lent = new Map<string, Uint8Array[]>();

  function lend(table: string, bytes: Uint8Array): Uint8Array {
    const copy = bytes.slice();
    const views = lent.get(table);
    if (views === undefined) lent.set(table, [copy]);
    else views.push(copy);
    return copy;
  }

  function poison(table: string): void {
    for (const view of lent.get(table) ?? []) view.fill(POISON);
    lent.delete(table);
  }

  return {
    get(table, key) {
      const value = inner.get(table, key);
      return value === null ? null : lend(table, value);
    },
    put(table, key, value) {
      const owned = [key.slice(), value.slice()] as const;
      poison(table);
      inner.put(table, ...owned);
    },
    remove(table, key) {
      const owned = key.slice();
      poison(table);
      inner.remove(table, owned);
    },
    *range(table, span) {
      for (const { key, value } of inner.range(table, span)) {
        yield { key: lend(table, key), value: lend(table, value) };
      }
    },
    count: (table, span) => inner.count(table, span),
    close: () => inner.close(),
  };
}

import { assert } from '../lib/index.ts';
import { Tree } from './tree.ts';
import type { OrderedStore } from './types.ts';

/** An `OrderedStore` in this process's memory; gone with it. A B+tree of packed pages per table. */
export function memoryStore(): OrderedStore {
  const tables = new Map<string, Tree>();
  let closed = false;

  function tableOf(name: string): Tree {
    const known = tables.get(name);
    if (known !== undefined) return known;
    assert(!closed, 'store is closed');
    const tree = new Tree();
    tables.set(name, tree);
    return tree;
  }

  return {
    get: (table, key) => tableOf(table).get(key),
    put: (table, key, value) => tableOf(table).put(key, value),
    remove: (table, key) => tableOf(table).remove(key),
    range: (table, span) => tableOf(table).range(span),
    count: (table, { from, to }) => tableOf(table).count(from, to),
    close() {
      closed = true;
      tables.clear();
    },
  };
}

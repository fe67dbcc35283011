import { expect, test } from 'vitest';
import { memoryStore } from './index.ts';
import { fragileStore, testOrderedStore } from './testing/index.ts';

testOrderedStore('memoryStore', memoryStore);
testOrderedStore('memoryStore behind fragile views', () => fragileStore(memoryStore()));

test('a closed memory store refuses to be used', () => {
  const store = memoryStore();
  store.close();
  expect(() => store.get('t', new Uint8Array(1))).toThrow('store is closed');
});

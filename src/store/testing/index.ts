/** For tests of implementations and users of `OrderedStore`. */
export { fragileStore } from './fragile-store.ts';
export { testOrderedStore } from './ordered-store.ts';

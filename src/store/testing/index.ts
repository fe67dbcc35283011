/** For tests of implementations and users of `OrderedStore` and `Engine`. */
export { commit, type EnginePlace, put, rowsOf, testEngine } from './engine.ts';
export { fragileStore } from './fragile-store.ts';
export { testOrderedStore } from './ordered-store.ts';
export { tempDirectory } from './temp-directory.ts';

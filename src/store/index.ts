/**
 * Ordered bytes: the one interface that the state machine keeps its tables in, and its
 * implementations. `memoryStore` is a B+tree of packed pages (`page.ts`, `tree.ts`).
 * `testing/` holds the conformance suite that every implementation runs.
 */
export { memoryStore } from './memory-store.ts';
export type { OrderedStore, RangeSpan, StoreEntry } from './types.ts';

/**
 * Judges what clients saw. Stands alone: it imports none of the code it judges. `checkLinearizable`
 * searches for an order that explains a mixed history; `checkAppends` looks at what many appends
 * left.
 */
export { checkAppends, type TokenAppend } from './appends.ts';
export type { Call, KvOperation } from './history.ts';
export { checkLinearizable, type Verdict } from './linearizable.ts';

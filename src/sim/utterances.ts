import { InvariantViolation } from '../lib/index.ts';
import { StoreError } from '../store/index.ts';
import { WalError } from '../wal/index.ts';

/* What members say in their logs and as reasons to end, and what it means to whoever looks on. */

/** Words of log lines, and what they are counted as. */
const COUNTED: readonly (readonly [words: string, counter: string])[] = [
  ['log segment full', 'log segment full'],
  ['damaged: ', 'damage found'],
  ['is empty but the cluster has a history', 'member found its directory empty'],
  ['is cut off', 'torn tail cut off'],
  ['stepping down', 'leader with a stalled disk stepped down'],
];

/** Counters that a line of a member's log adds to. */
export function countersOf(line: string): string[] {
  return COUNTED.filter(([words]) => line.includes(words)).map(([, name]) => `sometimes: ${name}`);
}

/** It stops because its log lacks what it had acknowledged: its disk was set back. */
export function isOfLostEntries(reason: Error): boolean {
  return reason.message.includes('Move the directory away and start with an empty one');
}

/** The reason is that what is stored is not what was written. */
export function isOfDamage(reason: unknown): boolean {
  if (reason instanceof WalError || reason instanceof StoreError) {
    return reason.code === 'CORRUPT' || isOfDamage(reason.cause);
  }
  return reason instanceof Error && isOfDamage(reason.cause);
}

/** A member may stop for this: its disk failed, and not what it promises. */
export function isExpected(reason: Error): boolean {
  if (reason.cause instanceof StoreError) return isExpected(reason.cause);
  if (reason instanceof InvariantViolation) return false;
  if (reason instanceof WalError) return reason.code === 'IO';
  if (reason instanceof StoreError) return reason.code === 'IO' || reason.code === 'FULL';
  return reason.message.startsWith('the disk has not finished a write');
}

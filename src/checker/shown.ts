import type { RecordedCall } from './history.ts';

/** Comparing is given up beyond this many, some seconds' worth. */
const COMPARISONS_MAX = 100_000_000;

/**
 * For each of some writes of unknown outcome: the time after which no read shows it any more. A
 * write that no read can show any more might as well not happen: whatever comes next that can be
 * seen overwrites it. Infinity where that can't be told: among other operations than get, put and
 * append, lengths or digests in replies, or too many calls.
 * @param writes indexes of puts and appends
 */
export function shownUntil(
  calls: readonly RecordedCall[],
  writes: readonly number[],
): Float64Array {
  const until = new Float64Array(writes.length).fill(Number.POSITIVE_INFINITY);
  if (writes.length === 0) return until;
  const reads: { text: string; returned: number }[] = [];
  for (const { operation, outcome, returned } of calls) {
    const { type } = operation;
    if (type !== 'get' && type !== 'put' && type !== 'append') return until;
    if (outcome.type !== 'ok') continue;
    const { result } = outcome;
    if (result.type === 'append' && result.valueBytes !== null) return until;
    if (result.type !== 'get' || result.value === null) continue;
    if (typeof result.value !== 'string') return until;
    reads.push({ text: result.value, returned: returned ?? Number.POSITIVE_INFINITY });
  }
  if (writes.length * reads.length > COMPARISONS_MAX) return until;
  reads.sort((a, b) => b.returned - a.returned);
  writes.forEach((index, i) => {
    const { operation } = calls[index] as RecordedCall;
    const value = operation.type === 'put' || operation.type === 'append' ? operation.value : '';
    const last = reads.find(({ text }) => text.includes(value));
    until[i] = last?.returned ?? Number.NEGATIVE_INFINITY;
  });
  return until;
}

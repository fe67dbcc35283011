import type { Range, RangeOrder, RevisionBounds } from '../api/index.ts';
import { compareBytes } from '../lib/index.ts';
import type { KeyRow } from './rows.ts';

/** A key of a range, without its value; a view. */
export interface FoundKey {
  readonly key: Uint8Array;
  readonly row: KeyRow;
}

/** What is left of a range when it has been bounded, ordered and cut. */
export interface Selection {
  readonly found: readonly FoundKey[];
  /** Keys were left out because of the limit. */
  readonly more: boolean;
  /** Keys of the range, before bounds and limit. */
  readonly count: number;
}

/**
 * etcd's rules: the count knows neither bounds nor limit; bounds come before the order, the order
 * before the limit. (etcd cuts before it orders when a target is given without a direction. That
 * answers no question, and here it is ascending.)
 */
export function select(
  range: Range,
  keys: Iterable<FoundKey>,
  readValue: (row: KeyRow) => Uint8Array,
): Selection {
  const { limit, countOnly, order, bounds } = range;
  // One more than the limit tells that there are more; to order them, all are needed.
  const neededMax = limit === null || order !== undefined ? Number.MAX_SAFE_INTEGER : limit + 1;
  const found: FoundKey[] = [];
  let count = 0;
  for (const each of keys) {
    count++;
    if (countOnly || found.length === neededMax) continue;
    if (bounds === undefined || isWithin(each.row, bounds)) found.push(each);
  }
  const ordered = order === undefined ? found : inOrder(found, order, readValue);
  const cut = limit === null ? ordered : ordered.slice(0, limit);
  return { found: cut, more: cut.length < ordered.length, count };
}

function isWithin({ modRevision, createRevision }: KeyRow, bounds: RevisionBounds): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = bounds;
  return (
    (minModRevision === null || modRevision >= minModRevision) &&
    (maxModRevision === null || modRevision <= maxModRevision) &&
    (minCreateRevision === null || createRevision >= minCreateRevision) &&
    (maxCreateRevision === null || createRevision <= maxCreateRevision)
  );
}

/** `found` is in the order of the keys, and sorting is stable: so equal ones stay in it. */
function inOrder(
  found: FoundKey[],
  { target, descending }: RangeOrder,
  readValue: (row: KeyRow) => Uint8Array,
): readonly FoundKey[] {
  const sign = descending ? -1 : 1;
  switch (target) {
    case 'key':
      return descending ? found.reverse() : found;
    case 'value': {
      const valued = found.map((each) => ({ each, value: readValue(each.row) }));
      valued.sort((a, b) => sign * compareBytes(a.value, b.value));
      return valued.map(({ each }) => each);
    }
    default:
      return found.sort((a, b) => sign * (a.row[target] - b.row[target]));
  }
}

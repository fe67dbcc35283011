import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { majorityOf, quorumValue, voteResult } from './quorum.ts';
import type { MemberId } from './types.ts';

const ids = fc.uniqueArray(fc.bigInt({ min: 1n, max: 9n }), { maxLength: 7 });
const quorums = fc.record({ voters: ids, outgoingVoters: ids });

/** By the definition: the highest value that more than half of each list has reached. */
function naiveQuorumValue(
  lists: readonly (readonly MemberId[])[],
  values: ReadonlyMap<MemberId, number>,
): number | null {
  const reached = (list: readonly MemberId[], value: number) =>
    list.length === 0 ||
    list.filter((id) => (values.get(id) ?? 0) >= value).length * 2 > list.length;
  if (lists.every((list) => list.length === 0)) return null;
  for (let value = 20; value > 0; value--) {
    if (lists.every((list) => reached(list, value))) return value;
  }
  return 0;
}

describe('quorumValue', () => {
  test('equals the definition for any voters, old and new', () => {
    const values = fc.array(fc.tuple(fc.bigInt({ min: 1n, max: 9n }), fc.nat(20)));
    fc.assert(
      fc.property(quorums, values, (conf, pairs) => {
        const of = new Map(pairs);
        const expected = naiveQuorumValue([conf.voters, conf.outgoingVoters], of);
        expect(quorumValue(conf, (id) => of.get(id) ?? 0)).toBe(expected);
      }),
    );
  });

  test('is what a majority of three, four and five has', () => {
    const at = (...values: number[]) =>
      quorumValue(
        { voters: values.map((_, i) => BigInt(i + 1)), outgoingVoters: [] },
        (id) => values[Number(id) - 1] ?? 0,
      );
    expect(at(7)).toBe(7);
    expect(at(7, 9)).toBe(7);
    expect(at(3, 9, 5)).toBe(5);
    expect(at(1, 2, 3, 4)).toBe(2);
    expect(at(5, 4, 3, 2, 1)).toBe(3);
  });

  test('a joint configuration needs both majorities (Raft §6)', () => {
    const conf = { voters: [1n, 2n, 3n], outgoingVoters: [3n, 4n, 5n] };
    const values = new Map([1n, 2n, 3n].map((id) => [id, 10]));
    expect(quorumValue(conf, (id) => values.get(id) ?? 4)).toBe(4);
  });

  test('an empty list decides nothing; without any voter nothing is reached', () => {
    expect(quorumValue({ voters: [1n], outgoingVoters: [] }, () => 6)).toBe(6);
    expect(quorumValue({ voters: [], outgoingVoters: [1n] }, () => 6)).toBe(6);
    expect(quorumValue({ voters: [], outgoingVoters: [] }, () => 6)).toBeNull();
  });
});

describe('voteResult', () => {
  test('is won or lost exactly when the open votes cannot change it', () => {
    const votes = fc.array(fc.tuple(fc.bigInt({ min: 1n, max: 9n }), fc.boolean()));
    fc.assert(
      fc.property(quorums, votes, (conf, pairs) => {
        const of = new Map(pairs);
        const winsWith = (open: boolean) =>
          [conf.voters, conf.outgoingVoters].every(
            (list) => list.filter((id) => of.get(id) ?? open).length >= majorityOf(list.length),
          );
        const expected = winsWith(false) ? 'won' : winsWith(true) ? 'pending' : 'lost';
        expect(voteResult(conf, (id) => of.get(id))).toBe(expected);
      }),
    );
  });

  test('two quorums of one configuration always meet', () => {
    fc.assert(
      fc.property(
        ids.filter((list) => list.length > 0),
        fc.func(fc.boolean()),
        (voters, side) => {
          const conf = { voters, outgoingVoters: [] };
          const both = [true, false].map((wanted) => voteResult(conf, (id) => side(id) === wanted));
          expect(both).not.toEqual(['won', 'won']);
        },
      ),
    );
  });
});

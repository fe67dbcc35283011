import { describe, expect, test } from 'vitest';
import { EMPTY_BYTES } from '../lib/index.ts';
import type { ConfState, Entry } from '../raft/index.ts';
import type { WalRecovery } from '../wal/index.ts';
import { raftStart } from './recovery.ts';

const CONF: ConfState = {
  voters: [1n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const LATER: ConfState = { ...CONF, voters: [1n, 2n] };

function empties(from: number, to: number): Entry[] {
  return Array.from({ length: to + 1 - from }, (_, i) => ({
    kind: 'empty',
    index: from + i,
    term: 2,
  }));
}

/** `state`: the index up to which the state has the entries too. */
function recovered(all: readonly Entry[], state = 0): WalRecovery {
  const entries = all.filter((entry) => entry.index > state);
  const earlierEntries = all.filter((entry) => entry.index <= state);
  const hardState = { term: 2, vote: null, commitIndex: 0 };
  const tail = { kind: 'clean' } as const;
  const rest = { created: false, reset: false, rejoinFloorTerm: null };
  return { ...rest, confState: CONF, hardState, entries, earlierEntries, tail };
}

describe('what a start finds', () => {
  test('nothing in the state: the whole log is applied, under its first configuration', () => {
    const start = raftStart({ index: 0, term: 0, confState: null }, recovered(empties(1, 3)));
    expect(start).toMatchObject({ snapshot: null, applied: 0, confState: CONF });
    expect(start.entries).toHaveLength(3);
  });

  test('a state and the log behind it: the state is the snapshot', () => {
    const durable = { index: 5, term: 2, confState: LATER };
    const start = raftStart(durable, recovered(empties(6, 8)));
    expect(start).toMatchObject({ applied: 5, snapshot: { index: 5, term: 2, confState: LATER } });
    expect(start.entries.map((entry) => entry.index)).toEqual([6, 7, 8]);
  });

  test('a state that never saw a configuration has the one that the log began with', () => {
    const start = raftStart({ index: 5, term: 2, confState: null }, recovered([]));
    expect(start.snapshot).toEqual({ index: 5, term: 2, confState: CONF });
    expect(start.entries).toEqual([]);
  });

  test('entries that the state has already are kept, from the last change of members on', () => {
    const durable = { index: 7, term: 2, confState: LATER };
    const all = empties(3, 9);
    expect(raftStart(durable, recovered(all, 7))).toMatchObject({
      applied: 7,
      snapshot: { index: 3, confState: LATER },
    });
    const change = { action: 'addVoter', memberId: 2n } as const;
    all[2] = {
      kind: 'confChange',
      index: 5,
      term: 2,
      change: { type: 'simple', change, context: EMPTY_BYTES },
    };
    const start = raftStart(durable, recovered(all, 7));
    expect(start.snapshot).toEqual({ index: 5, term: 2, confState: LATER });
    expect(start.entries.map((entry) => entry.index)).toEqual([6, 7, 8, 9]);
  });

  test('state and log of different histories are refused', () => {
    const durable = { index: 5, term: 1, confState: LATER };
    expect(() => raftStart(durable, recovered(empties(3, 9), 5))).toThrow('another history');
    const ahead = { index: 12, term: 2, confState: LATER };
    expect(() => raftStart(ahead, recovered(empties(3, 9), 12))).toThrow('another history');
  });
});

import { describe, expect, test } from 'vitest';
import type { ReplicaStatus } from '../../src/replica/index.ts';
import { MemoryWal } from '../../src/replica/testing/memory-wal.ts';
import { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { RaftOracle } from './raft-oracle.ts';

/* The judge of the Raft tests finds what it is there for. */

const LEADS: ReplicaStatus = {
  role: 'leader',
  term: 3,
  leader: 1n,
  commitIndex: 0,
  applied: 0,
  firstIndex: 1,
  lastIndex: 0,
  logBytes: 0,
  flushedIndex: 0,
  snapshotsSending: 0,
  snapshotReceiving: false,
  parked: 0,
};

function emptyDisk(): MemoryWal {
  const none = { outgoingVoters: [], learners: [], learnersNext: [], autoLeave: false };
  const confState = { voters: [1n, 2n, 3n], ...none };
  return new MemoryWal(new VirtualClock(), confState, null, { index: 0, term: 0 });
}

describe('the oracle', () => {
  test('accepts servers that apply the same commands', () => {
    const oracle = new RaftOracle();
    for (const id of [1n, 2n]) oracle.applied(id, 1, { index: 2, term: 1, command: 'a' });
    oracle.changed(1n, LEADS);
    oracle.changed(1n, LEADS);
    oracle.check();
    expect(oracle.positionOf('a')).toBe(1);
  });

  test('finds two commands at one position, and one command at two indexes', () => {
    for (const other of [
      { index: 2, term: 1, command: 'b' },
      { index: 3, term: 1, command: 'a' },
    ]) {
      const oracle = new RaftOracle();
      oracle.applied(1n, 1, { index: 2, term: 1, command: 'a' });
      oracle.applied(2n, 1, other);
      expect(() => oracle.check()).toThrow('state machine safety');
    }
  });

  test('finds a command that was left out', () => {
    const oracle = new RaftOracle();
    oracle.applied(1n, 2, { index: 2, term: 1, command: 'a' });
    expect(() => oracle.check()).toThrow('left out');
  });

  test('finds a state that holds another command, or one that nobody has applied', () => {
    for (const state of [['b'], ['a', 'b']]) {
      const oracle = new RaftOracle();
      oracle.applied(1n, 1, { index: 2, term: 1, command: 'a' });
      oracle.restored(2n, ['a']);
      oracle.check();
      oracle.restored(2n, state);
      expect(() => oracle.check()).toThrow('state machine safety');
    }
  });

  test('finds two leaders of one term', () => {
    const oracle = new RaftOracle();
    oracle.changed(1n, LEADS);
    oracle.changed(2n, LEADS);
    expect(() => oracle.check()).toThrow('election safety');
  });

  test('finds a promise that the disk does not hold', () => {
    const envelope = { from: 1n, to: 2n, term: 1 };
    for (const message of [
      { type: 'appendEntriesReply', accepted: true, matchIndex: 1, ...envelope },
      { type: 'requestVoteReply', granted: true, ...envelope },
    ] as const) {
      const oracle = new RaftOracle();
      oracle.sent(message, emptyDisk());
      expect(() => oracle.check()).toThrow('disk');
    }
  });
});

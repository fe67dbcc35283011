import { describe, expect, test } from 'vitest';
import type { AppendEntriesAccepted, Entry, HeartbeatReply } from '../index.ts';
import { Cluster } from './cluster.ts';
import {
  accepted,
  appendEntries,
  entries,
  heartbeat,
  heartbeatReply,
  only,
  preVoteReply,
  requestVoteReply,
} from './solo.ts';

/*
 * An oracle that never objects proves nothing. Here messages are forged that no correct member
 * would send, so that correct cores break an invariant, and the oracle has to say which.
 */

const THREE = [1n, 2n, 3n];

function elected(): Cluster {
  const cluster = new Cluster({ voters: THREE });
  cluster.elect(1n, [2n, 3n]);
  cluster.stabilize();
  return cluster;
}

function forgedAck(matchIndex: number): AppendEntriesAccepted {
  return accepted({ from: 2n, to: 1n, term: 1, matchIndex });
}

/** Starts an election whose answers are all made up. */
function electByForgery(cluster: Cluster, id: bigint, voter: bigint): void {
  cluster.campaign(id);
  const { term } = cluster.raft(id);
  cluster.deliver(preVoteReply({ from: voter, to: id, term: term + 1 }));
  cluster.deliver(requestVoteReply({ from: voter, to: id, term: term + 1 }));
}

describe('Oracle', () => {
  test('sees a leader without a majority of votes', () => {
    const cluster = new Cluster({ voters: THREE });
    expect(() => electByForgery(cluster, 1n, 2n)).toThrow('leader without a majority of votes');
  });

  test('sees two leaders in a term', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.elect(1n, [2n]);
    cluster.isolate(1n);
    expect(() => electByForgery(cluster, 3n, 2n)).toThrow('two leaders in a term');
  });

  test('sees a commit that rests on no durable majority', () => {
    const cluster = elected();
    cluster.isolate(1n);
    cluster.propose(1n, 'a');
    expect(() => cluster.deliver(forgedAck(2))).toThrow('commit without a durable majority');
  });

  test('sees a follower commit what no leader has committed', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    cluster.stabilize([2n, 3n]);
    cluster.deliver(only(cluster.network, 'appendEntries')[0] ?? forgedAck(0));
    const forged = heartbeat({ from: 1n, to: 2n, term: 1, commitIndex: 2 });
    expect(() => cluster.deliver(forged)).toThrow('commit without a leader');
  });

  test('sees two entries with the same index and term', () => {
    const cluster = elected();
    cluster.isolate(1n);
    cluster.propose(1n, 'a');
    const [forged] = entries([1], 2);
    const append = { from: 1n, to: 2n, prevLogIndex: 1, prevLogTerm: 1 };
    const message = appendEntries({ ...append, entries: [forged as Entry] });
    expect(() => cluster.deliver(message)).toThrow('log matching');
  });

  test('sees a committed entry change', () => {
    const cluster = elected();
    cluster.isolate(3n);
    cluster.propose(1n, 'a');
    cluster.stabilize();
    const [forged] = entries([2], 2);
    const append = { from: 2n, to: 3n, term: 2, prevLogIndex: 1, prevLogTerm: 1, leaderCommit: 2 };
    const message = appendEntries({ ...append, entries: [forged as Entry] });
    expect(() => cluster.deliver(message)).toThrow('committed entry changed');
  });

  test('sees a stale read', () => {
    const cluster = elected();
    cluster.isolate(1n);
    cluster.elect(2n, [3n]);
    cluster.stabilize([2n, 3n]);
    let attempt: HeartbeatReply['readAttempt'] = null;
    cluster.heal();
    cluster.readIndex(1n, 7);
    for (const message of only(cluster.network, 'heartbeat')) attempt = message.readAttempt;
    const forged = heartbeatReply({ from: 3n, to: 1n, term: 1, readAttempt: attempt });
    expect(() => cluster.deliver(forged)).toThrow('stale read');
  });

  test('sees a disk that lost what a leader needs to be elected', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    cluster.stabilize();
    for (const id of [1n, 2n]) {
      cluster.crash(id);
      cluster.member(id).disk.log.restore({ index: 0, term: 0, confState: cluster.confState });
      const { disk } = cluster.member(id);
      disk.hardState = { term: 1, vote: 1n, commitIndex: 0 };
      disk.written = disk.hardState;
      cluster.restart(id);
    }
    expect(() => cluster.elect(2n, [1n])).toThrow('leader lacks a committed entry');
  });

  test('sees a member forget its vote', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.elect(1n, [2n]);
    cluster.crash(2n);
    cluster.member(2n).disk.hardState = null;
    cluster.member(2n).disk.written = null;
    cluster.restart(2n);
    expect(() => cluster.elect(3n, [2n])).toThrow('two votes in a term');
  });
});

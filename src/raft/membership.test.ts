import { describe, expect, test } from 'vitest';
import type { Message } from './message.ts';
import {
  accepted,
  Cluster,
  ELECTION_TICKS,
  heartbeatReply,
  only,
  Solo,
  simple,
} from './testing/index.ts';

function receivers(messages: readonly Message[]): bigint[] {
  return [...new Set(messages.map(({ to }) => to))];
}

/** Ticks while the given peers answer, so that the leader keeps its quorum. */
function tickHeard(solo: Solo, ticks: number, peers: readonly bigint[]): Message[] {
  const { term } = solo.raft;
  const sent: Message[] = [];
  for (let i = 0; i < ticks; i++) {
    sent.push(...solo.tick());
    sent.push(...solo.receive(...peers.map((from) => heartbeatReply({ from, term }))));
  }
  return sent;
}

describe('a removed member', () => {
  test('learns of its removal: it stays fed for an election timeout after the commit', () => {
    const cluster = new Cluster({ voters: [1n, 2n, 3n] });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.changeConf(1n, simple('remove', 3n));
    cluster.stabilize();
    const removed = cluster.raft(3n);
    expect(removed.confState.voters).toEqual([1n, 2n]);
    expect(removed.commitIndex).toBe(cluster.raft(1n).commitIndex);
    for (let i = 0; i < 50; i++) {
      cluster.tick(3n);
      expect(removed.role).toBe('follower');
    }
  });

  test('is then forgotten', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.ackAll(solo.changeConf(simple('remove', 3n)));
    expect(receivers(tickHeard(solo, ELECTION_TICKS, [2n]))).toEqual([2n, 3n]);
    tickHeard(solo, 1, [2n]);
    expect(receivers(tickHeard(solo, 5, [2n]))).toEqual([2n]);
    expect(receivers(solo.propose())).toEqual([2n]);
  });

  test('counts for nothing: neither for a commit nor for the leader’s quorum', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(simple('remove', 3n));
    solo.receive(accepted({ from: 3n, matchIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(1);
    tickHeard(solo, ELECTION_TICKS, [3n]);
    expect(solo.raft.role).toBe('follower');
  });

  test('that comes back starts anew: what it once acknowledged is not believed', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n] });
    solo.becomeSettledLeader();
    solo.ackAll(solo.changeConf(simple('remove', 4n)));
    solo.ackAll(solo.propose());
    const sent = solo.changeConf(simple('addVoter', 4n));
    expect(only(sent, 'appendEntries').find(({ to }) => to === 4n)).toMatchObject({ entries: [] });
    const [beat] = only(solo.tick(), 'heartbeat').filter(({ to }) => to === 4n);
    expect(beat?.commitIndex).toBe(0);
  });
});

describe('a removed leader', () => {
  test('hands over to the voter that has most, so that nobody waits for a timeout', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n] });
    solo.becomeSettledLeader();
    solo.changeConf(simple('remove', 1n));
    solo.propose('after');
    solo.receive(accepted({ from: 2n, matchIndex: 2 }));
    expect(solo.raft.role).toBe('leader');
    const sent = solo.receive(accepted({ from: 4n, matchIndex: 3 }));
    expect(only(sent, 'timeoutNow').map(({ to }) => to)).toEqual([4n]);
    expect(solo.raft).toMatchObject({ role: 'follower', leader: null, commitIndex: 2 });
  });

  test('the rest goes on within a round trip', () => {
    const cluster = new Cluster({ voters: [1n, 2n, 3n] });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.changeConf(1n, simple('remove', 1n));
    cluster.stabilize();
    expect(cluster.leader).toBe(2n);
    expect(cluster.propose(2n, 'x')).toMatchObject({ accepted: true });
    cluster.stabilize();
    expect(cluster.raft(3n).commitIndex).toBe(cluster.raft(2n).lastIndex);
  });
});

test('a joint configuration that wants to be left waits while leadership is handed over', () => {
  const solo = new Solo({ voters: [1n, 2n, 3n] });
  solo.becomeSettledLeader();
  const joint = solo.run((raft) => {
    raft.proposeConfChange({
      type: 'enterJoint',
      changes: [{ action: 'addLearner', memberId: 3n }],
      autoLeave: true,
      context: new Uint8Array(),
    });
    raft.transferLeadership(2n);
  });
  solo.receive(
    ...only(joint, 'appendEntries').map(({ to: from }) => accepted({ from, matchIndex: 2 })),
  );
  expect(solo.raft.confState.outgoingVoters).toEqual([1n, 2n, 3n]);
  tickHeard(solo, ELECTION_TICKS, [2n, 3n]);
  expect(solo.raft.confState).toMatchObject({ outgoingVoters: [], learners: [3n] });
});

import { afterEach, describe, expect, test } from 'vitest';
import type { ProposeOutcome } from './index.ts';
import { Group, type Pending } from './testing/group.ts';

let group: Group;
afterEach(() => group.close());

function answerOf(pending: Pending<ProposeOutcome>): string | null {
  return pending.outcome?.type === 'applied'
    ? new TextDecoder().decode(pending.outcome.answer)
    : null;
}

describe('commands', () => {
  test('a command is applied on every member, and its proposer gets its own answer', () => {
    group = new Group({ size: 3, seed: 1 });
    const leader = group.leader();
    const calls = ['a', 'b', 'c'].map((text) => group.propose(leader, text));
    group.clock.advance(200);
    expect(calls.map(answerOf)).toEqual(['1', '2', '3']);
    for (const member of group.members) expect(member.machine.applied).toEqual(['a', 'b', 'c']);
  });

  test('all commands of one turn become one log entry', () => {
    group = new Group({ size: 3, seed: 2 });
    const leader = group.leader();
    for (let i = 0; i < 1000; i++) group.propose(leader, `c${i}`);
    group.clock.advance(200);
    expect(leader.machine.applied).toHaveLength(1000);
    expect(leader.machine.entries).toBe(1);
  });

  test('a lone member decides alone, after its own disk', () => {
    group = new Group({ size: 1, seed: 3 });
    const leader = group.leader();
    leader.wal.syncMs = 50;
    const call = group.propose(leader, 'x');
    group.clock.advance(40);
    expect(call.outcome).toBeNull();
    group.clock.advance(20);
    expect(answerOf(call)).toBe('1');
  });

  test('a follower refuses at once and names the leader', () => {
    group = new Group({ size: 3, seed: 4 });
    const leader = group.leader();
    group.clock.advance(100);
    const [follower] = group.followers();
    const call = group.propose(follower ?? leader, 'x');
    expect(call.outcome).toEqual({ type: 'notLeader', leader: leader.id });
  });

  test('an undecided command is answered "timeout" after the request timeout', () => {
    group = new Group({ size: 3, seed: 5 });
    const leader = group.leader();
    for (const member of group.members) member.wal.stalled = true;
    leader.wal.stalled = false;
    const call = group.propose(leader, 'x');
    group.clock.advance(2_200);
    expect(call.outcome).toEqual({ type: 'timeout' });
  });

  test('a restarted member applies its log again and ends where the others are', () => {
    group = new Group({ size: 3, seed: 6 });
    const leader = group.leader();
    for (const text of ['a', 'b', 'c']) group.propose(leader, text);
    group.clock.advance(300);
    for (const member of group.members) group.restart(member);
    group.leader();
    group.clock.advance(500);
    for (const member of group.members) expect(member.machine.applied).toEqual(['a', 'b', 'c']);
  });
});

describe('discarded commands leave no caller waiting', () => {
  test('a leader cut off with 100 parked commands answers all when it loses leadership', () => {
    group = new Group({ size: 3, seed: 7 });
    const old = group.leader();
    group.clock.advance(100);
    group.isolate(old);
    const calls = Array.from({ length: 100 }, (_, i) => group.propose(old, `dec${i}`));
    const cutMs = group.clock.nowMs();
    group.clock.advanceUntil(() => old.replica.status().role !== 'leader', 5_000);
    expect(group.clock.nowMs() - cutMs).toBeLessThanOrEqual(2 * 200 + 50);
    group.clock.advance(1);
    const types = new Set(calls.map((call) => call.outcome?.type));
    expect(types).toEqual(new Set(['leadershipLost']));
  });

  test('answers are matched by index and term: a re-used index answers nobody else', () => {
    group = new Group({ size: 3, seed: 8 });
    const old = group.leader();
    group.clock.advance(100);
    group.isolate(old);
    const lost = group.propose(old, 'lost');
    const next = group.leader();
    const kept = group.propose(next, 'kept');
    group.clock.advance(200);
    group.heal();
    group.clock.advance(1_000);
    expect(answerOf(kept)).toBe('1');
    expect(lost.outcome?.type).toBe('leadershipLost');
    for (const member of group.members) expect(member.machine.applied).toEqual(['kept']);
  });

  test('closing answers everything that waits', async () => {
    group = new Group({ size: 3, seed: 9 });
    const leader = group.leader();
    group.isolate(leader);
    const parked = Array.from({ length: 100 }, () => group.propose(leader, 'x'));
    group.clock.advance(5);
    const queued = group.propose(leader, 'y');
    const read = group.read(leader);
    await group.stop(leader);
    expect(new Set(parked.map((call) => call.outcome?.type))).toEqual(new Set(['leadershipLost']));
    expect(queued.outcome).toEqual({ type: 'stopped' });
    expect(read.outcome).toEqual({ type: 'stopped' });
    expect(group.propose(leader, 'z').outcome).toEqual({ type: 'stopped' });
  });
});

describe('reads', () => {
  test('a barrier is confirmed on any member, behind every acknowledged write', () => {
    group = new Group({ size: 3, seed: 10 });
    const leader = group.leader();
    const write = group.propose(leader, 'w');
    group.clock.advanceUntil(() => write.outcome !== null, 1_000);
    const reads = group.members.map((member) => ({ member, read: group.read(member) }));
    for (const { member, read } of reads) {
      group.clock.advanceUntil(() => read.outcome !== null, 1_000);
      expect(read.outcome).toEqual({ type: 'confirmed' });
      expect(member.machine.applied).toEqual(['w']);
    }
  });

  test('a leader that is cut off confirms no read', () => {
    group = new Group({ size: 3, seed: 11 });
    const old = group.leader();
    group.clock.advance(100);
    group.isolate(old);
    const read = group.read(old);
    group.clock.advanceUntil(() => read.outcome !== null, 5_000);
    expect(read.outcome?.type).toBe('notLeader');
  });

  test('a confirmed read whose state does not come in time is answered "timeout"', () => {
    group = new Group({ size: 3, seed: 17 });
    const leader = group.leader();
    const [follower = leader] = group.followers();
    follower.wal.stalled = true;
    const write = group.propose(leader, 'w');
    group.clock.advanceUntil(() => write.outcome !== null, 1_000);
    const askedMs = group.clock.nowMs();
    const read = group.read(follower);
    const later = group.read(follower);
    group.clock.advanceUntil(() => read.outcome !== null && later.outcome !== null, 10_000);
    expect(read).toEqual({ outcome: { type: 'timeout' }, endedMs: later.endedMs });
    expect((read.endedMs ?? 0) - askedMs).toBeLessThanOrEqual(2_020);
    follower.wal.resume();
    group.clock.advance(200);
    const next = group.read(follower);
    group.clock.advanceUntil(() => next.outcome !== null, 1_000);
    expect(next.outcome).toEqual({ type: 'confirmed' });
  });
});

describe('time and disk', () => {
  test('log time goes on after a change of leader and never runs backwards', () => {
    group = new Group({ size: 3, seed: 12 });
    const first = group.leader();
    group.propose(first, 'a');
    group.clock.advance(5_000);
    group.propose(first, 'b');
    group.clock.advance(100);
    group.isolate(first);
    const second = group.leader();
    group.clock.advance(3_000);
    group.propose(second, 'c');
    group.clock.advance(100);
    const [a = 0, b = 0, c = 0] = second.machine.timesMs;
    expect(b - a).toBeGreaterThanOrEqual(4_990);
    expect(c - b).toBeGreaterThanOrEqual(2_990);
  });

  test('a leader whose disk stands still steps down within two election timeouts', () => {
    group = new Group({ size: 3, seed: 13 });
    const old = group.leader();
    group.clock.advance(100);
    old.wal.stalled = true;
    group.propose(old, 'x');
    group.clock.advanceUntil(() => old.replica.status().role !== 'leader', 5_000);
    expect(old.wal.waitingMs() ?? 0).toBeLessThanOrEqual(2 * 200);
    const next = group.leader();
    expect(next.id).not.toBe(old.id);
    const call = group.propose(next, 'y');
    group.clock.advance(300);
    expect(call.outcome?.type).toBe('applied');
  });

  test('a disk that stays stalled ends the replica', () => {
    group = new Group({ size: 3, seed: 14 });
    const old = group.leader();
    old.wal.stalled = true;
    group.propose(old, 'x');
    group.clock.advance(21_000);
    expect(old.life.failure?.message).toMatch(/the disk has not finished a write for 2\d{4} ms/);
  });

  test('a process that slept does not campaign because of its own sleep', () => {
    group = new Group({ size: 3, seed: 15 });
    const leader = group.leader();
    group.clock.advance(300);
    const term = leader.replica.status().term;
    group.clock.sleep(60_000);
    group.clock.advance(2_000);
    expect(group.leader().replica.status().term).toBe(term);
  });
});

test('a state machine that throws stops its replica, and the caller is told', () => {
  group = new Group({ size: 1, seed: 16 });
  const leader = group.leader();
  leader.machine.apply = () => {
    throw new Error('broken machine');
  };
  const call = group.propose(leader, 'x');
  group.clock.advance(100);
  expect(leader.life.failure?.message).toBe('broken machine');
  expect(call.outcome?.type).toBe('leadershipLost');
});

import { afterEach, describe, expect, test } from 'vitest';
import { converge, LIVE_BYTES_MAX, TIGHT } from './testing/catch-up.ts';
import { Group, type TestMember } from './testing/group.ts';

/*
 * The scenarios of the course lab's Part D (MIT 6.5840, snapshots), on virtual time. Its service
 * takes a snapshot every ten entries and lets 2,000 bytes of state live; here the bound is 300.
 */

let group: Group;
afterEach(() => group.close());

let next = 0;
function submit(rounds: number): void {
  for (let i = 0; i < rounds; i++) {
    group.propose(group.leader(), `s${next++}`);
    group.clock.advance(2);
  }
}

function one(expected: number): void {
  group.commit(`one${next++}`, expected);
}

function logsAreBounded(): void {
  for (const { id, logBytesMax } of group.members) {
    expect(logBytesMax, `live log of member ${id}`).toBeLessThanOrEqual(LIVE_BYTES_MAX);
  }
}

function start(seed: number, lossy = false): void {
  next = 0;
  group = new Group({ size: 3, seed, compaction: TIGHT, lossy });
  one(3);
}

test('SnapshotBasic: logs stay short while everybody is there', () => {
  start(1);
  for (let i = 0; i < 30; i++) {
    submit(5 + group.prng.below(10));
    one(3);
  }
  logsAreBounded();
  for (const { storage } of group.members) expect(storage.writes).toBeGreaterThan(30);
  expect(group.bulk).toEqual([]);
});

describe.each([
  ['SnapshotInstall', 'disconnect', false],
  ['SnapshotInstallUnreliable', 'disconnect', true],
  ['SnapshotInstallCrash', 'crash', false],
  ['SnapshotInstallUnCrash', 'crash', true],
] as const)('%s', (_name, fault, lossy) => {
  test(`30 rounds with a member away (${fault}), every third time the leader`, () => {
    start(lossy ? 3 : 2, lossy);
    for (let round = 0; round < 30; round++) {
      const leader = group.leader();
      const victim = round % 3 === 1 ? leader : (group.followers()[0] as TestMember);
      if (fault === 'crash') group.crash(victim);
      else group.isolate(victim);
      one(2);
      submit(5 + group.prng.below(10));
      one(2);
      if (fault === 'crash') group.start(victim);
      else group.heal();
      one(3);
      logsAreBounded();
    }
    expect(converge(group), 'the members converge').toBe(true);
    const installed = group.bulk.filter(
      (message) => 'status' in message && message.status === 'installed',
    );
    expect(installed.length).toBeGreaterThan(10);
  });
});

describe.each([false, true])('unreliable network: %s', (lossy) => {
  test('SnapshotAllCrash: everybody loses power, again and again, and nothing is lost', () => {
    start(4, lossy);
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 5 + group.prng.below(10); i++) one(3);
      const before = group.leader().replica.status().applied;
      for (const member of group.members) group.crash(member);
      for (const member of group.members) group.start(member);
      one(3);
      expect(group.leader().replica.status().applied).toBeGreaterThan(before);
    }
    logsAreBounded();
  });

  test('SnapshotInit: a state that was flushed once survives two restarts in a row', () => {
    start(5, lossy);
    for (let i = 0; i < 11; i++) one(3);
    for (let round = 0; round < 2; round++) {
      for (const member of group.members) group.crash(member);
      for (const member of group.members) group.start(member);
      one(3);
    }
    for (const { machine } of group.members) expect(machine.applied[0]).toBe('one0');
  });
});

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import type { Entry } from '../raft/index.ts';
import type { SnapshotChunk, SnapshotChunkReply } from '../transport/index.ts';
import {
  converge,
  type Lagging,
  LIVE_BYTES_MAX,
  lagging,
  load,
  TIGHT,
} from './testing/catch-up.ts';
import { Group, type TestMember } from './testing/group.ts';

let open: Group[] = [];
afterEach(() => {
  for (const group of open) group.close();
  open = [];
});

function lag(seed: number, options: Partial<ConstructorParameters<typeof Group>[0]> = {}): Lagging {
  const all = lagging({ seed, snapshotLimits: { windowBytesMax: 200 }, ...options });
  open.push(all.group);
  return all;
}

function chunks(group: Group): SnapshotChunk[] {
  return group.bulk.filter((message) => message.type === 'snapshotChunk');
}

function replies(group: Group): SnapshotChunkReply[] {
  return group.bulk.filter((message) => message.type === 'snapshotChunkReply');
}

function isWhole({ group, leader, laggard }: Lagging): void {
  expect(converge(group), 'the members converge').toBe(true);
  expect(laggard.machine.applied).toEqual(leader.machine.applied);
  expect(laggard.life.failure).toBeNull();
  group.commit('after', group.members.length);
}

describe('a member that is too far behind', () => {
  test('gets the state in chunks, and the log from there on', () => {
    const all = lag(1);
    const { group, leader, laggard } = all;
    const before = laggard.replica.status().applied;
    group.heal();
    isWhole(all);
    expect(chunks(group).length).toBeGreaterThan(3);
    const [installed] = replies(group).filter((reply) => reply.status === 'installed');
    expect(installed?.from).toBe(laggard.id);
    expect(laggard.replica.status().flushedIndex).toBeGreaterThan(before);
    expect(leader.replica.status().snapshotsSending).toBe(0);
  });

  test('starts again from what was installed, with nothing of its old log', () => {
    const all = lag(2);
    const { group, laggard } = all;
    group.heal();
    isWhole(all);
    group.restart(laggard);
    expect(laggard.wal.recovery.reset).toBe(false);
    const { applied } = laggard.replica.status();
    expect(applied).toBeGreaterThan(30);
    isWhole(all);
  });

  test('a read asked while the snapshot is on its way is served after it is installed', () => {
    const { group, laggard } = lag(3);
    group.heal();
    const receiving = (): boolean => laggard.replica.status().snapshotReceiving;
    expect(group.clock.advanceUntil(receiving, 1_000)).toBe(true);
    laggard.storage.stalled = true;
    const read = group.read(laggard);
    group.clock.advance(150);
    expect(read.outcome).toBeNull();
    laggard.storage.resume();
    group.clock.advanceUntil(() => read.outcome !== null, 1_000);
    expect(read.outcome).toEqual({ type: 'confirmed' });
    expect(laggard.machine.applied).toContain('c32');
  });

  test('log time goes on from the installed state', () => {
    const { group, leader, laggard } = lag(4);
    group.heal();
    expect(converge(group)).toBe(true);
    const seenMs = leader.state.logTimeMs;
    expect(seenMs).toBeGreaterThan(0);
    expect(laggard.state.logTimeMs).toBe(seenMs);
    group.isolate(leader);
    group.commit('later', 2);
    for (const member of group.members.filter((each) => each !== leader)) {
      expect(member.state.logTimeMs).toBeGreaterThan(seenMs);
    }
  });
});

describe('lost power during a transfer', () => {
  /** Runs a transfer for `stepMs`, takes power from one side, and looks whether all ends well. */
  function crashAfter(stepMs: number, side: 'leader' | 'laggard'): string {
    const all = lag(100 + stepMs);
    const { group, laggard } = all;
    laggard.storage.writeMs = 8;
    group.heal();
    const began = group.clock.advanceUntil(() => laggard.replica.status().snapshotReceiving, 1_000);
    expect(began).toBe(true);
    group.clock.advance(stepMs);
    const phase = laggard.storage.writing
      ? 'installing'
      : laggard.replica.status().snapshotReceiving
        ? 'receiving'
        : 'installed';
    const victim = all[side];
    group.crash(victim);
    group.clock.advance(group.prng.below(300));
    group.start(victim);
    group.commit('go on', 3);
    expect(converge(group), `crash ${stepMs} ms into the transfer`).toBe(true);
    expect(laggard.life.failure).toBeNull();
    expect(laggard.machine.applied.slice(0, 33)).toEqual(
      Array.from({ length: 33 }, (_, i) => `c${i}`),
    );
    return phase;
  }

  test.each(['leader', 'laggard'] as const)('at any millisecond, of the %s: harmless', (side) => {
    const phases = new Map<string, number>();
    for (let stepMs = 0; stepMs < 40; stepMs += 2) {
      const phase = crashAfter(stepMs, side);
      phases.set(phase, (phases.get(phase) ?? 0) + 1);
    }
    expect([...phases.keys()].sort()).toEqual(['installed', 'installing', 'receiving']);
  });

  test('between the installed state and the log: the log starts anew behind the state', () => {
    const all = lag(5);
    const { group, laggard } = all;
    group.heal();
    const { writes } = laggard.storage;
    group.clock.advanceUntil(() => laggard.storage.writes > writes, 2_000);
    // The state is in place, and the log has not been told.
    laggard.wal.stalled = true;
    const { index } = laggard.state.durable;
    expect(laggard.wal.durable.lastIndex).toBeLessThan(index);
    laggard.life.alive = false;
    laggard.wal.cutPower(0);
    laggard.storage.cutPower(false);
    group.start(laggard);
    expect(laggard.wal.recovery.reset).toBe(true);
    expect(laggard.replica.status().applied).toBe(index);
    isWhole(all);
  });
});

describe('transfers that are disturbed', () => {
  test('lost, copied and reordered chunks and replies: the state arrives as it was sent', () => {
    for (let seed = 0; seed < 20; seed++) {
      const all = lag(seed, { chunkBytesMax: 50 });
      all.group.lossy = true;
      all.group.heal();
      expect(converge(all.group), `seed ${seed}`).toBe(true);
      expect(all.laggard.machine.applied).toEqual(all.leader.machine.applied);
    }
  });

  test('a broken connection: the transfer goes on where it was', () => {
    const all = lag(6, { chunkBytesMax: 50 });
    const { group, laggard } = all;
    group.heal();
    group.clock.advanceUntil(() => chunks(group).length >= 5, 2_000);
    const [first] = chunks(group);
    group.filter = (message) => message.type !== 'snapshotChunk';
    group.clock.advance(3_500);
    group.filter = () => true;
    isWhole(all);
    expect(new Set(chunks(group).map((chunk) => chunk.transferId))).toEqual(
      new Set([first?.transferId]),
    );
    expect(laggard.storage.writes).toBeGreaterThan(0);
  });

  test('a receiver that stays silent: given up, and begun afresh once it is heard', () => {
    const all = lag(7, { snapshotLimits: { windowBytesMax: 200, resendMs: 100, resendsMax: 3 } });
    const { group, leader } = all;
    group.heal();
    group.filter = (message) => message.type !== 'snapshotChunk';
    group.clock.advanceUntil(() => leader.replica.status().snapshotsSending === 1, 1_000);
    expect(leader.replica.status().snapshotsSending).toBe(1);
    group.clock.advanceUntil(() => leader.replica.status().snapshotsSending === 0, 1_000);
    expect(leader.replica.status().snapshotsSending).toBe(0);
    group.filter = () => true;
    isWhole(all);
    expect(chunks(group)[0]?.transferId).toBeGreaterThan(1);
  });

  test('the leader changes: the next one sends its own, and the old one stops', () => {
    const all = lag(8, { size: 5, chunkBytesMax: 20 });
    const { group, leader, laggard } = all;
    group.heal();
    group.clock.advanceUntil(() => chunks(group).length >= 10, 2_000);
    expect(laggard.replica.status().snapshotReceiving).toBe(true);
    group.isolate(leader);
    const second = group.leader();
    load(group, 33, 30, 4);
    expect(leader.replica.status().snapshotsSending).toBe(0);
    expect(laggard.machine.applied).toEqual(second.machine.applied);
    const terms = new Set(chunks(group).map((chunk) => chunk.term));
    expect(terms.size).toBe(2);
    group.heal();
    isWhole(all);
  });

  test('a snapshot that arrives while another one is being installed waits, and is safe', () => {
    const all = lag(9, { size: 5 });
    const { group, leader, laggard } = all;
    group.heal();
    laggard.storage.stalled = true;
    group.clock.advanceUntil(() => laggard.storage.writing, 2_000);
    group.isolate(leader);
    const cut = chunks(group).length;
    group.commit('new leader', 3);
    load(group, 33, 30, 3);
    group.clock.advanceUntil(() => chunks(group).length > cut, 5_000);
    expect(chunks(group).length).toBeGreaterThan(cut);
    expect(laggard.storage.writing).toBe(true);
    laggard.storage.resume();
    expect(converge(group, 1)).toBe(false);
    group.heal();
    isWhole(all);
  });

  test('a member that reached the commit index by itself installs nothing', () => {
    const all = lag(10);
    const { group, leader, laggard } = all;
    group.heal();
    group.clock.advanceUntil(() => chunks(group).length >= 1, 2_000);
    const [chunk] = chunks(group);
    isWhole(all);
    const { writes } = laggard.storage;
    const late = { ...(chunk as SnapshotChunk), transferId: 99 };
    laggard.replica.stepBulk(late);
    group.clock.advance(50);
    expect(replies(group).at(-1)).toMatchObject({ transferId: 99, status: 'installed' });
    expect(laggard.replica.status().snapshotReceiving).toBe(false);
    expect(laggard.storage.writes).toBe(writes);
    expect(leader.life.failure).toBeNull();
  });

  test('chunks of a deposed leader are refused', () => {
    const { group, laggard } = lag(11);
    group.heal();
    group.clock.advanceUntil(() => chunks(group).length >= 1, 2_000);
    const [chunk] = chunks(group);
    laggard.replica.stepBulk({ ...(chunk as SnapshotChunk), term: 0, transferId: 99 });
    group.clock.advance(10);
    expect(replies(group).some((r) => r.transferId === 99 && r.status === 'refused')).toBe(true);
  });
});

describe('several laggards', () => {
  test('at most two transfers run at a time; the third waits its turn', () => {
    const group = new Group({ size: 7, seed: 12, compaction: TIGHT, chunkBytesMax: 50 });
    open.push(group);
    load(group, 0, 3, 7);
    const away = group.followers().slice(0, 3);
    for (const member of away) group.isolate(member);
    load(group, 3, 30, 4);
    let most = 0;
    group.filter = () => {
      const sending = group.members.map((member) => member.replica.status().snapshotsSending);
      most = Math.max(most, ...sending);
      return true;
    };
    group.heal();
    expect(converge(group)).toBe(true);
    expect(most).toBe(2);
    const served = new Set(chunks(group).map((chunk) => chunk.to));
    expect(served).toEqual(new Set(away.map((member) => member.id)));
  });
});

describe('the live log', () => {
  test('keeps within twice its bound under load while a follower is away', () => {
    const { group } = lag(13);
    load(group, 33, 200, 2);
    for (const member of group.members) {
      expect(member.logBytesMax).toBeLessThanOrEqual(LIVE_BYTES_MAX);
    }
  });

  test('waits for who receives a snapshot, up to one and a half of the bound', () => {
    const { group, leader, laggard } = lag(14);
    laggard.storage.stalled = true;
    group.heal();
    group.clock.advanceUntil(() => laggard.storage.writing, 2_000);
    const [chunk] = chunks(group);
    const needed = (chunk as SnapshotChunk).position.index + 1;
    let spared = 0;
    for (let i = 33; leader.replica.status().firstIndex <= needed && i < 100; i++) {
      spared = leader.replica.status().logBytes;
      group.commit(`c${i}`, 2);
      group.clock.advance(10);
    }
    expect(spared).toBeGreaterThan(TIGHT.bytesMax);
    expect(leader.replica.status().firstIndex).toBeGreaterThan(needed);
    expect(leader.logBytesMax).toBeLessThanOrEqual(LIVE_BYTES_MAX);
    laggard.storage.resume();
    expect(converge(group)).toBe(true);
    expect(new Set(chunks(group).map((each) => each.transferId)).size).toBe(2);
  });

  test('a leader whose state is not flushed refuses commands before it exceeds the bound', () => {
    const group = new Group({ size: 3, seed: 15, compaction: TIGHT });
    open.push(group);
    const leader = group.leader();
    leader.storage.stalled = true;
    const refused: string[] = [];
    for (let i = 0; i < 60; i++) {
      const call = group.propose(leader, `c${i}`);
      if (call.outcome !== null) refused.push(call.outcome.type);
      group.clock.advance(5);
    }
    expect(refused.length).toBeGreaterThan(10);
    expect(new Set(refused)).toEqual(new Set(['overloaded']));
    expect(leader.logBytesMax).toBeLessThanOrEqual(LIVE_BYTES_MAX);
    leader.storage.resume();
    group.commit('again', 3);
  });

  test('a follower whose state is not flushed takes no entries before it exceeds the bound', () => {
    const group = new Group({ size: 3, seed: 16, compaction: TIGHT });
    open.push(group);
    load(group, 0, 3, 3);
    const [slow = group.leader()] = group.followers();
    slow.storage.stalled = true;
    load(group, 3, 60, 2);
    expect(slow.machine.applied.length).toBeLessThan(60);
    expect(slow.logBytesMax).toBeGreaterThan(TIGHT.bytesMax);
    expect(slow.logBytesMax).toBeLessThanOrEqual(LIVE_BYTES_MAX);
    slow.storage.resume();
    expect(converge(group)).toBe(true);
  });

  test('entries that were cut off are released from memory', async () => {
    const group = new Group({ size: 3, seed: 17, compaction: TIGHT });
    open.push(group);
    const entries: WeakRef<Entry>[] = [];
    group.filter = (message) => {
      if (message.type === 'appendEntries') {
        for (const entry of message.entries) entries.push(new WeakRef(entry));
      }
      return true;
    };
    load(group, 0, 100, 3);
    group.clock.advance(2_500);
    const { firstIndex } = group.leader().replica.status();
    expect(entries.length).toBeGreaterThan(200);
    expect(firstIndex).toBeGreaterThan(90);
    const held = () => entries.flatMap((ref) => ref.deref()?.index ?? []);
    // Not always by the first one: V8 compiles on other threads, which may hold what they look at.
    for (let i = 0; i < 20 && Math.min(...held()) < firstIndex; i++) await collectGarbage();
    expect(Math.min(...held())).toBeGreaterThanOrEqual(firstIndex);
  });
});

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  // A WeakRef keeps its target until the turn that looked at it is over.
  await new Promise((resolve) => setImmediate(resolve));
  gc();
}

function untouched(member: TestMember): void {
  expect(member.life.failure).toBeNull();
}

describe('flushes', () => {
  test('a member stopped in order applies nothing again at its next start', async () => {
    const group = new Group({ size: 3, seed: 18 });
    open.push(group);
    load(group, 0, 10, 3);
    for (const member of group.members) await group.stop(member);
    for (const member of group.members) group.start(member);
    for (const member of group.members) {
      expect(member.wal.recovery.entries).toEqual([]);
      expect(member.machine.applied).toHaveLength(10);
      untouched(member);
    }
    group.commit('after', 3);
  });

  test('log time goes on after everybody started from a flushed state', async () => {
    const group = new Group({ size: 3, seed: 19 });
    open.push(group);
    group.clock.advance(50_000);
    load(group, 0, 3, 3);
    const seenMs = group.leader().state.logTimeMs;
    expect(seenMs).toBeGreaterThan(40_000);
    for (const member of group.members) await group.stop(member);
    for (const member of group.members) group.start(member);
    load(group, 3, 2, 3);
    const [, , , before = 0, after = 0] = group.leader().machine.timesMs;
    expect(before).toBeGreaterThanOrEqual(seenMs);
    expect(after).toBeGreaterThanOrEqual(before);
    const times = group.members.map((member) => member.machine.timesMs.join());
    expect(new Set(times).size).toBe(1);
  });

  test('after a crash only what was applied since the last flush is applied again', () => {
    const group = new Group({ size: 1, seed: 20, compaction: TIGHT });
    open.push(group);
    load(group, 0, 50, 1);
    group.clock.advance(20);
    const [member = group.leader()] = group.members;
    const { flushedIndex, applied } = member.replica.status();
    expect(applied - flushedIndex).toBeLessThan(10);
    group.restart(member);
    expect(member.replica.status().applied).toBeGreaterThanOrEqual(flushedIndex);
    group.commit('after', 1);
    expect(member.machine.applied).toHaveLength(51);
  });

  test('a state that holds much unflushed is flushed although the log is short', () => {
    const compaction = { unflushedBytesMax: 100 };
    const group = new Group({ size: 1, seed: 21, compaction });
    open.push(group);
    load(group, 0, 20, 1);
    group.clock.advance(20);
    expect(group.leader().storage.writes).toBe(0);
    load(group, 20, 20, 1);
    group.clock.advance(20);
    expect(group.leader().storage.writes).toBeGreaterThan(0);
  });

  test('a flush that fails ends the replica, and the log still has everything', () => {
    const group = new Group({ size: 1, seed: 22, compaction: TIGHT });
    open.push(group);
    const [member = group.leader()] = group.members;
    member.storage.failure = new Error('ENOSPC');
    for (let i = 0; i < 20; i++) {
      group.propose(group.members[0] as TestMember, `c${i}`);
      group.clock.advance(5);
    }
    expect(member.life.failure?.message).toBe('the state could not be flushed: ENOSPC');
    const { applied } = member.replica.status();
    group.restart(member);
    group.commit('after', 1);
    expect(member.replica.status().applied).toBeGreaterThan(applied);
  });

  test('a flush that never ends, ends the replica', () => {
    const group = new Group({ size: 1, seed: 23, compaction: TIGHT });
    open.push(group);
    const [member = group.leader()] = group.members;
    member.storage.stalled = true;
    for (let i = 0; i < 8; i++) {
      group.propose(group.leader(), `c${i}`);
      group.clock.advance(5);
    }
    group.clock.advance(61_000);
    expect(member.life.failure?.message).toMatch(/not flushed within 60\d\d\d ms/);
  });

  test('an installation that fails ends the replica; after a restart it comes again', () => {
    const all = lag(24);
    const { group, laggard } = all;
    laggard.storage.failure = new Error('EIO');
    group.heal();
    group.clock.advanceUntil(() => laggard.life.failure !== null, 2_000);
    expect(laggard.life.failure?.message).toBe('a snapshot could not be installed: EIO');
    group.restart(laggard);
    isWhole(all);
  });

  test('stopping in the middle of a transfer leaves nothing behind', async () => {
    const all = lag(25);
    const { group, laggard } = all;
    group.heal();
    group.clock.advanceUntil(() => laggard.replica.status().snapshotReceiving, 2_000);
    await group.stop(laggard);
    group.start(laggard);
    isWhole(all);
  });
});

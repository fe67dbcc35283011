import { beforeEach, describe, expect, test } from 'vitest';
import type { MemberStatus } from '../api/index.ts';
import { memoryDisk } from '../io/index.ts';
import type { ConfState, Entry, HardState } from '../raft/index.ts';
import { encodeBatch } from '../replica/index.ts';
import { openWal, replaceWal, type Wal } from '../wal/index.ts';
import { Counters } from './counters.ts';
import { Oracle } from './oracle.ts';
import { World } from './world.ts';

const MEMBERS = new Map([
  [1n, 'm1'],
  [2n, 'm2'],
  [3n, 'm3'],
]);

const SEGMENT_BYTES = 128 * 1024;
const CONF_STATE: ConfState = {
  voters: [1n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

let oracle: Oracle;
beforeEach(() => {
  oracle = new Oracle(MEMBERS, new Counters());
});

function status(changes: Partial<MemberStatus>): MemberStatus {
  return {
    clusterId: 1n,
    memberId: 1n,
    name: 'm1',
    version: '',
    role: 'follower',
    leader: null,
    term: 1,
    commitIndex: 0,
    appliedIndex: 0,
    revision: 1,
    stateHash: 'a',
    sessions: 0,
    logBytes: 0,
    ...changes,
  };
}

function entry(index: number, term: number, text = ''): Entry {
  const commands = text === '' ? [] : [new TextEncoder().encode(text)];
  return { kind: 'command', index, term, data: encodeBatch({ timeMs: 0, commands }) };
}

/** A real log whose durable writes the oracle sees as those of a member. */
async function logOf(memberId: bigint): Promise<Wal> {
  const disk = memoryDisk();
  const { clock } = new World(1, null).process('p', { offsetMs: 0, rate: 1 });
  const silent = (): void => {};
  return await openWal({
    disk: {
      ...disk,
      makeDirectory: (path) => disk.makeDirectory(path),
      list: (path) => disk.list(path),
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      syncDirectory: (path) => disk.syncDirectory(path),
      lock: (path) => disk.lock(path),
      open: async (path, options) => {
        const file = await disk.open(path, options);
        return Object.assign(file, {
          writeDurably: (_: number, bytes: Uint8Array, done: (error: null) => void) => {
            oracle.durable(memberId, bytes);
            queueMicrotask(() => done(null));
          },
        });
      },
    },
    clock,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    directory: '/d',
    identity: { clusterId: 1n, memberId },
    confState: CONF_STATE,
    limits: { segmentBytes: SEGMENT_BYTES },
    onFailure: (error) => {
      throw error;
    },
  });
}

async function write(
  wal: Wal,
  entries: readonly Entry[],
  hardState: HardState | null = null,
): Promise<void> {
  await new Promise<void>((resolve) => wal.append({ entries, hardState }, resolve));
}

describe('a promise that is broken is found', () => {
  test('two leaders in a term', () => {
    oracle.observe(1n, status({ role: 'leader' }));
    expect(() => oracle.observe(2n, status({ role: 'leader' }))).toThrow('one leader per term');
  });

  test('a term, commit index or applied index that goes back within an incarnation', () => {
    oracle.observe(1n, status({ term: 5 }));
    expect(() => oracle.observe(1n, status({ term: 4 }))).toThrow('grow');
    oracle.started(1n);
    oracle.observe(1n, status({ term: 4 }));
  });

  test('a granted vote that is not on disk, and not one that is', async () => {
    const reply = { type: 'requestVoteReply', from: 1n, to: 2n, term: 3, granted: true } as const;
    expect(() => oracle.sending(1n, reply)).toThrow('after the disk');
    await write(await logOf(1n), [], { term: 3, vote: 2n, commitIndex: 0 });
    oracle.sending(1n, reply);
    expect(() => oracle.sending(1n, { ...reply, to: 3n })).toThrow('after the disk');
  });

  test('an accepted append that is not on disk', async () => {
    await write(await logOf(1n), [entry(1, 1)], { term: 1, vote: null, commitIndex: 0 });
    const reply = {
      type: 'appendEntriesReply',
      from: 1n,
      to: 2n,
      term: 1,
      accepted: true,
    } as const;
    oracle.sending(1n, { ...reply, matchIndex: 1 });
    expect(() => oracle.sending(1n, { ...reply, matchIndex: 2 })).toThrow('after the disk');
  });

  test('an entry applied that only a minority has', async () => {
    await write(await logOf(1n), [entry(1, 1)]);
    const applied = status({ commitIndex: 1, appliedIndex: 1 });
    expect(() => oracle.observe(1n, applied)).toThrow('durable on a majority');
    await write(await logOf(2n), [entry(1, 1)]);
    oracle.observe(1n, applied);
  });

  test('two members that applied different entries, or reached different states', async () => {
    for (const id of [1n, 2n]) await write(await logOf(id), [entry(1, 1)]);
    await write(await logOf(3n), [entry(1, 2)]);
    oracle.observe(1n, status({ commitIndex: 1, appliedIndex: 1 }));
    const other = status({ term: 2, commitIndex: 1, appliedIndex: 1 });
    expect(() => oracle.observe(3n, other)).toThrow('state machine safety');
    const diverged = status({ commitIndex: 1, appliedIndex: 1, stateHash: 'b' });
    expect(() => oracle.observe(2n, diverged)).toThrow('equal state');
  });

  test('a leader without what was committed before its term', async () => {
    for (const id of [1n, 2n]) await write(await logOf(id), [entry(1, 1)]);
    oracle.observe(1n, status({ commitIndex: 1, appliedIndex: 1 }));
    const leader = status({ role: 'leader', term: 2 });
    expect(() => oracle.observe(3n, leader)).toThrow('leader completeness');
    oracle.observe(2n, { ...leader, term: 3 });
  });

  test('a committed entry that is replaced, save by who has not heard of the term', async () => {
    const asleep = await logOf(3n);
    const awake = await logOf(2n);
    for (const wal of [await logOf(1n), awake, asleep]) await write(wal, [entry(1, 1)]);
    await write(awake, [], { term: 3, vote: null, commitIndex: 0 });
    oracle.observe(1n, status({ term: 3, commitIndex: 1, appliedIndex: 1 }));
    await expect(write(awake, [entry(1, 2)])).rejects.toThrow('committed entries stay');
    await write(asleep, [entry(1, 2)], { term: 3, vote: null, commitIndex: 0 });
    await expect(write(asleep, [entry(1, 3)])).rejects.toThrow('committed entries stay');
  });

  test('a leader that replaces entries of its own log', async () => {
    const wal = await logOf(1n);
    await write(wal, [entry(1, 1), entry(2, 1)], { term: 2, vote: 1n, commitIndex: 0 });
    oracle.observe(1n, status({ role: 'leader', term: 2 }));
    const replacing = write(wal, [entry(2, 2)]);
    await expect(replacing).rejects.toThrow('leader append-only');
  });

  test('a log that was made anew, as if nothing had been there', async () => {
    await write(await logOf(1n), [entry(1, 1)]);
    await expect(logOf(1n)).rejects.toThrow('durable data stays');
  });

  test('an acknowledgement of what is in no committed entry', () => {
    expect(() => oracle.acknowledged(7, 1)).toThrow('acknowledged is committed');
  });
});

describe('a member whose disk was lost', () => {
  const LOST = { term: 6, vote: null, commitIndex: 0 };
  const vote = { type: 'requestVoteReply', from: 1n, to: 2n, term: 7, granted: true } as const;

  /** Names a log's first file, as `replaceWal` and `openWal` make it. */
  async function begin(rejoinFloorTerm: number | null): Promise<void> {
    const disk = memoryDisk();
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const identity = { clusterId: 1n, memberId: 1n };
    const hardState = rejoinFloorTerm === null ? null : LOST;
    await replaceWal(
      { disk, log, identity, directory: '/d', limits: { segmentBytes: SEGMENT_BYTES } },
      { confState: CONF_STATE, hardState, base: null, rejoinFloorTerm },
    );
    const [path = ''] = disk.paths().filter((name) => name.endsWith('.wal'));
    oracle.named(1n, disk.peek(path));
  }

  beforeEach(async () => {
    await write(await logOf(1n), [entry(1, 5)], { term: 5, vote: 2n, commitIndex: 0 });
  });

  test('may begin its log anew, if it knows how much it has forgotten', async () => {
    oracle.lost(1n);
    await expect(begin(null)).rejects.toThrow('who has forgotten knows how much');
    await expect(begin(4)).rejects.toThrow('who has forgotten knows how much');
    await begin(5);
    expect(oracle.termOf(1n)).toBe(6);
    expect(oracle.isWhole(1n, 0)).toBe(false);
  });

  test('begins its log anew for no other reason', async () => {
    await expect(begin(5)).rejects.toThrow('durable data stays');
    oracle.lost(1n);
    oracle.inUse(1n);
    await expect(begin(5)).rejects.toThrow('durable data stays');
  });

  test('does not vote before it has an entry of a later term', async () => {
    oracle.lost(1n);
    await begin(5);
    expect(() => oracle.sending(1n, vote)).toThrow('who has forgotten does not vote');
    await write(await logOf(1n), [entry(1, 5), entry(2, 6)], { term: 7, vote: 2n, commitIndex: 0 });
    oracle.sending(1n, vote);
    expect(oracle.isWhole(1n, 0)).toBe(true);
  });

  test('does not vote twice in a term, also when it has forgotten the first vote', async () => {
    oracle.lost(1n);
    await begin(5);
    const wal = await logOf(1n);
    await write(wal, [entry(1, 6)], { term: 7, vote: 2n, commitIndex: 0 });
    oracle.lost(1n);
    await begin(6);
    const again = write(await logOf(1n), [entry(1, 7)], { term: 7, vote: 3n, commitIndex: 0 });
    await expect(again).rejects.toThrow('one vote per term');
  });

  test('still counts for what it has held', async () => {
    await write(await logOf(2n), [entry(1, 5)]);
    oracle.lost(1n);
    await begin(5);
    oracle.observe(2n, status({ term: 5, commitIndex: 1, appliedIndex: 1 }));
  });

  test('and was set back has what it had then', async () => {
    const copy = oracle.copyOf(1n);
    await write(await logOf(2n), [entry(1, 5), entry(2, 5)]);
    await write(await logOf(3n), [entry(1, 5), entry(2, 5)]);
    expect([oracle.isSpare(1n), oracle.isSpare(2n)]).toEqual([true, false]);
    oracle.observe(2n, status({ term: 5, commitIndex: 2, appliedIndex: 2 }));
    expect(oracle.isPrefix(1n, copy)).toBe(true);
    oracle.rollBack(1n, copy);
    expect([oracle.lastIndexOf(1n), oracle.isWhole(1n, 2)]).toEqual([1, false]);
  });
});

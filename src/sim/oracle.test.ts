import { beforeEach, describe, expect, test } from 'vitest';
import type { MemberStatus } from '../api/index.ts';
import { memoryDisk } from '../io/index.ts';
import type { Entry, HardState } from '../raft/index.ts';
import { encodeBatch } from '../replica/index.ts';
import { openWal, type Wal } from '../wal/index.ts';
import { Counters } from './counters.ts';
import { Oracle } from './oracle.ts';
import { World } from './world.ts';

const MEMBERS = new Map([
  [1n, 'm1'],
  [2n, 'm2'],
  [3n, 'm3'],
]);

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
    confState: {
      voters: [1n],
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
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

import { beforeEach, describe, expect, test } from 'vitest';
import type { AppendEntries, Heartbeat, Message, ReadIndexReply } from '../raft/index.ts';
import { CommitNotices } from './notices.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

const DELAY_MS = 1;
const ENVELOPE = { from: 1n, term: 3 } as const;

let clock: VirtualClock;
let sent: Message[][];
let notices: CommitNotices;

beforeEach(() => {
  clock = new VirtualClock();
  sent = [];
  const send = (messages: readonly Message[]): void => void sent.push([...messages]);
  notices = new CommitNotices({ clock, delayMs: DELAY_MS, send });
});

function notice(to: bigint, leaderCommit: number): AppendEntries {
  const place = { prevLogIndex: 9, prevLogTerm: 3, entries: [], leaderCommit };
  return { type: 'appendEntries', ...ENVELOPE, to, ...place };
}

function entries(to: bigint, leaderCommit: number): AppendEntries {
  const entry = { index: 10, term: 3, kind: 'empty' } as const;
  return { ...notice(to, leaderCommit), entries: [entry] };
}

function heartbeat(to: bigint): Heartbeat {
  return { type: 'heartbeat', ...ENVELOPE, to, commitIndex: 5, readAttempt: null };
}

function readIndexReply(to: bigint): ReadIndexReply {
  return { type: 'readIndexReply', ...ENVELOPE, to, requestId: 1, readIndex: 5 };
}

describe('What only says how far the log is committed', () => {
  test('leaves when the delay is over, the latest of each member only', () => {
    expect(notices.sift([notice(2n, 5), notice(3n, 5)])).toEqual([]);
    expect(notices.sift([notice(2n, 6)])).toEqual([]);
    clock.advance(DELAY_MS - 0.5);
    expect(sent).toEqual([]);
    clock.advance(0.5);
    expect(sent).toEqual([[notice(3n, 5), notice(2n, 6)]]);
    clock.advance(10 * DELAY_MS);
    expect(sent).toHaveLength(1);
  });

  test('never leaves to a member that is sent entries: they say the same', () => {
    notices.sift([notice(2n, 5), notice(3n, 5)]);
    expect(notices.sift([entries(2n, 5)])).toEqual([entries(2n, 5)]);
    clock.advance(DELAY_MS);
    expect(sent).toEqual([[notice(3n, 5)]]);
  });

  test('leaves in front of the answer to a read that waits for it', () => {
    notices.sift([notice(2n, 5)]);
    expect(notices.sift([readIndexReply(2n)])).toEqual([notice(2n, 5), readIndexReply(2n)]);
    clock.advance(DELAY_MS);
    expect(sent).toEqual([]);
  });

  test('is forgotten when it counts for nothing any more, and the next ones are not', () => {
    notices.sift([notice(2n, 5)]);
    notices.drop();
    clock.advance(DELAY_MS);
    expect(sent).toEqual([]);
    notices.sift([notice(2n, 6)]);
    clock.advance(DELAY_MS);
    expect(sent).toEqual([[notice(2n, 6)]]);
  });

  test('holds nothing else up', () => {
    const others = [heartbeat(2n), entries(2n, 5), heartbeat(3n)];
    expect(notices.sift([notice(2n, 4), ...others])).toEqual(others);
    clock.advance(DELAY_MS);
    expect(sent).toEqual([]);
  });
});

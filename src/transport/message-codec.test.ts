import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, DecodeError, hex } from '../lib/index.ts';
import type { Message } from '../raft/index.ts';
import { decodeMessage, encodeMessage, messageBytes } from './message-codec.ts';
import { anyMessage } from './testing/index.ts';

function encode(message: Message): Uint8Array {
  const writer = new ByteWriter();
  encodeMessage(writer, message);
  return writer.finish();
}

function decode(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const message = decodeMessage(reader);
  reader.end();
  return message;
}

test('every message comes back as it was sent', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(decode(encode(message))).toEqual(message);
    }),
    { numRuns: 1000 },
  );
});

test('messageBytes is never below the encoded size', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(messageBytes(message)).toBeGreaterThanOrEqual(encode(message).length);
    }),
    { numRuns: 500 },
  );
});

test('a message cut short anywhere is refused', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = encode(message);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decode(bytes.subarray(0, length))).toThrow(DecodeError);
      }
    }),
    { numRuns: 100 },
  );
});

test('bytes of any kind decode to a message or to a DecodeError', () => {
  const kind = fc.integer({ min: 0, max: 20 });
  fc.assert(
    fc.property(kind, fc.uint8Array({ maxLength: 200 }), (first, rest) => {
      try {
        decode(Uint8Array.of(first, ...rest));
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }),
    { numRuns: 5000 },
  );
});

test('an entry does not hold on to the buffer it came in', () => {
  const bytes = encode(append([{ kind: 'command', index: 8, term: 3, data: Uint8Array.of(1, 2) }]));
  const message = decode(bytes);
  bytes.fill(0xff);
  expect(message).toEqual(
    append([{ kind: 'command', index: 8, term: 3, data: Uint8Array.of(1, 2) }]),
  );
});

type Append = Extract<Message, { type: 'appendEntries' }>;

function append(entries: Append['entries']): Append {
  const position = { prevLogIndex: 7, prevLogTerm: 2, leaderCommit: 6 };
  return { type: 'appendEntries', from: 1n, to: 2n, term: 3, ...position, entries };
}

describe('entries out of place are refused:', () => {
  test.each([
    ['a gap', [{ kind: 'empty', index: 9, term: 2 }]],
    ['an index twice', [8, 8].map((index) => ({ kind: 'empty', index, term: 2 }))],
    ['a term below prevLogTerm', [{ kind: 'empty', index: 8, term: 1 }]],
    ['a term above the message’s', [{ kind: 'empty', index: 8, term: 4 }]],
    ['a falling term', [3, 2].map((term, i) => ({ kind: 'empty', index: 8 + i, term }))],
  ] as [string, Append['entries']][])('%s', (_name, entries) => {
    expect(() => decode(encode(append(entries)))).toThrow(/out of place/);
  });
});

test('65,536 entries are accepted and 65,537 are not', () => {
  const entries = Array.from({ length: 65_537 }, (_, i) => {
    return { kind: 'empty', index: 8 + i, term: 3 } as const;
  });
  const most = append(entries.slice(0, 65_536));
  expect((decode(encode(most)) as Append).entries.length).toBe(65_536);
  expect(() => decode(encode(append(entries)))).toThrow('65537 entries');
});

test('a count beyond the input is refused before anything is allocated', () => {
  const bytes = encode(append([]));
  const lying = Uint8Array.of(...bytes.subarray(0, -1), 0xff, 0xff, 0xff, 0x7f);
  expect(() => decode(lying)).toThrow('exceeds the input');
});

describe('golden bytes:', () => {
  const to = { from: 0x0102030405060708n, to: 0xf1f2f3f4f5f6f7f8n, term: 300 };
  // from, to, term: the same for all.
  const head = '0807060504030201f8f7f6f5f4f3f2f1ac02';
  const confState = {
    voters: [1n, 2n],
    outgoingVoters: [],
    learners: [3n],
    learnersNext: [],
    autoLeave: true,
  };
  const rows: [string, Message, string][] = [
    [
      'RequestVote',
      { type: 'requestVote', ...to, lastLogIndex: 5, lastLogTerm: 4, leadershipTransfer: true },
      `01${head}050401`,
    ],
    ['RequestVoteReply', { type: 'requestVoteReply', ...to, granted: true }, `02${head}01`],
    ['PreVote', { type: 'preVote', ...to, lastLogIndex: 128, lastLogTerm: 4 }, `03${head}800104`],
    ['PreVoteReply', { type: 'preVoteReply', ...to, granted: false }, `04${head}00`],
    [
      'AppendEntries',
      {
        type: 'appendEntries',
        ...to,
        prevLogIndex: 7,
        prevLogTerm: 2,
        leaderCommit: 6,
        entries: [
          { kind: 'command', index: 8, term: 2, data: Uint8Array.of(0xaa, 0xbb) },
          { kind: 'empty', index: 9, term: 300 },
        ],
      },
      `05${head}07020602${'00080202aabb'}${'0109ac02'}`,
    ],
    [
      'AppendEntriesReply, accepted',
      { type: 'appendEntriesReply', ...to, accepted: true, matchIndex: 9 },
      `06${head}09`,
    ],
    [
      'AppendEntriesReply, rejected',
      {
        type: 'appendEntriesReply',
        ...to,
        accepted: false,
        prevLogIndex: 9,
        hintIndex: 3,
        hintTerm: 2,
      },
      `07${head}090302`,
    ],
    [
      'Heartbeat for a read',
      { type: 'heartbeat', ...to, commitIndex: 6, readAttempt: 17 },
      `08${head}060111`,
    ],
    ['Heartbeat', { type: 'heartbeat', ...to, commitIndex: 6, readAttempt: null }, `08${head}0600`],
    ['HeartbeatReply', { type: 'heartbeatReply', ...to, readAttempt: 17 }, `09${head}0111`],
    [
      'InstallSnapshot',
      { type: 'installSnapshot', ...to, snapshot: { index: 100, term: 5, confState } },
      `0a${head}6405` +
        '0201000000000000000200000000000000' +
        '00' +
        '010300000000000000' +
        '00' +
        '01',
    ],
    [
      'InstallSnapshotReply',
      { type: 'installSnapshotReply', ...to, matchIndex: 100 },
      `0b${head}64`,
    ],
    ['TimeoutNow', { type: 'timeoutNow', ...to }, `0c${head}`],
    ['ReadIndex', { type: 'readIndex', ...to, requestId: 9 }, `0d${head}09`],
    [
      'ReadIndexReply',
      { type: 'readIndexReply', ...to, requestId: 9, readIndex: 12 },
      `0e${head}09010c`,
    ],
    [
      'ReadIndexReply without a read index',
      { type: 'readIndexReply', ...to, requestId: 9, readIndex: null },
      `0e${head}0900`,
    ],
  ];
  test.each(rows)('%s', (_name, message, golden) => {
    expect(hex(encode(message))).toBe(golden);
  });
});

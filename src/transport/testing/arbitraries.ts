import fc from 'fast-check';
import type { ConfChange, Entry, MemberChange, Message } from '../../raft/index.ts';
import type { BulkMessage, PeerMessage } from '../types.ts';

const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
const anyTerm = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const anyIndex = fc.oneof(
  fc.integer({ min: 0, max: 1000 }),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1000 }),
);
const optional = fc.option(anyIndex, { nil: null });
const bytes = fc.uint8Array({ maxLength: 300 });

const memberChange: fc.Arbitrary<MemberChange> = fc.record({
  action: fc.constantFrom('addVoter', 'addLearner', 'remove'),
  memberId: id,
});

const confChange: fc.Arbitrary<ConfChange> = fc.oneof(
  fc.record({ type: fc.constant('simple'), change: memberChange, context: bytes }),
  fc.record({
    type: fc.constant('enterJoint'),
    changes: fc.array(memberChange, { maxLength: 5 }),
    autoLeave: fc.boolean(),
    context: bytes,
  }),
  fc.record({ type: fc.constant('leaveJoint'), context: bytes }),
);

/** What an entry carries; index and term are given by its place. */
const entryBody = fc.oneof(
  fc.record({ kind: fc.constant('command'), data: bytes }),
  fc.record({ kind: fc.constant('empty') }),
  fc.record({ kind: fc.constant('confChange'), change: confChange }),
);

/** Ascending and free of duplicates, as a ConfState promises. */
const ids = fc
  .uniqueArray(id, { maxLength: 5 })
  .map((list) => list.sort((a, b) => (a < b ? -1 : 1)));
const confState = fc.record({
  voters: ids,
  outgoingVoters: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});

const envelope = { from: id, to: id, term: anyTerm };
const lastLog = { lastLogIndex: anyIndex, lastLogTerm: anyIndex };

const appendEntries: fc.Arbitrary<Message> = fc
  .record({
    ...envelope,
    prevLogIndex: anyIndex,
    leaderCommit: anyIndex,
    bodies: fc.array(entryBody, { maxLength: 8 }),
    // Shares of the message's term; sorted, they are the terms of prevLog and of the entries.
    shares: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 9, maxLength: 9 }),
  })
  .map(({ bodies, shares, ...message }) => {
    const rising = shares.sort((a, b) => a - b);
    const termAt = (i: number) => Math.ceil(message.term * ((rising[i] ?? 0) / 1000));
    const entries = bodies.map((body, i) => {
      const term = Math.max(1, termAt(i + 1));
      return { ...body, index: message.prevLogIndex + 1 + i, term } as Entry;
    });
    return { type: 'appendEntries', ...message, prevLogTerm: termAt(0), entries };
  });

const reply = { ...envelope, type: fc.constant('appendEntriesReply') };

/** Every message of Raft that members may send. */
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: appendEntries },
  fc.record({
    type: fc.constant('requestVote'),
    ...envelope,
    ...lastLog,
    leadershipTransfer: fc.boolean(),
  }),
  fc.record({ type: fc.constant('requestVoteReply'), ...envelope, granted: fc.boolean() }),
  fc.record({ type: fc.constant('preVote'), ...envelope, ...lastLog }),
  fc.record({ type: fc.constant('preVoteReply'), ...envelope, granted: fc.boolean() }),
  fc.record({ ...reply, accepted: fc.constant(true), matchIndex: anyIndex }),
  fc.record({
    ...reply,
    accepted: fc.constant(false),
    prevLogIndex: anyIndex,
    hintIndex: anyIndex,
    hintTerm: anyIndex,
  }),
  fc.record({
    type: fc.constant('heartbeat'),
    ...envelope,
    commitIndex: anyIndex,
    readAttempt: optional,
  }),
  fc.record({ type: fc.constant('heartbeatReply'), ...envelope, readAttempt: optional }),
  fc.record({
    type: fc.constant('installSnapshot'),
    ...envelope,
    snapshot: fc.record({ index: anyIndex, term: anyIndex, confState }),
  }),
  fc.record({ type: fc.constant('installSnapshotReply'), ...envelope, matchIndex: anyIndex }),
  fc.record({ type: fc.constant('timeoutNow'), ...envelope }),
  fc.record({ type: fc.constant('readIndex'), ...envelope, requestId: anyIndex }),
  fc.record({
    type: fc.constant('readIndexReply'),
    ...envelope,
    requestId: anyIndex,
    readIndex: optional,
  }),
) as fc.Arbitrary<Message>;

const transfer = { from: id, to: id, transferId: anyIndex };

/** Every message that is none of Raft's. */
export const anyBulkMessage: fc.Arbitrary<BulkMessage> = fc.oneof(
  fc
    .record({
      type: fc.constant('snapshotChunk'),
      ...transfer,
      terms: fc.tuple(anyTerm, anyTerm),
      index: anyIndex,
      confState,
      sequence: anyIndex,
      last: fc.boolean(),
      data: bytes,
    })
    .map(({ terms, index, confState, ...message }) => {
      const position = { index, term: Math.min(...terms), confState };
      return { ...message, term: Math.max(...terms), position };
    }),
  fc.record({
    type: fc.constant('snapshotChunkReply'),
    ...transfer,
    nextSequence: anyIndex,
    status: fc.constantFrom('more', 'installed', 'refused'),
  }),
  fc.record({
    type: fc.constant('stateHash'),
    from: id,
    to: id,
    index: anyIndex,
    hash: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  }),
  fc.record({
    type: fc.constant('forward'),
    from: id,
    to: id,
    firstId: anyIndex,
    commands: fc.array(bytes, { maxLength: 5 }),
  }),
  fc.record({
    type: fc.constant('forwardReply'),
    from: id,
    to: id,
    answers: fc.array(fc.record({ id: anyIndex, answer: fc.option(bytes) }), { maxLength: 5 }),
  }),
) as fc.Arbitrary<BulkMessage>;

/** Everything that may stand in a message's frame. */
export const anyPeerMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  { weight: 3, arbitrary: anyMessage },
  anyBulkMessage,
);

import { type ByteReader, type ByteWriter, DecodeError, unreachable } from '../lib/index.ts';
import {
  decodeConfState,
  decodeEntry,
  type Entry,
  encodeConfState,
  encodeEntry,
  entryBytes,
  type Message,
} from '../raft/index.ts';
import { WIRE_LIMITS } from './limits.ts';

/*
 *   message := kind:u8 from:u64 to:u64 term:varint body          (bodies: docs/PEER-PROTOCOL.md)
 *
 * Kind 0 belongs to the keep-alive, kinds from 0x81 to the handshake.
 */
const KIND = {
  requestVote: 1,
  requestVoteReply: 2,
  preVote: 3,
  preVoteReply: 4,
  appendEntries: 5,
  appendAccepted: 6,
  appendRejected: 7,
  heartbeat: 8,
  heartbeatReply: 9,
  installSnapshot: 10,
  installSnapshotReply: 11,
  timeoutNow: 12,
  readIndex: 13,
  readIndexReply: 14,
} as const;

/** Kind, from, to, term, and the longest body without entries and members: at most 73. */
const FIXED_BYTES_MAX = 80;

/** Upper bound of the encoded size, without encoding. */
export function messageBytes(message: Message): number {
  switch (message.type) {
    case 'appendEntries': {
      let bytes = FIXED_BYTES_MAX;
      for (const entry of message.entries) bytes += entryBytes(entry);
      return bytes;
    }
    case 'installSnapshot': {
      const { voters, outgoingVoters, learners, learnersNext } = message.snapshot.confState;
      const members = voters.length + outgoingVoters.length + learners.length + learnersNext.length;
      return FIXED_BYTES_MAX + members * 8;
    }
    default:
      return FIXED_BYTES_MAX;
  }
}

export function encodeMessage(writer: ByteWriter, message: Message): void {
  writer.u8(kindOf(message));
  writer.u64(message.from);
  writer.u64(message.to);
  writer.varint(message.term);
  encodeBody(writer, message);
}

function kindOf(message: Message): number {
  if (message.type !== 'appendEntriesReply') return KIND[message.type];
  return message.accepted ? KIND.appendAccepted : KIND.appendRejected;
}

function encodeBody(writer: ByteWriter, message: Message): void {
  switch (message.type) {
    case 'requestVote':
      writer.varint(message.lastLogIndex);
      writer.varint(message.lastLogTerm);
      return writer.bool(message.leadershipTransfer);
    case 'preVote':
      writer.varint(message.lastLogIndex);
      return writer.varint(message.lastLogTerm);
    case 'requestVoteReply':
    case 'preVoteReply':
      return writer.bool(message.granted);
    case 'appendEntries':
      writer.varint(message.prevLogIndex);
      writer.varint(message.prevLogTerm);
      writer.varint(message.leaderCommit);
      writer.varint(message.entries.length);
      for (const entry of message.entries) encodeEntry(writer, entry);
      return;
    case 'appendEntriesReply':
      if (message.accepted) return writer.varint(message.matchIndex);
      writer.varint(message.prevLogIndex);
      writer.varint(message.hintIndex);
      return writer.varint(message.hintTerm);
    case 'heartbeat':
      writer.varint(message.commitIndex);
      return encodeOptional(writer, message.readAttempt);
    case 'heartbeatReply':
      return encodeOptional(writer, message.readAttempt);
    case 'installSnapshot':
      writer.varint(message.snapshot.index);
      writer.varint(message.snapshot.term);
      return encodeConfState(writer, message.snapshot.confState);
    case 'installSnapshotReply':
      return writer.varint(message.matchIndex);
    case 'timeoutNow':
      return;
    case 'readIndex':
      return writer.varint(message.requestId);
    case 'readIndexReply':
      writer.varint(message.requestId);
      return encodeOptional(writer, message.readIndex);
    default:
      unreachable(message);
  }
}

/**
 * Reads one message. What it returns holds copies only, nothing of the input.
 * @throws DecodeError for bytes that are no message.
 */
export function decodeMessage(reader: ByteReader): Message {
  const kind = reader.u8();
  const envelope = { from: reader.u64(), to: reader.u64(), term: reader.varint() };
  switch (kind) {
    case KIND.requestVote: {
      const lastLog = { lastLogIndex: reader.varint(), lastLogTerm: reader.varint() };
      const leadershipTransfer = reader.bool();
      return { type: 'requestVote', ...envelope, ...lastLog, leadershipTransfer };
    }
    case KIND.requestVoteReply:
      return { type: 'requestVoteReply', ...envelope, granted: reader.bool() };
    case KIND.preVote: {
      const lastLog = { lastLogIndex: reader.varint(), lastLogTerm: reader.varint() };
      return { type: 'preVote', ...envelope, ...lastLog };
    }
    case KIND.preVoteReply:
      return { type: 'preVoteReply', ...envelope, granted: reader.bool() };
    case KIND.appendEntries: {
      const prevLog = { prevLogIndex: reader.varint(), prevLogTerm: reader.varint() };
      const leaderCommit = reader.varint();
      const entries = decodeEntries(reader, { ...prevLog, term: envelope.term });
      return { type: 'appendEntries', ...envelope, ...prevLog, leaderCommit, entries };
    }
    case KIND.appendAccepted: {
      const matchIndex = reader.varint();
      return { type: 'appendEntriesReply', ...envelope, accepted: true, matchIndex };
    }
    case KIND.appendRejected: {
      const prevLogIndex = reader.varint();
      const hint = { hintIndex: reader.varint(), hintTerm: reader.varint() };
      return { type: 'appendEntriesReply', ...envelope, accepted: false, prevLogIndex, ...hint };
    }
    case KIND.heartbeat: {
      const commitIndex = reader.varint();
      return { type: 'heartbeat', ...envelope, commitIndex, readAttempt: decodeOptional(reader) };
    }
    case KIND.heartbeatReply:
      return { type: 'heartbeatReply', ...envelope, readAttempt: decodeOptional(reader) };
    case KIND.installSnapshot: {
      const position = { index: reader.varint(), term: reader.varint() };
      const snapshot = { ...position, confState: decodeConfState(reader) };
      return { type: 'installSnapshot', ...envelope, snapshot };
    }
    case KIND.installSnapshotReply:
      return { type: 'installSnapshotReply', ...envelope, matchIndex: reader.varint() };
    case KIND.timeoutNow:
      return { type: 'timeoutNow', ...envelope };
    case KIND.readIndex:
      return { type: 'readIndex', ...envelope, requestId: reader.varint() };
    case KIND.readIndexReply: {
      const requestId = reader.varint();
      return { type: 'readIndexReply', ...envelope, requestId, readIndex: decodeOptional(reader) };
    }
    default:
      throw new DecodeError(`unknown message kind ${kind}`, reader.offset);
  }
}

/** Kind, index, term: the shortest entry. */
const ENTRY_BYTES_MIN = 3;

/** Entries that follow (prevLogIndex, prevLogTerm) without a gap, terms rising up to `term`. */
function decodeEntries(
  reader: ByteReader,
  at: { prevLogIndex: number; prevLogTerm: number; term: number },
): Entry[] {
  const count = reader.count(ENTRY_BYTES_MIN);
  if (count > WIRE_LIMITS.entriesMax) throw new DecodeError(`${count} entries`, reader.offset);
  const entries: Entry[] = [];
  let term = at.prevLogTerm;
  for (let index = at.prevLogIndex + 1; entries.length < count; index++) {
    const entry = decodeEntry(reader);
    if (entry.index !== index || entry.term < term || entry.term > at.term) {
      throw new DecodeError(`entry (${entry.index}, ${entry.term}) out of place`, reader.offset);
    }
    term = entry.term;
    entries.push(entry);
  }
  return entries;
}

function encodeOptional(writer: ByteWriter, value: number | null): void {
  writer.bool(value !== null);
  if (value !== null) writer.varint(value);
}

function decodeOptional(reader: ByteReader): number | null {
  return reader.bool() ? reader.varint() : null;
}

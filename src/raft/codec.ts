import { type ByteReader, type ByteWriter, DecodeError, unreachable } from '../lib/index.ts';
import type { ConfChange, ConfState, Entry, HardState, MemberChange, MemberId } from './types.ts';

/*
 * One encoding of Raft's values, used by the log on disk and by the peers' wire alike.
 *
 *   entry       := kind:u8 index:varint term:varint body
 *   body        := data:bytes (command) | nothing (empty) | confChange
 *   confChange  := type:u8 context:bytes [change (simple) | autoLeave:u8 changes (enterJoint)]
 *   change      := action:u8 memberId:u64
 *   hardState   := term:varint hasVote:u8 [vote:u64] commitIndex:varint
 *   confState   := voters outgoingVoters learners learnersNext autoLeave:u8
 *   (plural names are lists: count:varint item*; here of memberId:u64)
 */

const ENTRY_KINDS = ['command', 'empty', 'confChange'] as const;
const CHANGE_TYPES = ['simple', 'enterJoint', 'leaveJoint'] as const;
const ACTIONS = ['addVoter', 'addLearner', 'remove'] as const;

export function encodeEntry(writer: ByteWriter, entry: Entry): void {
  writer.u8(ENTRY_KINDS.indexOf(entry.kind));
  writer.varint(entry.index);
  writer.varint(entry.term);
  switch (entry.kind) {
    case 'command':
      return writer.bytes(entry.data);
    case 'empty':
      return;
    case 'confChange':
      return encodeConfChange(writer, entry.change);
    default:
      unreachable(entry);
  }
}

/** Command data is a copy: an entry never holds on to the buffer it came in. */
export function decodeEntry(reader: ByteReader): Entry {
  const kind = choose(reader, ENTRY_KINDS, 'entry kind');
  const index = reader.varint();
  const term = reader.varint();
  if (index === 0 || term === 0)
    throw new DecodeError('entry without index or term', reader.offset);
  switch (kind) {
    case 'command':
      return { kind, index, term, data: reader.bytes().slice() };
    case 'empty':
      return { kind, index, term };
    case 'confChange':
      return { kind, index, term, change: decodeConfChange(reader) };
    default:
      unreachable(kind);
  }
}

/** Upper bound of an entry's encoded size, without encoding it. */
export function entryBytes(entry: Entry): number {
  switch (entry.kind) {
    case 'command':
      return 24 + entry.data.length;
    case 'empty':
      return 24;
    case 'confChange':
      return (
        48 +
        entry.change.context.length +
        (entry.change.type === 'enterJoint' ? entry.change.changes.length * 9 : 0)
      );
    default:
      unreachable(entry);
  }
}

function encodeConfChange(writer: ByteWriter, change: ConfChange): void {
  writer.u8(CHANGE_TYPES.indexOf(change.type));
  writer.bytes(change.context);
  switch (change.type) {
    case 'simple':
      return encodeMemberChange(writer, change.change);
    case 'enterJoint':
      writer.bool(change.autoLeave);
      writer.varint(change.changes.length);
      for (const each of change.changes) encodeMemberChange(writer, each);
      return;
    case 'leaveJoint':
      return;
    default:
      unreachable(change);
  }
}

function decodeConfChange(reader: ByteReader): ConfChange {
  const type = choose(reader, CHANGE_TYPES, 'configuration change');
  const context = reader.bytes().slice();
  switch (type) {
    case 'simple':
      return { type, change: decodeMemberChange(reader), context };
    case 'enterJoint': {
      const autoLeave = reader.bool();
      const changes = Array.from({ length: reader.count(9) }, () => decodeMemberChange(reader));
      return { type, changes, autoLeave, context };
    }
    case 'leaveJoint':
      return { type, context };
    default:
      unreachable(type);
  }
}

function encodeMemberChange(writer: ByteWriter, change: MemberChange): void {
  writer.u8(ACTIONS.indexOf(change.action));
  writer.u64(change.memberId);
}

function decodeMemberChange(reader: ByteReader): MemberChange {
  return { action: choose(reader, ACTIONS, 'member change'), memberId: reader.u64() };
}

export function encodeHardState(writer: ByteWriter, state: HardState): void {
  writer.varint(state.term);
  writer.bool(state.vote !== null);
  if (state.vote !== null) writer.u64(state.vote);
  writer.varint(state.commitIndex);
}

export function decodeHardState(reader: ByteReader): HardState {
  const term = reader.varint();
  const vote = reader.bool() ? reader.u64() : null;
  return { term, vote, commitIndex: reader.varint() };
}

export function encodeConfState(writer: ByteWriter, state: ConfState): void {
  for (const list of [state.voters, state.outgoingVoters, state.learners, state.learnersNext]) {
    writer.varint(list.length);
    for (const id of list) writer.u64(id);
  }
  writer.bool(state.autoLeave);
}

/** The lists come back sorted and without duplicates, or not at all. */
export function decodeConfState(reader: ByteReader): ConfState {
  const list = (): MemberId[] => {
    const ids = Array.from({ length: reader.count(8) }, () => reader.u64());
    if (ids.some((id, i) => id <= (ids[i - 1] ?? 0n))) {
      throw new DecodeError('member ids are not in ascending order', reader.offset);
    }
    return ids;
  };
  const voters = list();
  const outgoingVoters = list();
  const learners = list();
  const learnersNext = list();
  return { voters, outgoingVoters, learners, learnersNext, autoLeave: reader.bool() };
}

function choose<T extends string>(reader: ByteReader, names: readonly T[], what: string): T {
  const code = reader.u8();
  const name = names[code];
  if (name === undefined) throw new DecodeError(`unknown ${what} ${code}`, reader.offset - 1);
  return name;
}

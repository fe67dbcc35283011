import { type ByteReader, type ByteWriter, DecodeError, unreachable } from '../lib/index.ts';
import { decodeConfState, encodeConfState } from '../raft/index.ts';
import { WIRE_LIMITS } from './limits.ts';
import type { BulkMessage, SnapshotChunk, SnapshotChunkReply } from './types.ts';

/*
 *   bulkMessage := kind:u8 from:u64 to:u64 body
 *   chunk       := transferId:varint term:varint index:varint indexTerm:varint confState
 *                  sequence:varint last:bool data:bytes
 *   reply       := transferId:varint nextSequence:varint status:u8
 *   stateHash   := index:varint hash:16 bytes
 *   forward     := firstId:varint count:varint command:bytes*
 *   forwardReply:= count:varint (id:varint isAnswer:bool answer:bytes?)*
 *
 * The kinds continue those of Raft's messages (message-codec.ts).
 */
export const BULK_KIND_MIN = 15;

const KIND = {
  snapshotChunk: 15,
  snapshotChunkReply: 16,
  stateHash: 17,
  forward: 18,
  forwardReply: 19,
} as const;

const HASH_BYTES = 16;

const STATUSES = ['more', 'installed', 'refused'] as const satisfies SnapshotChunkReply['status'][];

/** Everything but members and data: at most 17 + 6 × 8 + 4 × 8 + 2 = 99. */
const FIXED_BYTES_MAX = 104;

/** Upper bound of the encoded size, without encoding. */
export function bulkMessageBytes(message: BulkMessage): number {
  if (message.type === 'forward') return FIXED_BYTES_MAX + itemBytes(message.commands);
  if (message.type === 'forwardReply') {
    return FIXED_BYTES_MAX + itemBytes(message.answers.map(({ answer }) => answer));
  }
  if (message.type !== 'snapshotChunk') return FIXED_BYTES_MAX;
  const { voters, outgoingVoters, learners, learnersNext } = message.position.confState;
  const members = voters.length + outgoingVoters.length + learners.length + learnersNext.length;
  return FIXED_BYTES_MAX + members * 8 + message.data.length;
}

/** Id, flag and length of a command or an answer, at most. */
const ITEM_BYTES_MAX = 8 + 1 + 8;

function itemBytes(items: readonly (Uint8Array | null)[]): number {
  return items.reduce((sum, item) => sum + ITEM_BYTES_MAX + (item?.length ?? 0), 0);
}

export function encodeBulkMessage(writer: ByteWriter, message: BulkMessage): void {
  if (message.type === 'snapshotChunk') {
    encodeChunkHead(writer, message);
    return writer.raw(message.data);
  }
  encodeHead(writer, message);
  switch (message.type) {
    case 'snapshotChunkReply':
      writer.varint(message.transferId);
      writer.varint(message.nextSequence);
      return writer.u8(STATUSES.indexOf(message.status));
    case 'stateHash':
      writer.varint(message.index);
      return writer.raw(message.hash);
    case 'forward':
      writer.varint(message.firstId);
      writer.varint(message.commands.length);
      for (const command of message.commands) writer.bytes(command);
      return;
    case 'forwardReply':
      writer.varint(message.answers.length);
      for (const { id, answer } of message.answers) {
        writer.varint(id);
        writer.bool(answer !== null);
        if (answer !== null) writer.bytes(answer);
      }
      return;
    default:
      unreachable(message);
  }
}

/** A chunk up to its data, which are the rest of it. */
export function encodeChunkHead(writer: ByteWriter, chunk: SnapshotChunk): void {
  encodeHead(writer, chunk);
  writer.varint(chunk.transferId);
  writer.varint(chunk.term);
  writer.varint(chunk.position.index);
  writer.varint(chunk.position.term);
  encodeConfState(writer, chunk.position.confState);
  writer.varint(chunk.sequence);
  writer.bool(chunk.last);
  writer.varint(chunk.data.length);
}

function encodeHead(writer: ByteWriter, { type, from, to }: BulkMessage): void {
  writer.u8(KIND[type]);
  writer.u64(from);
  writer.u64(to);
}

/**
 * Reads one bulk message. A chunk's data are a view of the input; of the others it holds copies.
 * @throws DecodeError for bytes that are no bulk message.
 */
export function decodeBulkMessage(reader: ByteReader): BulkMessage {
  const kind = reader.u8();
  const head = { from: reader.u64(), to: reader.u64() };
  switch (kind) {
    case KIND.snapshotChunk: {
      const transferId = reader.varint();
      const term = reader.varint();
      const index = reader.varint();
      const indexTerm = reader.varint();
      const position = { index, term: indexTerm, confState: decodeConfState(reader) };
      if (indexTerm > term) {
        throw new DecodeError(`position of term ${indexTerm} above ${term}`, reader.offset);
      }
      const piece = { sequence: reader.varint(), last: reader.bool() };
      const data = reader.bytes();
      if (data.length > WIRE_LIMITS.chunkBytesMax) {
        throw new DecodeError(`chunk of ${data.length} bytes`, reader.offset);
      }
      return { type: 'snapshotChunk', ...head, transferId, term, position, ...piece, data };
    }
    case KIND.snapshotChunkReply: {
      const transferId = reader.varint();
      const nextSequence = reader.varint();
      const code = reader.u8();
      const status = STATUSES[code];
      if (status === undefined) throw new DecodeError(`status ${code}`, reader.offset - 1);
      return { type: 'snapshotChunkReply', ...head, transferId, nextSequence, status };
    }
    case KIND.stateHash: {
      const index = reader.varint();
      return { type: 'stateHash', ...head, index, hash: reader.raw(HASH_BYTES).slice() };
    }
    case KIND.forward: {
      const firstId = reader.varint();
      const commands = readItems(reader, () => reader.bytes().slice());
      return { type: 'forward', ...head, firstId, commands };
    }
    case KIND.forwardReply: {
      const answers = readItems(reader, () => {
        const id = reader.varint();
        return { id, answer: reader.bool() ? reader.bytes().slice() : null };
      });
      return { type: 'forwardReply', ...head, answers };
    }
    default:
      throw new DecodeError(`unknown bulk kind ${kind}`, 0);
  }
}

function readItems<T>(reader: ByteReader, read: () => T): T[] {
  const count = reader.count(1);
  if (count > WIRE_LIMITS.forwardsMax) throw new DecodeError(`${count} items`, reader.offset);
  return Array.from({ length: count }, read);
}

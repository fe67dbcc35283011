import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, DecodeError, hex } from '../lib/index.ts';
import {
  BULK_KIND_MIN,
  bulkMessageBytes,
  decodeBulkMessage,
  encodeBulkMessage,
} from './bulk-codec.ts';
import { WIRE_LIMITS } from './limits.ts';
import { anyBulkMessage, chunk } from './testing/index.ts';
import type { BulkMessage, SnapshotChunk } from './types.ts';

function encode(message: BulkMessage): Uint8Array {
  const writer = new ByteWriter();
  encodeBulkMessage(writer, message);
  return writer.finish();
}

function decode(bytes: Uint8Array): BulkMessage {
  const reader = new ByteReader(bytes);
  const message = decodeBulkMessage(reader);
  reader.end();
  return message;
}

test('every bulk message comes back as it was sent', () => {
  fc.assert(
    fc.property(anyBulkMessage, (message) => {
      expect(decode(encode(message))).toEqual(message);
    }),
    { numRuns: 500 },
  );
});

test('bulkMessageBytes is never below the encoded size', () => {
  fc.assert(
    fc.property(anyBulkMessage, (message) => {
      expect(bulkMessageBytes(message)).toBeGreaterThanOrEqual(encode(message).length);
    }),
    { numRuns: 500 },
  );
});

test('bulkMessageBytes bounds the longest chunk and the longest reply', () => {
  const most = Number.MAX_SAFE_INTEGER;
  const head = { from: 2n ** 64n - 1n, to: 2n ** 64n - 1n, transferId: most };
  const ids = Array.from({ length: 200 }, (_, i) => BigInt(i + 1));
  const lists = { voters: ids, outgoingVoters: ids, learners: ids, learnersNext: ids };
  const position = { index: most, term: most, confState: { ...lists, autoLeave: true } };
  const data = new Uint8Array(WIRE_LIMITS.chunkBytesMax);
  const messages: BulkMessage[] = [
    { ...chunk(1n, 2n), ...head, term: most, position, sequence: most, last: true, data },
    { type: 'snapshotChunkReply', ...head, nextSequence: most, status: 'refused' },
  ];
  for (const message of messages) {
    expect(bulkMessageBytes(message)).toBeGreaterThanOrEqual(encode(message).length);
  }
});

test('a bulk message cut short anywhere is refused', () => {
  fc.assert(
    fc.property(anyBulkMessage, (message) => {
      const bytes = encode(message);
      for (let length = 0; length < bytes.length; length++) {
        expect(() => decode(bytes.subarray(0, length))).toThrow(DecodeError);
      }
    }),
    { numRuns: 50 },
  );
});

test('bytes of any kind decode to a bulk message or to a DecodeError', () => {
  const kind = fc.integer({ min: BULK_KIND_MIN - 1, max: BULK_KIND_MIN + 3 });
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

test('a chunk’s data stay where they came in: nobody copies them unasked', () => {
  const bytes = encode(chunk(1n, 2n, 3, 20));
  const received = decode(bytes) as SnapshotChunk;
  expect(received.data.length).toBe(20);
  expect(received.data.buffer).toBe(bytes.buffer);
});

test('1 MiB of data is accepted and one byte more is not', () => {
  const { chunkBytesMax } = WIRE_LIMITS;
  expect(decode(encode(chunk(1n, 2n, 0, chunkBytesMax)))).toMatchObject({ sequence: 0 });
  expect(() => decode(encode(chunk(1n, 2n, 0, chunkBytesMax + 1)))).toThrow('chunk of 1048577');
});

test('a snapshot of a later term than its sender’s is refused', () => {
  const sent = chunk(1n, 2n);
  const later = { ...sent, position: { ...sent.position, term: sent.term + 1 } };
  expect(() => decode(encode(later))).toThrow('position of term 2 above 1');
});

test('an unknown status is refused', () => {
  const head = { from: 1n, to: 2n, transferId: 9 };
  const bytes = encode({
    type: 'snapshotChunkReply',
    ...head,
    nextSequence: 0,
    status: 'refused',
  });
  bytes[bytes.length - 1] = 3;
  expect(() => decode(bytes)).toThrow('status 3');
});

describe('golden bytes:', () => {
  const to = { from: 0x0102030405060708n, to: 0xf1f2f3f4f5f6f7f8n, transferId: 300 };
  // from, to, transferId: the same for all.
  const head = '0807060504030201f8f7f6f5f4f3f2f1ac02';
  const confState = {
    voters: [1n, 2n],
    outgoingVoters: [],
    learners: [3n],
    learnersNext: [],
    autoLeave: true,
  };
  const members = `02${'0100000000000000'}${'0200000000000000'}${'00'}01${'0300000000000000'}0001`;
  const rows: [string, BulkMessage, string][] = [
    [
      'SnapshotChunk',
      {
        type: 'snapshotChunk',
        ...to,
        term: 6,
        position: { index: 100, term: 5, confState },
        sequence: 128,
        last: true,
        data: Uint8Array.of(0xaa, 0xbb),
      },
      `0f${head}06${'6405'}${members}${'8001'}01${'02aabb'}`,
    ],
    [
      'SnapshotChunkReply, more',
      { type: 'snapshotChunkReply', ...to, nextSequence: 129, status: 'more' },
      `10${head}${'8101'}00`,
    ],
    [
      'SnapshotChunkReply, installed',
      { type: 'snapshotChunkReply', ...to, nextSequence: 129, status: 'installed' },
      `10${head}${'8101'}01`,
    ],
    [
      'SnapshotChunkReply, refused',
      { type: 'snapshotChunkReply', ...to, nextSequence: 0, status: 'refused' },
      `10${head}0002`,
    ],
    [
      'StateHash',
      {
        type: 'stateHash',
        from: to.from,
        to: to.to,
        index: 300,
        hash: Uint8Array.from({ length: 16 }, (_, i) => i),
      },
      '110807060504030201f8f7f6f5f4f3f2f1ac02000102030405060708090a0b0c0d0e0f',
    ],
  ];
  test.each(rows)('%s', (_name, message, golden) => {
    expect(hex(encode(message))).toBe(golden);
  });
});

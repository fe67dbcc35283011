import { expect, test } from 'vitest';
import { ByteWriter, concatBytes } from '../lib/index.ts';
import { BLOCK_BYTES, segmentSalt } from './format.ts';
import { LogReader } from './log-reader.ts';
import { encodePreamble, LogContent, type Preamble, writeEntry, writeRejoined } from './records.ts';
import { firstBlocks, makeBatch } from './segment-files.ts';
import { CONF_STATE, command, IDENTITY } from './testing/fixture.ts';

const PREAMBLE: Preamble = {
  confState: CONF_STATE,
  base: { index: 4, term: 2 },
  hardState: { term: 3, vote: 0xa1n, commitIndex: 4 },
  rejoinFloorTerm: 3,
};

/** A log that begins behind entry 4 with this preamble. */
function begun(): LogContent {
  const content = new LogContent();
  content.beginBehind({ index: 4, term: 2 });
  expect(content.applyPreamble(encodePreamble(PREAMBLE))).toBeNull();
  return content;
}

test('a preamble says what the segments before it said, or it is wrong', () => {
  expect(begun().applyPreamble(encodePreamble(PREAMBLE))).toBeNull();
  const others: Preamble[] = [
    { ...PREAMBLE, confState: { ...CONF_STATE, autoLeave: true } },
    { ...PREAMBLE, base: null },
    { ...PREAMBLE, hardState: { term: 3, vote: 0xa2n, commitIndex: 4 } },
    { ...PREAMBLE, rejoinFloorTerm: null },
  ];
  for (const other of others) {
    expect(begun().applyPreamble(encodePreamble(other))).toContain('contradicts');
  }
});

test('a first preamble settles nothing that the log does not have', () => {
  const content = new LogContent();
  content.beginBehind({ index: 3, term: 2 });
  expect(content.applyPreamble(encodePreamble(PREAMBLE))).toContain('settles entry 4');
});

test('a preamble is read whole or not at all', () => {
  const bytes = encodePreamble(PREAMBLE);
  for (let length = 0; length < bytes.length; length++) {
    const content = new LogContent();
    content.beginBehind({ index: 4, term: 2 });
    const problem = content.applyPreamble(bytes.subarray(0, length));
    // Cut between two records it is a preamble that says less.
    if (problem === null) expect(content.rejoinFloorTerm).toBeNull();
    else expect(content.confState).toBeNull();
  }
  const content = new LogContent();
  content.beginBehind({ index: 4, term: 2 });
  expect(content.applyPreamble(Uint8Array.from([...bytes, 6]))).not.toBeNull();
});

test('a batch with a right checksum is refused when it breaks the rules of a log', () => {
  const segmentBytes = 8 * BLOCK_BYTES;
  const preamble = { ...PREAMBLE, rejoinFloorTerm: null };
  const head = firstBlocks({ identity: IDENTITY, segment: 1, segmentBytes, preamble });
  const chain = new DataView(head.buffer).getUint32(2 * BLOCK_BYTES + 28, true);
  const position = { offset: head.length, sequence: 2, chain };
  const read = (kind: 'data' | 'preamble', payload: Uint8Array): number => {
    const { blocks } = makeBatch({ kind, payload }, { position, salt: segmentSalt(IDENTITY, 1) });
    const rest = new Uint8Array(segmentBytes - head.length - blocks.length);
    const reader = new LogReader('/data/wal', IDENTITY);
    reader.read(1, concatBytes([head, blocks, rest]));
    return reader.finish().head.lastIndex;
  };
  const records = (write: (writer: ByteWriter) => void): Uint8Array => {
    const writer = new ByteWriter();
    write(writer);
    return writer.finish();
  };
  const data = new Uint8Array(3);
  expect(
    read(
      'data',
      records((writer) => writeEntry(writer, command(5, 3, data))),
    ),
  ).toBe(5);
  const gap = records((writer) => writeEntry(writer, command(6, 3, data)));
  expect(() => read('data', gap)).toThrow('leaves a gap');
  const committed = records((writer) => writeEntry(writer, command(4, 3, data)));
  expect(() => read('data', committed)).toThrow('a committed one');
  expect(() => read('data', records(writeRejoined))).toThrow('no stranger');
  expect(() => read('data', Uint8Array.of(9))).toThrow('unknown record type 9');
  expect(() => read('data', encodePreamble(preamble))).toThrow('second initial configuration');
  expect(() => read('preamble', encodePreamble(preamble))).toThrow('begins each segment');
});

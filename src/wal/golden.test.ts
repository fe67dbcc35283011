import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { memoryDisk } from '../io/memory-disk.ts';
import { segmentName } from './format.ts';
import { append, contents, DATA, fingerprint, manyBatches, open } from './testing/fixture.ts';

const SEGMENT_BYTES = 32 * 1024;

/** `GOLDEN=write npx vitest run src/wal/golden` makes the files of a new version. */
const rewrite = process.env['GOLDEN'] === 'write';

function golden(segment: number): URL {
  return new URL(`golden/v1-${segment}.bin`, import.meta.url);
}

test("today's writer makes the bytes of format version 1", async () => {
  const { wal, disk } = await open(undefined, { segmentBytes: SEGMENT_BYTES });
  for (const batch of manyBatches()) await append(wal, batch);
  await wal.close();
  for (const segment of [1, 2, 3]) {
    const bytes = disk.peek(`${DATA}/wal/${segmentName(segment)}`);
    if (rewrite) writeFileSync(golden(segment), bytes);
    const same = Buffer.compare(bytes, readFileSync(golden(segment))) === 0;
    expect(same, `segment ${segment} differs from ${golden(segment).pathname}`).toBe(true);
  }
});

test('a log of format version 1 opens to the content that was written', async () => {
  const disk = memoryDisk();
  for (const segment of [1, 2, 3]) {
    disk.poke(`${DATA}/wal/${segmentName(segment)}`, readFileSync(golden(segment)));
  }
  const { recovery } = (await open(disk, { segmentBytes: SEGMENT_BYTES })).wal;
  const expected = contents(manyBatches()).at(-1) ?? { hardState: null, entries: [] };
  expect(recovery.created).toBe(false);
  expect(fingerprint(recovery)).toBe(fingerprint(expected));
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkSnapshotFile, SnapshotCheck, SnapshotError } from './snapshot-file.ts';
import { type MadeSnapshot, makeSnapshot } from './testing/snapshot.ts';

let directory: string;
let made: MadeSnapshot;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-snapshot-file-'));
  made = await makeSnapshot(40);
});

afterAll(() => rmSync(directory, { recursive: true }));

function check(bytes: Uint8Array, chunkBytes: number): ReturnType<SnapshotCheck['finish']> {
  const checking = new SnapshotCheck();
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    checking.push(bytes.subarray(at, at + chunkBytes));
  }
  return checking.finish();
}

describe('a snapshot that is verified', () => {
  test('says what it holds, whatever the size of its chunks', () => {
    const expected = {
      clusterId: 5n,
      position: made.position,
      keys: 40,
      sessions: 0,
      leases: 0,
      bytes: made.bytes.length,
      sha256: Buffer.from(made.bytes.subarray(-32)).toString('hex'),
    };
    for (const chunkBytes of [1, 7, 33, 1_000, made.bytes.length]) {
      expect(check(made.bytes, chunkBytes)).toMatchObject(expected);
    }
  });

  test('is refused for every single bit that is flipped', () => {
    for (let at = 0; at < made.bytes.length; at++) {
      const damaged = Buffer.from(made.bytes);
      damaged[at] = (damaged[at] as number) ^ (1 << (at % 8));
      expect(() => check(damaged, 4_096), `byte ${at}`).toThrow(SnapshotError);
    }
  });

  test('is refused wherever it is cut, and with a byte behind its end', () => {
    for (let length = 0; length < made.bytes.length; length += 13) {
      expect(() => check(made.bytes.subarray(0, length), 4_096), `cut at ${length}`).toThrow(
        SnapshotError,
      );
    }
    expect(() => check(Buffer.concat([made.bytes, Buffer.of(0)]), 4_096)).toThrow(SnapshotError);
  });

  test('is refused when its rows are not the state it claims, all checksums right', async () => {
    for (const claim of [
      { index: 8 },
      { term: 4 },
      { revision: 1 },
      { stateHash: '0'.repeat(32) },
    ]) {
      const { bytes } = await makeSnapshot(3, { claim });
      expect(() => check(bytes, 4_096)).toThrow('it holds another state than it says');
    }
  });
});

describe('a snapshot in a file', () => {
  test('is read from end to end, and tells how far it is', async () => {
    const path = join(directory, 'whole');
    writeFileSync(path, made.bytes);
    const seen: [number, number][] = [];
    const onProgress = (bytes: number, total: number): void => void seen.push([bytes, total]);
    expect(await checkSnapshotFile(path, { onProgress })).toMatchObject({ keys: 40 });
    expect(seen).toEqual([[made.bytes.length, made.bytes.length]]);
  });

  test('is named in every error, in one line', async () => {
    const path = join(directory, 'damaged');
    for (const bytes of ['', 'something else', made.bytes.subarray(0, 100)]) {
      writeFileSync(path, bytes);
      await expect(checkSnapshotFile(path)).rejects.toThrow(/^\S+\/damaged: snapshot: [^\n]+$/);
    }
    await expect(checkSnapshotFile(join(directory, 'none'))).rejects.toThrow(/\/none: ENOENT/);
    await expect(checkSnapshotFile(directory)).rejects.toThrow(SnapshotError);
  });

  test('is left when the signal says so', async () => {
    const path = join(directory, 'left');
    writeFileSync(path, made.bytes);
    const signal = AbortSignal.abort(new Error('called off'));
    await expect(checkSnapshotFile(path, { signal })).rejects.toThrow('called off');
  });
});

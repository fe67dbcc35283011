import { describe, expect, test } from 'vitest';
import { DiskError } from './disk.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';

async function withFile(): Promise<{
  disk: MemoryDisk;
  file: Awaited<ReturnType<MemoryDisk['open']>>;
}> {
  const disk = memoryDisk();
  await disk.makeDirectory('/a/b');
  const file = await disk.open('/a/b/f', { create: true });
  await disk.syncDirectory('/a/b');
  return { disk, file };
}

function bytes(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

describe('a disk in memory', () => {
  test('reads what was written, in parts, across growth, up to the end of the file', async () => {
    const { disk, file } = await withFile();
    await file.write(3, [bytes(2, 1), bytes(2, 2)]);
    expect(await file.size()).toBe(7);
    expect(await file.read({ offset: 0, length: 99 })).toEqual(Uint8Array.of(0, 0, 0, 1, 1, 2, 2));
    await file.truncate(4);
    await file.truncate(6);
    expect(disk.peek('/a/b/f')).toEqual(Uint8Array.of(0, 0, 0, 1, 0, 0));
  });

  test('refuses to create what exists, and to use what does not', async () => {
    const { disk } = await withFile();
    await expect(disk.open('/a/b/f', { create: true })).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(disk.open('/a/b/g', { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.rename('/a/b/g', '/a/b/h')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.remove('/a/b/g')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.list('/a/c')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await disk.list('/a/b')).toEqual(['f']);
  });

  test('gives a directory to one holder at a time', async () => {
    const { disk } = await withFile();
    const lock = await disk.lock('/a/b');
    await expect(disk.lock('/a/b')).rejects.toMatchObject({ code: 'ELOCKED' });
    await lock.release();
    await disk.lock('/a/b');
  });
});

describe('after a power cut', () => {
  test('synced bytes are there, and of the others exactly the sectors that were kept', async () => {
    const { disk, file } = await withFile();
    await file.write(0, [bytes(2048, 1)]);
    await file.sync();
    await file.write(256, [bytes(1024, 2)]);
    expect(disk.unsynced()).toEqual([
      { kind: 'sector', path: '/a/b/f', offset: 256 },
      { kind: 'sector', path: '/a/b/f', offset: 512 },
      { kind: 'sector', path: '/a/b/f', offset: 1024 },
    ]);
    const left = disk.afterPowerCut((change) => change.kind === 'sector' && change.offset === 512);
    const expected = bytes(2048, 1);
    expected.fill(2, 512, 1024);
    expect(left.peek('/a/b/f')).toEqual(expected);
    expect(left.unsynced()).toEqual([]);
    expect(disk.peek('/a/b/f')[256]).toBe(2);
  });

  test('a length may survive without its bytes, and bytes without those before them', async () => {
    const { disk, file } = await withFile();
    await file.write(0, [bytes(1024, 1)]);
    const length = disk.afterPowerCut((change) => change.kind === 'size');
    expect(length.peek('/a/b/f')).toEqual(bytes(1024, 0));
    const second = disk.afterPowerCut((change) => change.kind === 'sector' && change.offset > 0);
    expect(second.peek('/a/b/f')).toEqual(Uint8Array.from([...bytes(512, 0), ...bytes(512, 1)]));
  });

  test('names are those of the last sync of the directory, and those kept', async () => {
    const { disk, file } = await withFile();
    await file.write(0, [bytes(3, 7)]);
    await file.sync();
    await disk.rename('/a/b/f', '/a/b/g');
    await disk.open('/a/b/h', { create: true });
    await disk.remove('/a/b/g');
    expect(disk.afterPowerCut(() => false).paths()).toEqual(['/a/b/f']);
    expect(disk.afterPowerCut(() => true).paths()).toEqual(['/a/b/h']);
    const renamed = disk.afterPowerCut((change) => change.path === '/a/b/h');
    expect(renamed.paths()).toEqual(['/a/b/f', '/a/b/h']);
    await disk.syncDirectory('/a/b');
    expect(disk.afterPowerCut(() => false).paths()).toEqual(['/a/b/h']);
  });

  test('a durable write is there, and plain writes elsewhere in the file may be lost', async () => {
    const { disk, file } = await withFile();
    await file.write(0, [bytes(1024, 1)]);
    await new Promise((done) => file.writeDurably(512, bytes(512, 2), done));
    const left = disk.afterPowerCut(() => false).peek('/a/b/f');
    expect(left.subarray(512)).toEqual(bytes(512, 2));
  });
});

describe('faults', () => {
  test('a failed call changes nothing, and the next one works', async () => {
    const { disk, file } = await withFile();
    disk.intercept = ({ path, kind }) => (kind === 'write' ? new DiskError('ENOSPC', path) : 'run');
    await expect(file.write(0, [bytes(9, 1)])).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await file.size()).toBe(0);
    disk.intercept = () => 'run';
    await file.write(0, [bytes(9, 1)]);
    expect(await file.size()).toBe(9);
  });

  test('bytes whose sync failed can be read, and a later sync does not save them', async () => {
    for (const durably of [false, true]) {
      const { disk, file } = await withFile();
      disk.intercept = ({ path, kind }) => (kind === 'sync' ? new DiskError('EIO', path) : 'run');
      if (durably) {
        const error = await new Promise((done) => file.writeDurably(0, bytes(9, 1), done));
        expect(error).toMatchObject({ code: 'EIO' });
      } else {
        await file.write(0, [bytes(9, 1)]);
        await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
      }
      disk.intercept = () => 'run';
      await file.sync();
      expect(disk.peek('/a/b/f')).toEqual(bytes(9, 1));
      expect(disk.afterPowerCut(() => true).peek('/a/b/f')).toEqual(bytes(0, 0));
    }
  });

  test('a killed process leaves its bytes readable and unsynced, and its locks free', async () => {
    const { disk, file } = await withFile();
    await disk.lock('/a');
    await file.write(0, [bytes(9, 1)]);
    const next = disk.afterKill();
    await next.lock('/a');
    expect(next.peek('/a/b/f')).toEqual(bytes(9, 1));
    expect(next.afterPowerCut(() => false).peek('/a/b/f')).toEqual(bytes(0, 0));
  });

  test('a stalled call never returns', async () => {
    const { disk, file } = await withFile();
    disk.intercept = () => 'stall';
    let returned = false;
    const settle = (): void => {
      returned = true;
    };
    file.read({ offset: 0, length: 1 }).then(settle, settle);
    file.writeDurably(0, bytes(1, 1), settle);
    await new Promise((done) => setImmediate(done));
    expect(returned).toBe(false);
  });
});

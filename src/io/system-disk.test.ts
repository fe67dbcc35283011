import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemDisk } from './system-disk.ts';

let root = '';

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'quorate-disk-'));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

async function mode(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

describe('a directory', () => {
  test('is made with its parents, private, and may exist', async () => {
    const path = join(root, 'a', 'b');
    await systemDisk.makeDirectory(path);
    await systemDisk.makeDirectory(path);
    expect([await mode(join(root, 'a')), await mode(path)]).toEqual(['700', '700']);
  });

  test('that others may enter is narrowed while empty, refused once it holds files', async () => {
    const path = join(root, 'open');
    await mkdir(path);
    await chmod(path, 0o755);
    await systemDisk.makeDirectory(path);
    expect(await mode(path)).toBe('700');
    await writeFile(join(path, 'f'), '');
    await systemDisk.makeDirectory(path);
    await chmod(path, 0o750);
    const refused = systemDisk.makeDirectory(path);
    await expect(refused).rejects.toMatchObject({ name: 'DiskError', code: 'EACCES' });
    await expect(refused).rejects.toThrow(`chmod 700 ${path}`);
    expect(await mode(path)).toBe('750');
  });

  test('is not a file', async () => {
    const path = join(root, 'f');
    await writeFile(path, '');
    await expect(systemDisk.makeDirectory(path)).rejects.toMatchObject({ name: 'DiskError' });
  });
});

describe('a file', () => {
  test.each([false, true])(
    'reads back what was written in parts and durably (writeThrough: %s)',
    async (writeThrough) => {
      const path = join(root, 'f');
      const file = await systemDisk.open(path, { create: true, writeThrough });
      const parts = Array.from({ length: 1500 }, (_, i) => new Uint8Array(i % 5).fill(i));
      await file.write(10, parts);
      await file.sync();
      const error = await new Promise((done) => {
        file.writeDurably(2, new Uint8Array(3).fill(9), done);
      });
      expect(error).toBeNull();
      const expected = Buffer.concat([Buffer.of(0, 0, 9, 9, 9, 0, 0, 0, 0, 0), ...parts]);
      expect(await file.size()).toBe(expected.length);
      expect(Buffer.from(await file.read({ offset: 0, length: 1e6 }))).toEqual(expected);
      expect(await file.read({ offset: 2, length: 3 })).toEqual(Uint8Array.of(9, 9, 9));
      await file.truncate(4);
      await file.close();
      expect(await readFile(path)).toEqual(Buffer.of(0, 0, 9, 9));
      expect(await mode(path)).toBe('600');
    },
  );

  test('is created once, opened only if it exists, and never through a symbolic link', async () => {
    const path = join(root, 'f');
    await (await systemDisk.open(path, { create: true })).close();
    await expect(systemDisk.open(path, { create: true })).rejects.toMatchObject({ code: 'EEXIST' });
    const missing = systemDisk.open(join(root, 'g'), { create: false });
    await expect(missing).rejects.toMatchObject({ name: 'DiskError', code: 'ENOENT' });
    await symlink(path, join(root, 'link'));
    const linked = systemDisk.open(join(root, 'link'), { create: false });
    await expect(linked).rejects.toMatchObject({ code: 'ELOOP' });
  });

  test('can be renamed over another and removed; names are listed in order', async () => {
    for (const name of ['b', 'a', 'c']) await writeFile(join(root, name), name);
    await systemDisk.rename(join(root, 'c'), join(root, 'a'));
    await systemDisk.remove(join(root, 'b'));
    await systemDisk.syncDirectory(root);
    expect(await systemDisk.list(root)).toEqual(['a']);
    expect(await readFile(join(root, 'a'), 'utf8')).toBe('c');
  });

  test('reports what the operating system refuses, also of a durable write', async () => {
    const file = await systemDisk.open(join(root, 'f'), { create: true });
    await file.close();
    await expect(file.sync()).rejects.toMatchObject({ name: 'DiskError', code: 'EBADF' });
    const error = await new Promise((done) => file.writeDurably(0, new Uint8Array(1), done));
    expect(error).toMatchObject({ name: 'DiskError', code: 'EBADF' });
  });
});

describe('the lock', () => {
  test('is held by one at a time, also within one process, and released twice safely', async () => {
    const first = await systemDisk.lock(root);
    const refused = systemDisk.lock(root);
    await expect(refused).rejects.toMatchObject({ name: 'DiskError', code: 'ELOCKED' });
    await expect(refused).rejects.toThrow(root);
    await Promise.all([first.release(), first.release()]);
    await (await systemDisk.lock(root)).release();
    expect(await mode(join(root, 'LOCK'))).toBe('600');
  });

  test('of another process holds until that is killed', async () => {
    const holder = spawn(process.execPath, ['-e', HOLD_LOCK, join(root, 'LOCK')], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = new Promise((done) => holder.once('exit', done));
    try {
      await new Promise((done) => holder.stdout.once('data', done));
      await expect(systemDisk.lock(root)).rejects.toMatchObject({ code: 'ELOCKED' });
    } finally {
      holder.kill('SIGKILL');
      await exited;
    }
    await (await systemDisk.lock(root)).release();
  });
});

/** Takes the lock as `systemDisk` does, says so, and waits to be killed. */
const HOLD_LOCK = `
  const fs = require('node:fs');
  const { tryLock } = require('fs-native-extensions');
  if (!tryLock(fs.openSync(process.argv[1], 'w+'))) process.exit(1);
  process.stdout.write('locked');
  setInterval(() => {}, 1000);
`;

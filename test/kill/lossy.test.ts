import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Prng } from '../../src/lib/index.ts';
import { compileLossy, lossyEnvironment, runsLossy } from './lossy.ts';
import { cutPower, type Loss } from './power-cut.ts';
import { readUndoLogs } from './undo-log.ts';

/** A power cut is random: each case is made so often, and one of them must lose. */
const COPIES = 24;

/**
 * Runs `script` once for each copy, in a directory of its own with a file of four sectors of `a`;
 * both are durable, with their names.
 */
function programOf(script: string, copies: number): string {
  return `
    const fs = require('node:fs');
    const sector = (letter, count = 1) => Buffer.alloc(512 * count, letter);
    const syncDirectory = (path) => {
      const d = fs.openSync(path, 'r');
      fs.fsyncSync(d);
      fs.closeSync(d);
    };
    for (let n = 0; n < ${copies}; n++) {
      const dir = process.argv[1] + '/' + n;
      fs.mkdirSync(dir);
      syncDirectory(process.argv[1]);
      const fd = fs.openSync(dir + '/file', 'w+');
      fs.writeSync(fd, sector('a', 4), 0, 2048, 0);
      fs.fdatasyncSync(fd);
      syncDirectory(dir);
      ${script}
    }
    process.kill(process.pid, 'SIGKILL');`;
}

/** Writes a sector, maps the file and syncs the mapping. */
const MSYNC_PROGRAM = `
  #include <fcntl.h>
  #include <string.h>
  #include <sys/mman.h>
  #include <unistd.h>
  int main(int count, char **words) {
    char sector[512];
    memset(sector, 'b', sizeof sector);
    int fd = open(words[count - 1], O_RDWR);
    if (pwrite(fd, sector, sizeof sector, 0) != sizeof sector) return 1;
    void *map = mmap(NULL, 2048, PROT_READ, MAP_SHARED, fd, 0);
    return msync(map, 2048, MS_SYNC) != 0;
  }`;

/** Calls of the above before the script. */
const CALLS_BEFORE = 6;

describe.runIf(runsLossy())('a disk that forgets what was not synced', () => {
  let root: string;
  let directory: string;
  let side: string;
  let library: string;

  beforeAll(() => {
    root = mkdtempSync(join(realpathSync(tmpdir()), 'quorate-lossy-'));
    library = compileLossy(root);
    [directory, side] = [join(root, 'data'), join(root, 'side')];
  });
  beforeEach(() => {
    for (const path of [directory, side]) rmSync(path, { recursive: true, force: true });
  });
  afterAll(() => rmSync(root, { recursive: true }));

  /** Runs a script under the library, and kills it at its end. */
  function run(
    script: string,
    options: { copies?: number; fail?: string; lies?: boolean } = {},
  ): string {
    const { copies = 1, ...rest } = options;
    const environment = lossyEnvironment({ library, directories: [directory], side, ...rest });
    const args = ['-e', programOf(script, copies), directory];
    const env = { ...process.env, ...environment };
    const { stdout, stderr, signal } = spawnSync(process.execPath, args, { env });
    expect(signal, String(stderr)).toBe('SIGKILL');
    return String(stdout);
  }

  function cut(seed = 1): Loss {
    return cutPower({ directories: [directory], side, prng: new Prng(seed) });
  }

  /** What is in the directory of each copy after a power cut. */
  function afterCut<T>(script: string, look: (copy: string) => T): Set<T> {
    run(script, { copies: COPIES });
    cut();
    const copies = Array.from({ length: COPIES }, (_, n) => join(directory, String(n)));
    return new Set(copies.map(look));
  }

  /** The sectors of each copy's file after a power cut, as one letter each. */
  function outcomes(script: string): Set<string> {
    return afterCut(script, (copy) => sectorLetters(readFileSync(join(copy, 'file'))));
  }

  test('a synced write stays', () => {
    const script = `fs.writeSync(fd, sector('b', 2), 0, 1024, 512); fs.fdatasyncSync(fd);`;
    expect(outcomes(script)).toEqual(new Set(['abba']));
  });

  test('a write without a sync goes back, sector by sector', () => {
    const found = outcomes(`fs.writeSync(fd, sector('b', 2), 0, 1024, 512);`);
    expect(found).toContain('aaaa');
    for (const text of found) expect(text).toMatch(/^a[ab][ab]a$/);
  });

  test('a sector that was written twice can hold any of its states', () => {
    const script = `for (const letter of 'bc') fs.writeSync(fd, sector(letter), 0, 512, 0);`;
    const found = outcomes(script);
    expect(found.size).toBeGreaterThan(1);
    for (const text of found) expect(text).toMatch(/^[abc]aaa$/);
  });

  test('a write that extends the file can leave its length and zeros behind', () => {
    const found = outcomes(`fs.writeSync(fd, sector('b', 2), 0, 1024, 2048);`);
    expect(found).toContain('aaaa');
    for (const text of found) expect(text).toMatch(/^aaaa([0b][0b])?$/);
  });

  test('a truncation without a sync can go back', () => {
    const found = outcomes('fs.ftruncateSync(fd, 512);');
    expect(found.size).toBeGreaterThan(1);
    for (const text of found) expect(text).toMatch(/^a([a0]{3})?$/);
  });

  test('a write through O_DSYNC stays, and covers an earlier one of the same sector', () => {
    const through = 'fs.constants.O_RDWR | fs.constants.O_DSYNC';
    const script = `
      fs.writeSync(fd, sector('b', 2), 0, 1024, 0);
      const through = fs.openSync(dir + '/file', ${through});
      fs.writevSync(through, [sector('c'), sector('c')], 512);`;
    for (const text of outcomes(script)) expect(text).toMatch(/^[ab]cca$/);
  });

  test('an msync counts as a sync of the file behind the mapping', () => {
    const [source, program] = [join(root, 'msync.c'), join(root, 'msync')];
    writeFileSync(source, MSYNC_PROGRAM);
    execFileSync('cc', ['-o', program, source], { stdio: 'pipe' });
    run('');
    const environment = lossyEnvironment({ library, directories: [directory], side });
    const env = { ...process.env, ...environment };
    execFileSync(program, [join(directory, '0', 'file')], { env });
    cut();
    expect(sectorLetters(readFileSync(join(directory, '0', 'file')))).toBe('baaa');
  });

  test('names go back to a state since the last sync of their directory', () => {
    const script = `
      fs.writeFileSync(dir + '/kept', 'kept');
      syncDirectory(dir);
      fs.renameSync(dir + '/kept', dir + '/file');
      fs.writeFileSync(dir + '/late', 'late');
      fs.unlinkSync(dir + '/late');
      fs.mkdirSync(dir + '/folder');`;
    const found = afterCut(script, (copy) => readdirSync(copy).sort().join(' '));
    const states = new Set(['file kept', 'file', 'file late', 'file folder']);
    expect([...found].filter((names) => !states.has(names))).toEqual([]);
    expect(found).toContain('file kept');
    expect(found).toContain('file folder');
  });

  test('what survived a kill is still unsynced when the next process runs', () => {
    run(`fs.writeSync(fd, sector('b'), 0, 512, 0);`);
    const environment = lossyEnvironment({ library, directories: [directory], side });
    const env = { ...process.env, ...environment };
    const write = `require('node:fs').writeFileSync(process.argv[1] + '/0/other', 'x')`;
    expect(spawnSync(process.execPath, ['-e', write, directory], { env }).status).toBe(0);
    const sequences = readUndoLogs(side).map(({ sequence }) => sequence);
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(cut().unsyncedSectors).toBeGreaterThanOrEqual(1);
  });

  test('syncs are not believed of a disk that lies', () => {
    run(`fs.writeSync(fd, sector('b'), 0, 512, 0); fs.fdatasyncSync(fd);`, { lies: true });
    expect(cut().unsyncedSectors).toBe(4);
  });

  test('the chosen call fails with the chosen error, and does nothing', () => {
    const script = `
      try { fs.writeSync(fd, sector('b'), 0, 512, 0); } catch (e) { console.log(e.code); }
      fs.writeSync(fd, sector('c'), 0, 512, 512);`;
    expect(run(script, { fail: `${CALLS_BEFORE + 1}:5` })).toBe('EIO\n');
    const faults = readUndoLogs(side).filter(({ type }) => type === 'fault');
    expect(faults.map(({ call }) => call)).toEqual([CALLS_BEFORE + 1]);
    const bytes = readFileSync(join(directory, '0', 'file'), 'latin1');
    expect([bytes[0], bytes[512]]).toEqual(['a', 'c']);
  });

  test('a full disk says so, takes no new bytes and no new names, but overwrites', () => {
    const script = `
      const attempt = (what) => { try { what(); } catch (e) { console.log(e.code); } };
      attempt(() => fs.writeSync(fd, sector('b'), 0, 512, 2048));
      attempt(() => fs.writeFileSync(dir + '/new', ''));
      attempt(() => fs.writeSync(fd, sector('c'), 0, 512, 0));
      console.log(fs.statfsSync(dir).bavail, fs.statfsSync('/').bavail > 0);`;
    expect(run(script, { fail: `${CALLS_BEFORE + 1}:full` })).toBe('ENOSPC\nENOSPC\n0 true\n');
    expect(existsSync(join(directory, '0', 'new'))).toBe(false);
    expect(readFileSync(join(directory, '0', 'file'), 'latin1')[0]).toBe('c');
  });

  test('a process ends before the chosen call', () => {
    run(`fs.writeSync(fd, sector('b'), 0, 512, 0);`, { fail: `${CALLS_BEFORE + 1}:kill` });
    expect(readFileSync(join(directory, '0', 'file'), 'latin1')[0]).toBe('a');
  });

  test('files beside the watched directories are left alone', () => {
    run(`fs.writeFileSync(process.argv[1] + '.beside', 'x');`);
    expect(readUndoLogs(side).some(({ path }) => path.includes('beside'))).toBe(false);
  });
});

/** One letter for each sector, `0` for zeros; a sector of several letters shows them all. */
function sectorLetters(bytes: Uint8Array): string {
  let letters = '';
  for (let at = 0; at < bytes.length; at += 512) {
    const found = new Set(bytes.subarray(at, at + 512));
    for (const byte of found) letters += byte === 0 ? '0' : String.fromCharCode(byte);
  }
  return letters;
}

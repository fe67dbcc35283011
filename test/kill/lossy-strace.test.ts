import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { ProcessCluster } from '../../src/cli/cluster/index.ts';
import { Clerk } from '../../src/client/index.ts';
import { compileLossy, lossyEnvironment, runsLossy } from './lossy.ts';

/** Ways to change a file that lossy.c does not know. `mmap` counts if it is shared and writable. */
const UNKNOWN_CALLS = [
  ...['fallocate', 'truncate', 'copy_file_range', 'sendfile', 'splice', 'pwritev2'],
  ...['io_uring_setup', 'io_submit', 'symlink', 'symlinkat', 'linkat', 'mknodat', 'mmap'],
  // Elsewhere these are what the C library makes of `rename` and its like.
  ...(process.arch === 'x64' ? ['renameat', 'renameat2', 'unlinkat', 'mkdirat', 'creat'] : []),
];

/** Whether it is there and may trace. */
function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch (cause) {
    process.stderr.write(`without a look at system calls (apt-get install strace): ${cause}\n`);
    return false;
  }
}

/** What the member's files are changed by, past lossy.c; LMDB's table of readers may be. */
function unseenChanges(trace: string, dataDir: string): string[] {
  return trace.split('\n').filter((line) => {
    if (line.includes('io_uring_setup(') || line.includes('io_submit(')) return true;
    if (!line.includes(dataDir) || line.includes('-lock>')) return false;
    return !line.includes('mmap(') || (line.includes('MAP_SHARED') && line.includes('PROT_WRITE'));
  });
}

test.runIf(runsLossy() && hasStrace())(
  'lossy.c sees every change that a member makes',
  {
    timeout: 60_000,
  },
  async () => {
    const directory = realpathSync(mkdtempSync(join(tmpdir(), 'quorate-strace-')));
    const [dataDir, side, out] = ['m1', 'side', 'trace'].map((name) => join(directory, name));
    if (dataDir === undefined || side === undefined || out === undefined)
      throw new Error('no paths');
    try {
      const library = compileLossy(directory);
      // -D: the member keeps its place in the family; strace stands beside it.
      const flags = ['-D', '-f', '-y', '-qq', '--seccomp-bpf', '-o', out];
      const trace = ['strace', ...flags, '-e', `trace=${UNKNOWN_CALLS.join(',')}`];
      await using cluster = await ProcessCluster.start({
        command: [...trace, process.execPath, inject('quorateMain'), 'serve'],
        directory,
        members: 1,
        flags: ['--snapshot-count', '8'], // so that the state is flushed meanwhile
        environment: {
          ...process.env,
          ...lossyEnvironment({ library, directories: [dataDir], side }),
        },
      });
      await using clerk = await Clerk.connect({ endpoints: cluster.endpoints });
      await Promise.all(Array.from({ length: 100 }, (_, n) => clerk.put(`key ${n}`, 'value')));
      await clerk.close();
      await cluster.close();
      const seen = readFileSync(out, 'utf8');
      expect(seen).toContain('mmap(');
      expect(unseenChanges(seen, dataDir)).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

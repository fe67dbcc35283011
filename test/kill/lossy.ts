import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FULL } from './scale.ts';

const SOURCE = fileURLToPath(new URL('./lossy.c', import.meta.url));

/** Why the disk that forgets cannot be built here; null: it can. */
export function lossyObstacle(): string | null {
  if (process.platform !== 'linux') return `LD_PRELOAD as lossy.c wants it is not on this platform`;
  try {
    execFileSync('cc', ['--version'], { stdio: 'ignore' });
    return null;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return `no C compiler "cc" (on Debian: apt-get install gcc libc6-dev): ${reason}`;
  }
}

/**
 * Whether tests with lossy.c are to run. Where they cannot, a full run must not pass in silence:
 * there they run, and fail with the reason; a short run says so and goes on without them.
 */
export function runsLossy(): boolean {
  const obstacle = lossyObstacle();
  if (obstacle === null || FULL) return true;
  process.stderr.write(`without power cuts and disk faults: ${obstacle}\n`);
  return false;
}

/** Compiles lossy.c into `directory`. @returns path of the library */
export function compileLossy(directory: string): string {
  const library = join(directory, 'lossy.so');
  const flags = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror'];
  execFileSync('cc', [...flags, '-o', library, SOURCE, '-ldl', '-lpthread'], { stdio: 'pipe' });
  return library;
}

/** Environment of a process whose disk forgets what it has not synced; see lossy.c. */
export function lossyEnvironment(options: {
  readonly library: string;
  /** Absolute, without a '/' at the end; made here if they are missing. */
  readonly directories: readonly string[];
  /** Outside of these; made here if it is missing. */
  readonly side: string;
  /** LOSSY_FAIL. */
  readonly fail?: string;
  /** No sync of a file is believed. */
  readonly lies?: boolean;
}): Record<string, string> {
  const { library, directories, side, fail, lies } = options;
  // Their own names stand in a directory that is not watched, and would never count as synced.
  for (const path of directories) mkdirSync(path, { recursive: true, mode: 0o700 });
  mkdirSync(side, { recursive: true });
  return {
    LD_PRELOAD: library,
    LOSSY_DIRS: directories.map((path) => `${path}/`).join(':'),
    LOSSY_SIDE: side,
    UV_USE_IO_URING: '0', // its writes pass by every library
    ...(fail === undefined ? {} : { LOSSY_FAIL: fail }),
    ...(lies === true ? { LOSSY_LIES: '1' } : {}),
  };
}

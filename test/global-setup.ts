import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

const ROOT = new URL('..', import.meta.url).pathname;

/**
 * Compiles `src` once before all tests, so that tests which start real processes run the code under
 * test on every Node we support, on a fresh clone as well as after an edit. Types are checked by
 * `npm run verify`; here only JavaScript is wanted, and only what changed is compiled again.
 */
export async function setup(project: TestProject): Promise<void> {
  const cache = join(ROOT, 'node_modules', '.cache', 'quorate-test');
  mkdirSync(cache, { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(cache, 'package.json'));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = ['--outDir', join(cache, 'dist'), '--noCheck', '--declaration', 'false'];
  const incremental = ['--incremental', '--tsBuildInfoFile', join(cache, 'dist', 'tsbuildinfo')];
  const args = ['-p', join(ROOT, 'tsconfig.build.json'), ...flags, ...incremental];
  await promisify(execFile)(process.execPath, [tsc, ...args]);
  if (existsSync(join(ROOT, 'proto')))
    cpSync(join(ROOT, 'proto'), join(cache, 'proto'), { recursive: true });
  project.provide('quorateMain', join(cache, 'dist', 'cli', 'main.js'));
}

declare module 'vitest' {
  export interface ProvidedContext {
    /** Path of the compiled command, to be run with Node. */
    quorateMain: string;
  }
}

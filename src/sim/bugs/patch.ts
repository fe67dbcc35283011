import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** A few words of a compiled file, and what stands there when the mistake has been made. */
export interface Patch {
  /** Below the compiled sources: `replica/parked.js`. */
  readonly file: string;
  /** Exactly one place of the file. */
  readonly find: string;
  readonly put: string;
}

/** A copy of the compiled sources with a mistake in it. */
export interface PatchedCopy {
  /** Of the copy, for `forkRunner`. */
  readonly worker: string;
  remove(): void;
}

/**
 * Copies the compiled sources and makes a mistake in them.
 * @param worker the compiled worker, whose folder's parent is copied
 * @throws Error when a patch does not find its place, or more than one: the code has changed since
 */
export function patchedCopy(worker: string, patches: readonly Patch[]): PatchedCopy {
  const compiled = dirname(dirname(worker));
  const root = mkdtempSync(join(tmpdir(), 'quorate-planted-'));
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  try {
    const copy = join(root, 'dist');
    cpSync(compiled, copy, { recursive: true, filter: (path) => !/\.(d\.ts|map)$/.test(path) });
    cpSync(join(dirname(compiled), 'package.json'), join(root, 'package.json'));
    symlinkSync(packagesOf(compiled), join(root, 'node_modules'), 'dir');
    for (const patch of patches) {
      const path = join(copy, patch.file);
      writeFileSync(path, patched(readFileSync(path, 'utf8'), patch));
    }
    return { worker: join(copy, 'sim', 'worker.js'), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** @throws Error when `find` is not in the text, or more than once. */
export function patched(text: string, { file, find, put }: Patch): string {
  const [before, after, ...more] = text.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`a planted bug does not fit ${file} any more: ${JSON.stringify(find)}`);
  }
  return before + put + after;
}

/** The packages that modules in `directory` find. */
function packagesOf(directory: string): string {
  const paths = createRequire(join(directory, 'index.js')).resolve.paths('any') ?? [];
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no node_modules for ${directory}`);
  return found;
}

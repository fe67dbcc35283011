import { type Disk, DiskError } from '../io/index.ts';
import type { StateStorage } from './saved-machine.ts';

const FILE = 'state';
const NEW_FILE = 'state.new';

/**
 * Keeps a saved state in one file of a directory of its own, replaced atomically: written beside,
 * synced, renamed.
 * @throws DiskError
 */
export async function stateFile(disk: Disk, directory: string): Promise<StateStorage> {
  await disk.makeDirectory(directory);
  const names = await disk.list(directory);
  if (names.includes(NEW_FILE)) await disk.remove(`${directory}/${NEW_FILE}`);
  const path = `${directory}/${FILE}`;
  return {
    initial: names.includes(FILE) ? await readAll(disk, path) : null,
    write: (bytes, done) => {
      replace(disk, directory, bytes).then(
        () => done(null),
        (cause: unknown) => done(asError(cause)),
      );
    },
  };
}

async function readAll(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, { create: false });
  try {
    return await file.read({ offset: 0, length: await file.size() });
  } finally {
    await file.close();
  }
}

async function replace(disk: Disk, directory: string, bytes: Uint8Array): Promise<void> {
  const path = `${directory}/${NEW_FILE}`;
  const file = await disk.open(path, { create: true });
  try {
    await file.write(0, [bytes]);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(path, `${directory}/${FILE}`);
  await disk.syncDirectory(directory);
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new DiskError('EIO', FILE, { cause });
}

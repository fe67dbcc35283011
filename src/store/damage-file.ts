import { type Disk, DiskError } from '../io/index.ts';
import { utf8Bytes, utf8String } from '../lib/index.ts';
import { corruptState, type StoreError, storeError } from './error.ts';

/*
 * DAMAGED stands beside a generation in which damage was met while the program ran: opening reads
 * a few rows only, and would not notice. For a person, and for the next start:
 *
 *   generation 12
 *   …/0000000000000012.lmdb: checksum of the row 666f6f in table keys. Nothing was …
 */

const NAME = 'DAMAGED';
const LENGTH_MAX = 4096;

interface Place {
  readonly disk: Disk;
  readonly directory: string;
}

/**
 * Says, durably, that a generation must not be opened any more. The first finding stays.
 * @throws StoreError (rejects) `FULL`, `IO`.
 */
export async function writeDamage(
  { disk, directory }: Place,
  generation: number,
  finding: StoreError,
): Promise<void> {
  const path = `${directory}/${NAME}`;
  try {
    if ((await disk.list(directory)).includes(NAME)) return;
    const file = await disk.open(path, { create: true });
    await file.write(0, [utf8Bytes(`generation ${generation}\n${finding.message}\n`)]);
    await file.sync();
    await file.close();
    await disk.syncDirectory(directory);
  } catch (cause) {
    throw storeError(cause, path);
  }
}

/**
 * Refuses a generation in which damage was met before. A note about another one, or a torn one,
 * whose finding will be met again, is removed.
 * @throws StoreError (rejects) `CORRUPT`, `IO`.
 */
export async function refuseDamaged(
  { disk, directory }: Place,
  generation: number,
  path: string,
): Promise<void> {
  const text = await readDamage({ disk, directory });
  if (text === null) return;
  const [head, finding] = text.split('\n');
  if (head === `generation ${generation}` && finding !== undefined) {
    throw corruptState(`damage was met in it before (${finding})`, path);
  }
  await removeDamage({ disk, directory });
}

/** Removes the note, durably; nothing happens when there is none. */
export async function removeDamage({ disk, directory }: Place): Promise<void> {
  if (!(await disk.list(directory)).includes(NAME)) return;
  await disk.remove(`${directory}/${NAME}`);
  await disk.syncDirectory(directory);
}

async function readDamage({ disk, directory }: Place): Promise<string | null> {
  const path = `${directory}/${NAME}`;
  try {
    const file = await disk.open(path, { create: false });
    const bytes = await file.read({ offset: 0, length: LENGTH_MAX });
    await file.close();
    return utf8String(bytes) ?? '';
  } catch (cause) {
    if (cause instanceof DiskError && cause.code === 'ENOENT') return null;
    throw storeError(cause, path);
  }
}

import { crc32 } from 'node:zlib';
import { type Disk, DiskError } from '../io/index.ts';
import { utf8Bytes, utf8String } from '../lib/index.ts';
import { corruptState, storeError } from './error.ts';

/*
 * CURRENT names the generation in force, in three lines that a person can read:
 *
 *   quorate state 1
 *   generation 12
 *   crc32 3f0a6d17          of the two lines above
 */

const NAME = 'CURRENT';
const NEW_NAME = 'CURRENT.new';
const LENGTH_MAX = 256;

interface Place {
  readonly disk: Disk;
  readonly directory: string;
}

/**
 * The number of the generation in force; null when CURRENT does not exist.
 * @throws StoreError (rejects) `CORRUPT`, `IO`.
 */
export async function readCurrent({ disk, directory }: Place): Promise<number | null> {
  const path = `${directory}/${NAME}`;
  try {
    const file = await disk.open(path, { create: false });
    const bytes = await file.read({ offset: 0, length: LENGTH_MAX });
    await file.close();
    const text = utf8String(bytes);
    const generation = Number(text?.match(/\ngeneration ([1-9][0-9]{0,15})\n/)?.[1]);
    // Written again it must be the same bytes: so nothing else can be meant by it.
    if (text !== encode(generation)) throw corruptState('its contents are damaged', path);
    return generation;
  } catch (cause) {
    if (cause instanceof DiskError && cause.code === 'ENOENT') return null;
    throw storeError(cause, path);
  }
}

/**
 * Puts another generation in force, durably: the name is moved onto bytes that are on the disk.
 * @throws StoreError (rejects) `FULL`, `IO`.
 */
export async function writeCurrent({ disk, directory }: Place, generation: number): Promise<void> {
  const path = `${directory}/${NEW_NAME}`;
  try {
    if ((await disk.list(directory)).includes(NEW_NAME)) await disk.remove(path);
    const file = await disk.open(path, { create: true });
    await file.write(0, [utf8Bytes(encode(generation))]);
    await file.sync();
    await file.close();
    await disk.rename(path, `${directory}/${NAME}`);
    await disk.syncDirectory(directory);
  } catch (cause) {
    throw storeError(cause, path);
  }
}

/**
 * No generation is in force any more, durably.
 * @throws StoreError (rejects) `IO`.
 */
export async function removeCurrent({ disk, directory }: Place): Promise<void> {
  const names = await disk.list(directory);
  for (const name of [NAME, NEW_NAME]) {
    if (names.includes(name)) await disk.remove(`${directory}/${name}`);
  }
  await disk.syncDirectory(directory);
}

function encode(generation: number): string {
  const lines = `quorate state 1\ngeneration ${generation}\n`;
  return `${lines}crc32 ${crc32(utf8Bytes(lines)).toString(16).padStart(8, '0')}\n`;
}

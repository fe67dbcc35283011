import type { Disk } from '../io/index.ts';
import { FORMAT_VERSION } from './format.ts';
import type { LogReading } from './log-reader.ts';
import {
  activateSegment,
  createSegment,
  writeDurably,
  writePreamble,
  writeSeal,
} from './segment-files.ts';
import type { WalParts } from './segmented-wal.ts';
import type { WalIdentity } from './types.ts';

/** The parts of a log that repairing it settles. */
export type Repaired = Pick<WalParts, 'active' | 'preparedBytes' | 'lastKind' | 'sealed'>;

/**
 * Cuts off a torn tail, makes what was read durable, and finishes a change of segments; a log of an
 * earlier version goes on in a new segment. Every step may be the last one before a crash: the next
 * start finds the same log and does the rest.
 */
export async function repair(
  { disk, identity }: { disk: Disk; identity: WalIdentity },
  log: { directory: string; reading: LogReading; segmentBytes: number },
): Promise<Repaired> {
  const { directory, reading, segmentBytes } = log;
  const { tail, sealed, head, confState } = reading;
  const { segment, position, last, tornBytes, salt } = tail;
  const preamble = { confState, ...head };
  const goesOn = last.kind !== 'seal' && tail.version === FORMAT_VERSION;
  const file = await disk.open(tail.file, { create: false, writeThrough: true });
  try {
    if (tornBytes > 0) await writeDurably(file, position.offset, new Uint8Array(tornBytes));
    // The page cache may show what a failed sync has dropped: written again, it reaches the disk.
    await writeDurably(file, last.offset, last.bytes);
    let { preparedBytes } = tail;
    if (preparedBytes === null ? !goesOn : preparedBytes !== segmentBytes) {
      // Not there, or made under another limit: batches may not fit. A rename replaces it at once.
      const empty = new Uint8Array(0);
      await createSegment(disk, { directory, segment: segment + 1, segmentBytes, head: empty });
      preparedBytes = segmentBytes;
    }
    if (goesOn) {
      const active = { file, segment, segmentBytes: tail.segmentBytes, salt, position };
      const lastKind = last.kind === 'header' ? 'preamble' : last.kind;
      if (last.kind === 'header') await writePreamble(active, preamble);
      return { active, preparedBytes, lastKind, sealed };
    }
    const end = last.kind === 'seal' ? position : await writeSeal(file, tail);
    const { lastIndex, lastTerm } = head;
    const next = {
      directory,
      segmentBytes,
      segment: segment + 1,
      previousSequence: end.sequence,
      previousChain: end.chain,
      lastIndex,
      lastTerm,
    };
    const active = await activateSegment({ disk, identity }, next, preamble);
    await file.close();
    const done = { segment, usedBytes: end.offset, lastIndex };
    return { active, preparedBytes: null, lastKind: 'preamble', sealed: [...sealed, done] };
  } catch (error) {
    await file.close();
    throw error;
  }
}

import type { LogPosition, Wal, WalBatch } from '../index.ts';
import {
  type Content,
  command,
  contents,
  filler,
  fingerprint,
  manyBatches,
  moved,
  quiescence,
  seenFrom,
} from './fixture.ts';

/*
 * The life of a member's log with everything that can happen to it: all kinds of records, changes
 * of segments, a state machine that becomes durable and lets the log be cut (also while writes are
 * on their way, and ahead of them), and a snapshot behind which the log starts anew.
 */

/** Seven blocks: header, preamble, four for batches, seal. */
export const LIMITS = { segmentBytes: 28 * 1024 };

const FIRST = manyBatches();
const SECOND = moved(FIRST, { index: 8, term: 3 });
const SNAPSHOT: LogPosition = { index: 40, term: 9 };
const INSTALL: WalBatch = {
  base: SNAPSHOT,
  hardState: { term: 9, vote: null, commitIndex: 40 },
  entries: [command(41, 9, filler(3000, 1)), command(42, 9, filler(10, 2))],
};
const THIRD = moved(FIRST, { index: 42, term: 9 });

/** Every batch, in the order in which it is appended. */
export const BATCHES: readonly WalBatch[] = [...FIRST, ...SECOND, INSTALL, ...THIRD];

const CONTENTS = contents(BATCHES);
/** By the state's index: the state is at one place only once. */
const fingerprints = new Map<number, string[]>();

/** After how many batches, at most, a log looks like this from `state`; -1: after none. */
export function batchesIn(content: Content, state: LogPosition | null): number {
  const key = state?.index ?? 0;
  const known = fingerprints.get(key) ?? CONTENTS.map((each) => fingerprint(seenFrom(each, state)));
  fingerprints.set(key, known);
  return known.lastIndexOf(fingerprint(content));
}

/** What has happened so far, as whoever asked the log to do it knows. */
export interface Progress {
  /** Batches whose `done` was called. */
  acked: number;
  /** Last entry that the state machine holds durably. */
  state: LogPosition | null;
}

/**
 * Lives that life up to the first time that an acknowledgement does not come: the disk has died or
 * failed. Does not close the log.
 */
export async function live(wal: Wal, progress: Progress): Promise<void> {
  let appended = 0;
  const start = (batches: readonly WalBatch[]): void => {
    for (const batch of batches) {
      wal.append(batch, () => {
        progress.acked += 1;
      });
    }
    appended += batches.length;
  };
  /** With a disk in memory everything has happened when all is quiet. */
  const isDurable = async (): Promise<boolean> => {
    await quiescence();
    return progress.acked === appended;
  };
  const flush = (state: LogPosition): void => {
    progress.state = state;
    wal.compact(state.index);
  };
  const steps: (() => void)[] = [
    ...FIRST.slice(0, 7).map((batch) => () => start([batch])),
    () => flush({ index: 5, term: 2 }),
    () => start([...FIRST.slice(7), ...SECOND.slice(0, 5)]),
    () => {
      start(SECOND.slice(5));
      flush({ index: 8, term: 3 });
    },
    () => {
      progress.state = SNAPSHOT;
    },
    () => start([INSTALL]),
    ...THIRD.slice(0, 4).map((batch) => () => start([batch])),
    () => flush({ index: 43, term: 10 }),
    () => {
      start(THIRD.slice(4));
      // Committed by others and applied here, before it is durable here.
      flush({ index: 50, term: 12 });
    },
  ];
  for (const step of steps) {
    step();
    if (!(await isDurable())) return;
  }
}

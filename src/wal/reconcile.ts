import type { Entry, HardState } from '../raft/index.ts';
import { corrupt } from './error.ts';
import { segmentName } from './format.ts';
import type { LogReading } from './log-reader.ts';
import type { LogPosition } from './types.ts';

/** What a log says to a member whose state machine stands at some place. */
export interface Reconciled {
  readonly hardState: HardState | null;
  /** Entries in force above the state. */
  readonly entries: readonly Entry[];
  /** Those that the state has too, as far as they are still in the files. */
  readonly earlierEntries: readonly Entry[];
  /** The log does not reach or does not contain the state: it has to start anew behind it. */
  readonly reset: boolean;
}

/**
 * Fits the log to what the state machine holds durably. A state ahead of the log is an ordinary
 * crash: of a snapshot that was installed and not yet recorded, or of entries that others had
 * committed and that were applied before they were durable here. A log that begins behind the
 * state's successor has lost entries.
 * @param base null: the state machine is empty
 * @throws WalError CORRUPT
 */
export function reconcile(
  reading: LogReading,
  base: LogPosition | null,
  directory: string,
): Reconciled {
  const { content, head, firstSegment, tail } = reading;
  const index = base?.index ?? 0;
  const hardState = raised(head.hardState, base);
  const nothing = { hardState, entries: [], earlierEntries: [], reset: true };
  if (base !== null && index > head.lastIndex) return nothing;
  if (index + 1 < content.firstIndex) {
    // A log that was never cut begins with the state it was made for.
    const missing = Math.max(1, firstSegment - 1);
    throw corrupt(
      `this segment is missing, or the state machine's data is not what it was (the log begins ` +
        `with entry ${content.firstIndex} and the state ends with entry ${index})`,
      { file: `${directory}/${segmentName(missing)}`, offset: 0 },
    );
  }
  const term = content.termAt(index);
  if (base === null || term === null || term === base.term) {
    const earlier = Math.max(0, index + 1 - content.firstIndex);
    return {
      hardState,
      entries: content.entries.slice(earlier),
      earlierEntries: content.entries.slice(0, earlier),
      reset: false,
    };
  }
  if (index < content.firstIndex || index <= (head.hardState?.commitIndex ?? 0)) {
    throw corrupt(
      `the log committed entry ${index} of term ${term}, and the state machine holds one of term ` +
        `${base.term} there`,
      { file: tail.file, offset: tail.position.offset },
    );
  }
  return nothing;
}

/** What a state machine holds is committed, and nobody holds an entry without knowing its term. */
function raised(hardState: HardState | null, base: LogPosition | null): HardState | null {
  if (base === null) return hardState;
  const was = hardState ?? { term: 0, vote: null, commitIndex: 0 };
  const commitIndex = Math.max(was.commitIndex, base.index);
  if (was.term >= base.term) return { ...was, commitIndex };
  return { term: base.term, vote: null, commitIndex };
}

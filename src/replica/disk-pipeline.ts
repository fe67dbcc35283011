import type { HardState, Ready, SnapshotMeta } from '../raft/index.ts';
import type { Wal } from '../wal/index.ts';

/** Takes Readies to the disk and reports them, in order, once what they promise is durable. */
export interface DiskPipeline {
  write(ready: Ready): void;
}

/** What the pipeline is made of. */
export interface DiskPipelineOptions {
  readonly wal: Wal;
  /** Puts the received state in the place of the own one; durable when `done` is called. */
  readonly install: (snapshot: SnapshotMeta, done: () => void) => void;
  /** A Ready and all before it are durable. */
  readonly onDurable: (ready: Ready) => void;
}

/**
 * A Ready with nothing to sync does not wait for the disk itself, but it stays behind those before
 * it: its messages may speak of what they wrote. A commit index alone is not worth a sync; it rides
 * along with the next write.
 *
 * A Ready with a snapshot goes in three steps, and what comes later waits for the second:
 *
 *   term and vote to the log ──▶ state installed ──▶ log begins anew behind it
 *
 * So all earlier writes are done when the state is replaced, and a crash at any place leaves a pair
 * that the next start understands: the old state with the old log, or the new state with a log that
 * does not reach it, which is then begun anew (`openWal`). The term comes first because the log
 * must never be behind the term of the state.
 */
export function openDiskPipeline({ wal, install, onDurable }: DiskPipelineOptions): DiskPipeline {
  /** Behind the newest write: Readies that have nothing to write themselves. */
  let followers: Ready[] = [];
  let writesInFlight = 0;
  /** The newest hard state, and whether the log has been given it. */
  let hardState: HardState | null = wal.recovery.hardState;
  let unwritten = false;
  /** Readies that wait for an installation to finish; null while there is none. */
  let blocked: Ready[] | null = null;

  function write(ready: Ready): void {
    if (blocked !== null) blocked.push(ready);
    else if (ready.snapshot !== null) writeSnapshot(ready, ready.snapshot);
    else if (ready.mustSync || writesInFlight === 0) writeNow(ready);
    else {
      noteHardState(ready);
      followers.push(ready);
    }
  }

  function writeNow(ready: Ready): void {
    noteHardState(ready);
    if (!ready.mustSync) return onDurable(ready);
    append(ready, null);
  }

  function append(ready: Ready, base: SnapshotMeta | null): void {
    const behind: Ready[] = [];
    followers = behind;
    writesInFlight++;
    const batch = { hardState: unwritten ? hardState : null, entries: ready.entries, base };
    unwritten = false;
    wal.append(batch, () => {
      writesInFlight--;
      onDurable(ready);
      for (const each of behind) onDurable(each);
    });
  }

  function writeSnapshot(ready: Ready, snapshot: SnapshotMeta): void {
    blocked = [];
    const commitIndex = hardState?.commitIndex ?? 0;
    noteHardState(ready);
    const promises = hardState === null ? null : { ...hardState, commitIndex };
    wal.append({ hardState: promises, entries: [], base: null }, () => {
      install(snapshot, () => {
        append(ready, snapshot);
        const waiting = blocked ?? [];
        blocked = null;
        for (const each of waiting) write(each);
      });
    });
  }

  function noteHardState(ready: Ready): void {
    if (ready.hardState === null) return;
    hardState = ready.hardState;
    unwritten = true;
  }

  return { write };
}

import type { HardState, Ready } from '../raft/index.ts';
import type { Wal } from '../wal/index.ts';

/** Takes Readies to the disk and reports them, in order, once what they promise is durable. */
export interface DiskPipeline {
  write(ready: Ready): void;
}

/**
 * A Ready with nothing to sync does not wait for the disk itself, but it stays behind those before
 * it: its messages may speak of what they wrote. A commit index alone is not worth a sync; it rides
 * along with the next write.
 */
export function openDiskPipeline(wal: Wal, onDurable: (ready: Ready) => void): DiskPipeline {
  /** Behind the newest write: Readies that have nothing to write themselves. */
  let followers: Ready[] = [];
  let writesInFlight = 0;
  let unwritten: HardState | null = null;

  return {
    write(ready) {
      if (ready.hardState !== null) unwritten = ready.hardState;
      if (!ready.mustSync) {
        if (writesInFlight === 0) onDurable(ready);
        else followers.push(ready);
        return;
      }
      const behind: Ready[] = [];
      followers = behind;
      writesInFlight++;
      wal.append({ hardState: unwritten, entries: ready.entries }, () => {
        writesInFlight--;
        onDurable(ready);
        for (const each of behind) onDurable(each);
      });
      unwritten = null;
    },
  };
}

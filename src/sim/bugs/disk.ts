import type { Clock, Disk, DiskFile } from '../../io/index.ts';
import type { Device } from '../sim-disk.ts';
import { type Bug, everyNth } from './bug.ts';

const BLOCK_BYTES = 4096;

/** Mistakes about what a disk promises. */
export const DISK_BUGS: readonly Bug[] = [
  {
    name: 'the log reports a batch before it is synced',
    planted: { disk: (disk, clock) => withFiles(disk, (file) => reportingEarly(file, clock)) },
  },
  {
    name: 'the log is written and never synced',
    planted: { disk: (disk) => withFiles(disk, neverSyncing) },
  },
  {
    name: 'a failed write is taken for a good one',
    planted: { disk: (disk) => withFiles(disk, ignoringErrors) },
    run: { members: 3, faults: ['diskError', 'diskFull', 'kill'] },
  },
  {
    name: 'a failed sync is tried again, and the second one believed',
    planted: { disk: (disk) => withFiles(disk, syncingAgain) },
    run: { members: 3, faults: ['diskError', 'powerCut'] },
  },
  {
    name: 'a disk loses what was synced',
    planted: { restart: forgetLastBlock },
  },
  {
    name: 'a write lands one block too far',
    planted: { disk: (disk) => withFiles(disk, misdirecting) },
  },
  {
    name: 'the name of a new segment is not synced',
    planted: { disk: (disk) => ({ ...unchanged(disk), syncDirectory: () => Promise.resolve() }) },
    run: { members: 3, faults: ['powerCut', 'powerCutOfAll'] },
  },
];

function unchanged(disk: Disk): Disk {
  return {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    open: (path, options) => disk.open(path, options),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lock: (directory) => disk.lock(directory),
  };
}

function withFiles(disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk {
  return {
    ...unchanged(disk),
    open: async (path, options) => wrap(await disk.open(path, options)),
  };
}

function writingBy(file: DiskFile, writeDurably: DiskFile['writeDurably']): DiskFile {
  return {
    size: () => file.size(),
    read: (range) => file.read(range),
    write: (offset, parts) => file.write(offset, parts),
    writeDurably,
    sync: () => file.sync(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
  };
}

function reportingEarly(file: DiskFile, clock: Clock): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    // The log uses its buffer again once it was told that it may.
    file.writeDurably(offset, bytes.slice(), () => 'too late to tell anybody');
    clock.defer(() => done(null));
  });
}

function neverSyncing(file: DiskFile): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    file.write(offset, [bytes.slice()]).then(
      () => done(null),
      () => done(null),
    );
  });
}

function ignoringErrors(file: DiskFile): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    file.writeDurably(offset, bytes, () => done(null));
  });
}

/** After a failed sync the kernel holds the pages for clean: the next one says that all is well. */
function syncingAgain(file: DiskFile): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    file.writeDurably(offset, bytes, (error) => {
      if (error === null) return done(null);
      file.sync().then(() => done(null), done);
    });
  });
}

function misdirecting(file: DiskFile): DiskFile {
  const isDue = everyNth(40);
  return writingBy(file, (offset, bytes, done) => {
    file.writeDurably(isDue() ? offset + BLOCK_BYTES : offset, bytes, done);
  });
}

/** Zeros where the last block was: nothing shows that the log was ever longer. */
function forgetLastBlock(device: Device): void {
  const { image } = device;
  for (const path of image.paths().reverse()) {
    if (!path.endsWith('.wal')) continue;
    const bytes = image.peek(path);
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    // The next segment is made in advance: it may be empty.
    if (end === 0) continue;
    const start = (Math.ceil(end / BLOCK_BYTES) - 2) * BLOCK_BYTES;
    if (start < 3 * BLOCK_BYTES) return;
    bytes.fill(0, start);
    image.poke(path, bytes);
    return;
  }
}

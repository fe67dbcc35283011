import { performance } from 'node:perf_hooks';
import type { Disk, DiskFile } from '../io/index.ts';

/** A disk that tells how long each durable write to a log's file took, seconds. */
export function timedDisk(disk: Disk, onDurable: (seconds: number) => void): Disk {
  return {
    async open(path, options) {
      const file = await disk.open(path, options);
      return options.writeThrough === true ? timedFile(file, onDurable) : file;
    },
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lock: (directory) => disk.lock(directory),
  };
}

function timedFile(file: DiskFile, onDurable: (seconds: number) => void): DiskFile {
  return {
    writeDurably(offset, bytes, done) {
      const startMs = performance.now();
      file.writeDurably(offset, bytes, (error) => {
        onDurable((performance.now() - startMs) / 1000);
        done(error);
      });
    },
    size: () => file.size(),
    read: (range) => file.read(range),
    write: (offset, parts) => file.write(offset, parts),
    sync: () => file.sync(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
  };
}

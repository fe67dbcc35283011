import cliProgress from 'cli-progress';

/** Work that is done sooner is not worth a bar, milliseconds. */
const QUIET_MS = 500;
const MIB = 1024 * 1024;

/** How far a long command is. */
export interface Progress {
  update(doneBytes: number, totalBytes: number): void;
  /** Leaves the terminal as it was. Safe to call twice. */
  stop(): void;
}

/** A bar on a terminal, for work that takes its time; nothing where nobody looks. */
export function showProgress(what: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { update: () => {}, stop: () => {} };
  const startMs = performance.now();
  let bar: cliProgress.SingleBar | null = null;
  return {
    update(doneBytes, totalBytes) {
      const elapsedMs = performance.now() - startMs;
      if (elapsedMs < QUIET_MS) return;
      if (bar === null) {
        bar = new cliProgress.SingleBar({
          stream,
          format: `${what} [{bar}] {percentage} %  {mib} MiB  {rate} MiB/s`,
          clearOnComplete: true,
          hideCursor: true,
          gracefulExit: false,
          barsize: 30,
          barCompleteChar: '#',
          barIncompleteChar: '.',
        });
        bar.start(totalBytes, doneBytes, { mib: 0, rate: 0 });
      }
      const mib = doneBytes / MIB;
      // An estimate may turn out too low.
      bar.setTotal(Math.max(totalBytes, doneBytes));
      bar.update(doneBytes, {
        mib: mib.toFixed(0),
        rate: (mib / (elapsedMs / 1_000)).toFixed(0),
      });
    },
    stop() {
      bar?.stop();
      bar = null;
    },
  };
}

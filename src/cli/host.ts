import type { Readable } from 'node:stream';

/** What a command sees of the process it runs in; tests hand it another. */
export interface Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  /** Writes to standard output; resolves when it has left, or with false: the reader is gone. */
  out(data: string | Uint8Array): Promise<boolean>;
  /** Writes one line to standard error. */
  err(line: string): void;
  /** Aborted when the user asks to stop (Ctrl-C, SIGTERM). */
  readonly signal: AbortSignal;
}

/** The real process. Closing its standard output early (`| head`) does not end the command. */
export function processHost(): Host {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    let asked = false;
    process.on(name, () => {
      if (asked) process.exit(name === 'SIGINT' ? 130 : 143);
      asked = true;
      interrupted.abort(name);
    });
  }
  let reading = true;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    reading = false;
    if (error.code !== 'EPIPE') throw error;
  });
  process.stderr.on('error', () => {}); // nobody reads the errors: there is nowhere left to say so
  return {
    environment: process.env,
    stdin: process.stdin,
    out: async (data) => {
      if (!reading) return false;
      return await new Promise<boolean>((resolve) => {
        process.stdout.write(data, (error) => resolve(error === null || error === undefined));
      });
    },
    err: (line) => {
      process.stderr.write(`${line}\n`);
    },
    signal: interrupted.signal,
  };
}

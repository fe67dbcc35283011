import { DiskError } from '../io/index.ts';
import { ConfigError } from '../server/index.ts';
import { CliError, EXIT, oneLine } from './exit.ts';
import type { ServeSettings } from './serve-flags.ts';
import { type ResolvedSettings, withSource } from './serve-settings.ts';

/** Errors of `listen` that the operator can do something about, in words. */
const LISTEN_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use: stop the process that listens there, or choose another port',
  EACCES: 'may not be used by this user: choose a port from 1024 on',
  EADDRNOTAVAIL: 'is not an address of this machine: name one of its own, or 0.0.0.0',
  ENOTFOUND: 'cannot be resolved: correct the host name, or write its IP address',
};

/** Errors of the data directory, likewise. */
const DIRECTORY_ADVICE: Readonly<Record<string, string>> = {
  ELOCKED: 'stop that process, or name another directory',
  EACCES: 'give it to the user that runs this member, closed to others (mode 0700)',
  EPERM: 'give it to the user that runs this member, closed to others (mode 0700)',
  EEXIST: 'name a directory',
  ENOTDIR: 'name a directory',
  EROFS: 'its file system is read-only; name another directory',
  ENOSPC: 'its file system is full; make room',
};

/** What `listen` or the resolving of its host name said. */
interface ListenError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
}

/** What one line to print, and which code to exit with, when a member could not start. */
export function startFailure(error: unknown, resolved: ResolvedSettings): CliError {
  const exitCode = error instanceof ConfigError ? EXIT.usage : EXIT.failed;
  const line = withSource(lineOf(error, resolved.settings), resolved.variables);
  return new CliError(exitCode, line, { cause: error });
}

function lineOf(error: unknown, settings: ServeSettings): string {
  const chain = causesOf(error);
  const listen = chain.find(isListenError);
  if (listen !== undefined) return listenLine(listen, settings);
  const disk = chain.find((each) => each instanceof DiskError);
  if (disk !== undefined) return directoryLine(disk);
  // Errors of our own are complete: what, where, what to do.
  return oneLine(chain[0]?.message ?? String(error));
}

function listenLine(error: ListenError, settings: ServeSettings): string {
  const { code = '', port } = error;
  const host = error.address ?? error.hostname ?? '';
  const peerUrls = settings['listen-peer-urls'] ?? ['http://localhost:2380'];
  const isPeer = peerUrls.some((url) =>
    port === undefined ? url.includes(host) : url.replace(/\/$/, '').endsWith(`:${port}`),
  );
  const flag = isPeer ? '--listen-peer-urls' : '--listen-client-urls';
  const place = port === undefined ? host : `${host}:${port}`;
  return `${flag}: ${place} ${LISTEN_ADVICE[code] ?? `cannot be listened on (${code})`}`;
}

function directoryLine(error: DiskError): string {
  // One that does not come from the operating system says itself what to do.
  const advice =
    error.cause === undefined && error.code !== 'ELOCKED'
      ? undefined
      : DIRECTORY_ADVICE[error.code];
  const line = `--data-dir: ${oneLine(error.message)}`;
  return advice === undefined ? line : `${line}: ${advice}`;
}

function isListenError(error: Error): error is ListenError {
  return 'syscall' in error && (error.syscall === 'listen' || error.syscall === 'getaddrinfo');
}

/** The error, its cause, the cause's cause, … */
function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}

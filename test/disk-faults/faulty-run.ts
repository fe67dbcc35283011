import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkAppends, type TokenAppend } from '../../src/checker/index.ts';
import { type MemberExit, type MemberPorts, ProcessCluster } from '../../src/cli/cluster/index.ts';
import { Clerk, KvError } from '../../src/client/index.ts';
import { Prng } from '../../src/lib/index.ts';
import { lossyEnvironment } from '../kill/lossy.ts';
import { cutPower, type Loss } from '../kill/power-cut.ts';
import { readUndoLogs } from '../kill/undo-log.ts';

/** Appends one after the other, then at once, with a rest between: one batch each, and marks. */
const ROUNDS = [1, 1, 4, 1, 8, 1] as const;
/** Longer than the log's rest before a mark (10 ms). */
const REST_MS = 30;

/** Every entry is flushed into the state, and entries are cut from the log. */
const SNAPSHOT_COUNT = 4;

/** Longest a member may take for anything, milliseconds. */
const PATIENCE_MS = 20_000;

const KEY = 'ledger';

/** Node's recursive mkdir looks for the directory after an EIO, and says that it is not there. */
const MKDIR_FAILED = /ENOENT: no such file or directory, mkdir/;

/** What a disk does wrong: as LOSSY_FAIL in lossy.c, without the number of the call. */
export type Fault = 'EIO' | 'ENOSPC' | 'kill';
const FAULT_CODES: Readonly<Record<Fault, string>> = { EIO: '5', ENOSPC: 'full', kill: 'kill' };

/** What a run with a fault at one call came to. */
export interface FaultyRun {
  /** The run was long enough to reach the call. */
  readonly isHit: boolean;
  /** Calls that the member made, if nothing failed. */
  readonly calls: number;
  /** What went against a promise, one sentence each. */
  readonly problems: readonly string[];
}

/** A line of the member's own that ends its log, or says why it does not start. */
const OWN_ERROR = /^(?:error: |\{"level":"(?:error|fatal)").*$/gm;

/** What a program prints that has not thought of an error. */
const STACK = /^\s+at |uncaught|unhandled/im;

/**
 * When a write to the data file fails, LMDB (as the package lmdb 3.5.6 has it) says so, then may
 * write its message past the end of 100 bytes, of which the process may die: `mdb_page_flush`.
 * Nothing is lost by it, and a line was printed; so this one death by a signal is let pass.
 */
const LMDB_DEATH = /^Write error: (?:Input\/output error|No space left on device) position \d+/m;

/** Whether a process died of LMDB's report of a failed write, and said of which. */
export function isLmdbDeath(signal: string | null, output: string): boolean {
  return (signal === 'SIGABRT' || signal === 'SIGSEGV') && LMDB_DEATH.test(output);
}

/** What the package lmdb prints of a failed commit, before the member hears of it. */
const LMDB_WORDS = /^(?:Write error: .*?)?Error: .*\n\s+at .*lmdb.*\n(?:\s+at .*\n)*/gm;

/** One member on a disk of its own, started twice: with a fault, and after a power cut without. */
class OneMember {
  readonly directory = realpathSync(mkdtempSync(join(tmpdir(), 'quorate-fault-')));
  readonly side = join(this.directory, 'side');
  readonly problems: string[] = [];
  readonly appends: TokenAppend[] = [];
  readonly #options: { readonly main: string; readonly library: string };
  /** A member's identity hangs on its address. */
  #ports: readonly MemberPorts[] | null = null;

  constructor(options: { readonly main: string; readonly library: string }) {
    this.#options = options;
  }

  get dataDir(): string {
    return join(this.directory, 'm1');
  }

  get log(): string {
    return readFileSync(join(this.directory, 'm1.log'), 'utf8');
  }

  /** Starts it, works with it and stops it; returns how its process ended. */
  async run(
    fail: string | null,
    work: (endpoints: string[], gone: AbortSignal) => Promise<void>,
  ): Promise<MemberExit> {
    const { main, library } = this.#options;
    const world = { library, directories: [this.dataDir], side: this.side };
    const fault = fail === null ? {} : { fail };
    let exit: MemberExit = { code: null, signal: null };
    const gone = new AbortController();
    const cluster = await ProcessCluster.create({
      command: [process.execPath, main, 'serve'],
      directory: this.directory,
      members: 1,
      flags: ['--snapshot-count', String(SNAPSHOT_COUNT)],
      ...(this.#ports === null ? {} : { ports: this.#ports }),
      environment: { ...process.env, ...lossyEnvironment({ ...world, ...fault }) },
      onExit: (_member, how) => {
        exit = how;
        gone.abort();
      },
    });
    this.#ports = [...cluster.ports.values()];
    try {
      await cluster.startAll();
      await work(cluster.endpoints, gone.signal);
    } catch (error) {
      // A member that has met its fault refuses everything from then on; any other does not.
      await Promise.race([aborted(gone.signal), sleep(PATIENCE_MS)]);
      if (!gone.signal.aborted) this.problems.push(`it goes on after ${String(error)}`);
    }
    await cluster.close();
    return exit;
  }

  /** Appends tokens until all are acknowledged. @throws KvError when the member is `gone` */
  async append(endpoints: string[], gone: AbortSignal): Promise<void> {
    await using clerk = await Clerk.connect({ endpoints, requestTimeoutMs: PATIENCE_MS });
    for (const count of ROUNDS) {
      await Promise.all(Array.from({ length: count }, () => this.appendOne(clerk, gone)));
      await sleep(REST_MS);
    }
  }

  async appendOne(clerk: Clerk, signal: AbortSignal): Promise<void> {
    const token = `<${this.appends.length}>`;
    const at = this.appends.push({ clerk: 'c', token, outcome: 'unknown' }) - 1;
    const settle = (outcome: TokenAppend['outcome']): void => {
      this.appends[at] = { clerk: 'c', token, outcome };
    };
    try {
      await clerk.append(KEY, token, { signal });
      settle('acknowledged');
    } catch (error) {
      if (error instanceof KvError && error.outcome === 'notApplied') settle('notApplied');
      throw error;
    }
  }

  /** Everything acknowledged is there, nothing twice, and one more append works. */
  async verify(endpoints: string[]): Promise<void> {
    await using clerk = await Clerk.connect({ endpoints, requestTimeoutMs: PATIENCE_MS });
    this.problems.push(...checkAppends((await clerk.get(KEY)) ?? '', this.appends));
    const { valueBytes } = await clerk.append(KEY, '<last>');
    if (!((await clerk.get(KEY))?.length === valueBytes)) this.problems.push('it does not append');
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/**
 * Runs the canonical workload on a member whose call number `call` meets the fault (null: none
 * does), cuts the power, starts it again on a sound disk and looks what is there. The member is a
 * new one, or (`before`) one that did the same before, died at that call and lost power.
 */
export async function faultyRun(options: {
  readonly main: string;
  readonly library: string;
  readonly fault: Fault;
  readonly call: number | null;
  readonly before: number | null;
  readonly seed: number;
}): Promise<FaultyRun> {
  const { fault, call, before } = options;
  const prng = new Prng(options.seed);
  const member = new OneMember(options);
  const { problems, side, dataDir } = member;
  const cut = (): Loss => cutPower({ directories: [dataDir], side, prng });
  try {
    if (before !== null) {
      await member.run(`${before}:kill`, (endpoints, gone) => member.append(endpoints, gone));
      cut();
    }
    const earlier = member.appends.length;
    const fail = call === null ? null : `${call}:${FAULT_CODES[fault]}`;
    const exit = await member.run(fail, (endpoints, gone) => member.append(endpoints, gone));
    const records = readUndoLogs(side);
    const isHit = exit.signal === 'SIGKILL' || records.some(({ type }) => type === 'fault');
    const calls = records.reduce((most, record) => Math.max(most, record.call), 0);
    problems.push(...problemsOfEnd(exit, member.log, { fault, isHit }));
    const appends = member.appends.slice(earlier);
    if (!isHit && appends.some(({ outcome }) => outcome !== 'acknowledged')) {
      problems.push('an append failed without a fault');
    }
    cut();
    const second = await member.run(null, (endpoints) => member.verify(endpoints));
    if (second.code !== 0) problems.push(`afterwards it ended with ${JSON.stringify(second)}`);
    return { isHit, calls, problems: problems.map((problem) => `${problem}\n${member.log}`) };
  } finally {
    member.remove();
  }
}

/** A member that meets a fault exits with code 1, after a line of its own that names it. */
function problemsOfEnd(
  { code, signal }: MemberExit,
  log: string,
  { fault, isHit }: { fault: Fault; isHit: boolean },
): string[] {
  if (!isHit) return code === 0 ? [] : [`it ended with ${code ?? signal} without a fault`];
  if (fault === 'kill') return signal === 'SIGKILL' ? [] : [`it ended with ${code}, not killed`];
  if (isLmdbDeath(signal, log)) return [];
  const problems: string[] = [];
  if (code !== 1) problems.push(`it ended with ${code ?? signal} instead of 1`);
  const said = log.match(OWN_ERROR) ?? [];
  const tells = said.some((line) => line.includes(fault) || MKDIR_FAILED.test(line));
  if (!tells) problems.push(`no line names ${fault}`);
  if (STACK.test(log.replace(LMDB_WORDS, ''))) problems.push('it ended with a stack trace');
  return problems;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

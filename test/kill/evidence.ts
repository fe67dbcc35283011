import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What members did behind the scenes in a campaign; all members together. */
export interface Evidence {
  /** Commits of the states that are in force at the end; those of replaced states are not known. */
  readonly flushes: number;
  /** Snapshots begun for a member that needed entries which had been cut from the log. */
  readonly snapshotsSent: number;
  readonly snapshotsInstalled: number;
  /** Starts that found a state half made or no longer in force, and removed it. */
  readonly statesRemoved: number;
  /** Starts that found a state ahead of the log: a crash right after an install. */
  readonly logsReset: number;
  /** Starts that cut off a write which had never been finished. */
  readonly tailsCut: number;
}

/** Lines of a member's log, as JSON. */
const LINES = {
  snapshotsSent: 'snapshot: sending',
  snapshotsInstalled: 'snapshot: installed',
  statesRemoved: 'removing a state that was not adopted or not removed',
  logsReset: 'the log ends before the state machine: it starts anew behind it',
  tailsCut: 'the last write before a crash was never finished; it is cut off',
} as const;

/** LMDB's two meta pages (4096 bytes each): offset of the number of the commit that wrote it. */
const META_PAGE_BYTES = 4096;
const COMMIT_AT = 152;

/** Reads what the members of `directory` have left: their logs, and their states. */
export function evidenceOf(directory: string, members: readonly string[]): Evidence {
  const logs = logsOf(directory, members);
  const count = (message: string): number => logs.split(`"msg":"${message}"`).length - 1;
  const flushes = members.map((name) => commitsIn(join(directory, name, 'state')));
  return {
    flushes: flushes.reduce((sum, commits) => sum + commits, 0),
    snapshotsSent: count(LINES.snapshotsSent),
    snapshotsInstalled: count(LINES.snapshotsInstalled),
    statesRemoved: count(LINES.statesRemoved),
    logsReset: count(LINES.logsReset),
    tailsCut: count(LINES.tailsCut),
  };
}

/** What members have said of damage to their disks, one line each. */
export function damagesOf(directory: string, members: readonly string[]): string[] {
  return logsOf(directory, members).match(/"msg":"damaged: [^"]*/g) ?? [];
}

/** In words, for a campaign's report. */
export function evidenceLine(evidence: Evidence): string {
  const { flushes, snapshotsSent, snapshotsInstalled } = evidence;
  const { statesRemoved, logsReset, tailsCut } = evidence;
  return (
    `${flushes} flushes, ${snapshotsSent} snapshots sent and ${snapshotsInstalled} installed; ` +
    `found at starts: ${statesRemoved} states to remove, ${logsReset} states ahead of the log, ` +
    `${tailsCut} unfinished writes`
  );
}

function logsOf(directory: string, members: readonly string[]): string {
  return members.map((name) => readFileSync(join(directory, `${name}.log`), 'utf8')).join('');
}

/** Commits of the newest state of a member. */
function commitsIn(directory: string): number {
  const newest = readdirSync(directory)
    .filter((name) => name.endsWith('.lmdb'))
    .sort()
    .at(-1);
  if (newest === undefined) throw new Error(`${directory} holds no state`);
  const bytes = readFileSync(join(directory, newest));
  const commits = [0, META_PAGE_BYTES].map((page) => bytes.readBigUInt64LE(page + COMMIT_AT));
  return Math.max(...commits.map(Number));
}

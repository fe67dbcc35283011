import type { ReplicaTiming } from '../replica/index.ts';
import type { ClientQuality, StreamLimits } from './client-network.ts';
import type { LinkQuality } from './peer-network.ts';
import type { DiskSpeed } from './sim-disk.ts';
import { Stream } from './streams.ts';

/** Everything that can be done to a cluster and its clients. */
export const FAULT_KINDS = [
  'kill',
  'powerCut',
  'powerCutOfAll',
  'crashAtStep',
  'stop',
  'pause',
  'isolate',
  'oneWay',
  'partial',
  'clog',
  'slowLink',
  'stallDisk',
  'diskError',
  'diskFull',
  'damage',
  'breakClients',
  'cutClient',
  'restartClerk',
  'zombieClerk',
  'pauseClerk',
  'oversleep',
  'wallJump',
  'behead',
  'commitError',
  'crashAtCommit',
  'damageState',
  'transfer',
  'disturb',
  'wipeDisk',
  'rollBackDisk',
  'echo',
  'lateVotes',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** One class of faults in a run. */
export interface FaultPlan {
  readonly kind: FaultKind;
  /** Mean time between two, milliseconds. */
  readonly meanMs: number;
  /** Mean duration of what has one, milliseconds. */
  readonly durationMs: number;
}

/** What a clerk does. */
export interface ClerkPlan {
  readonly name: string;
  /** Session name; null: anonymous. */
  readonly session: string | null;
  readonly work: 'appends' | 'registers' | 'pairs';
  /** Idle life of the session, milliseconds; null: longer than any run. */
  readonly sessionTtlMs: number | null;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Mean pause between two calls, milliseconds. */
  readonly thinkMs: number;
  readonly timeoutMs: number;
  /** Bytes that a register's value is padded to. */
  readonly valueBytes: number;
}

/** What a client of etcd does. */
export interface EtcdPlan {
  readonly name: string;
  /** Calls under way at once. */
  readonly concurrency: number;
  /** Mean pause between two calls, milliseconds. */
  readonly thinkMs: number;
  readonly timeoutMs: number;
}

/** Everything that a seed decides in advance. */
export interface Plan {
  readonly seed: number;
  readonly members: number;
  readonly timing: ReplicaTiming;
  /** How long faults go on, milliseconds. */
  readonly safetyMs: number;
  readonly peers: LinkQuality;
  readonly clients: ClientQuality;
  /** Bounds of what waits on one stream; null: those of production, which no run comes near. */
  readonly streamLimits: StreamLimits | null;
  readonly disk: DiskSpeed;
  /** Length of the log's segments. */
  readonly segmentBytes: number;
  /** Bound of the live log. */
  readonly logBytesMax: number;
  /** Entries of the log after which it is cut, and members that lag get snapshots. */
  readonly compactionEntries: number;
  /** Largest deviation of a clock's rate from 1. */
  readonly skewMax: number;
  readonly faults: readonly FaultPlan[];
  /** Of the faults only these, by their names in `FaultRecord`; null: all. */
  readonly only: ReadonlySet<string> | null;
  /** Networks and disks have no faults of their own. */
  readonly quiet: boolean;
  readonly clerks: readonly ClerkPlan[];
  readonly etcdClients: readonly EtcdPlan[];
  readonly watchers: readonly WatcherPlan[];
}

/** Parts of a plan that a caller wants otherwise. */
export interface PlanChanges {
  readonly members?: number;
  readonly safetyMs?: number;
  /** Only these classes of faults, each certainly on. */
  readonly faults?: readonly FaultKind[];
  /** Not these classes; the others stay exactly as they are. */
  readonly without?: readonly FaultKind[];
  /** Of the faults that are left only these, by their names (`kill#3`). */
  readonly only?: readonly string[];
  /** Networks and disks without faults of their own. */
  readonly quiet?: boolean;
  /** So many applications that watch. */
  readonly watchers?: number;
}

/** What an application does that watches. */
export interface WatcherPlan {
  readonly name: string;
  /** Watches at once. */
  readonly concurrency: number;
  /** Mean pause between two watches, milliseconds. */
  readonly thinkMs: number;
  /** How long to wait for the newest revision, milliseconds. */
  readonly timeoutMs: number;
}

const KIB = 1_024;
/** No run writes so much: its log is cut by the number of entries. */
const LOG_BYTES_MAX = 64 * KIB * KIB;

const CLUSTER_SIZES = [3, 3, 3, 3, 3, 3, 5, 5, 1, 3, 3, 3, 5, 5, 1, 7] as const;

/** Draws a run: which faults are on, how often, and who does what meanwhile. */
export function drawPlan(seed: number, changes: PlanChanges = {}): Plan {
  const stream = new Stream(seed, 'plan');
  const members = changes.members ?? stream.pick(CLUSTER_SIZES);
  const heartbeatMs = stream.pick([50, 100, 100]);
  const electionTimeoutMs = heartbeatMs * stream.pick([4, 5, 10]);
  const timing: ReplicaTiming = {
    tickMs: heartbeatMs / stream.pick([2, 5]),
    heartbeatMs,
    electionTimeoutMs,
    requestTimeoutMs: stream.pick([1_000, 5_000]),
  };
  const drawnMs = 60_000 + stream.below(60_000);
  const safetyMs = changes.safetyMs ?? drawnMs;
  const quiet = changes.quiet === true;
  const clerks = drawClerks(new Stream(seed, 'plan clerks'));
  return {
    seed,
    members,
    timing,
    safetyMs,
    peers: drawPeers(new Stream(seed, 'plan peers'), electionTimeoutMs, quiet),
    clients: drawClients(new Stream(seed, 'plan clients'), quiet),
    streamLimits: drawStreamLimits(new Stream(seed, 'plan stream limits')),
    disk: { baseMs: stream.between(0.05, 2), jitterMs: stream.between(0.05, 5) },
    ...drawLog(new Stream(seed, 'plan log'), clerks),
    compactionEntries: new Stream(seed, 'plan compaction').pick([12, 40, 300, 10_000]),
    skewMax: stream.pick([0, 0.01, 0.05, 0.2]),
    faults: drawFaults(new Stream(seed, 'plan faults'), changes.faults).filter(
      ({ kind }) => changes.without?.includes(kind) !== true,
    ),
    only: changes.only === undefined ? null : new Set(changes.only),
    quiet,
    clerks,
    etcdClients: drawEtcdClients(new Stream(seed, 'plan etcd clients')),
    watchers: drawWatchers(new Stream(seed, 'plan watchers'), changes.watchers),
  };
}

function drawPeers(stream: Stream, electionTimeoutMs: number, quiet: boolean): LinkQuality {
  const sometimes = (value: number): number => (stream.chance(0.5) && !quiet ? value : 0);
  return {
    latencyMs: stream.between(0.1, 10),
    jitterMs: stream.between(0.1, 10),
    loss: sometimes(stream.pick([0.01, 0.1, 0.3])),
    duplicate: sometimes(stream.pick([0.01, 0.1, 0.3])),
    late: sometimes(stream.pick([0.01, 0.1])),
    lateMs: electionTimeoutMs * stream.pick([1, 4, 10]),
    survivesRestart: stream.chance(0.5) && !quiet,
  };
}

function drawClients(stream: Stream, quiet: boolean): ClientQuality {
  const sometimes = (value: number): number => (stream.chance(0.5) && !quiet ? value : 0);
  return {
    latencyMs: stream.between(0.1, 5),
    jitterMs: stream.between(0.1, 20),
    mute: sometimes(stream.pick([0.001, 0.01])),
    breakOnReply: sometimes(stream.pick([0.01, 0.05])),
    breakOnRequest: sometimes(stream.pick([0.01, 0.05])),
    noReset: sometimes(0.3),
  };
}

function drawFaults(stream: Stream, only?: readonly FaultKind[]): FaultPlan[] {
  return FAULT_KINDS.map((kind) => {
    // Each class draws its numbers, on or off, so that one does not shift the others.
    const on = stream.chance(0.35);
    const fault = {
      kind,
      meanMs: stream.pick([3_000, 10_000, 30_000]),
      durationMs: stream.pick([300, 2_000, 8_000]),
    };
    if (only === undefined) return on ? fault : null;
    return only.includes(kind) ? { ...fault, meanMs: 4_000 } : null;
  }).filter((fault) => fault !== null);
}

function drawStreamLimits(stream: Stream): StreamLimits | null {
  return stream.chance(0.25) ? { inFlightRequestsMax: 3, inFlightBytesMax: 30_000 } : null;
}

/**
 * All calls that are under way must fit into one entry of the log, and that into a segment. A small
 * bound of the live log is reached often, and by whoever is slow to flush or to follow.
 */
function drawLog(
  stream: Stream,
  clerks: readonly ClerkPlan[],
): Pick<Plan, 'segmentBytes' | 'logBytesMax'> {
  const drawnBytes = stream.pick([32, 128, 256, 1_024]) * KIB;
  const isSmall = stream.chance(0.3);
  const longest = Math.max(...clerks.map(({ valueBytes }) => valueBytes));
  const [leastBytes, smallBytes] =
    longest > 2_000
      ? [1_024 * KIB, LOG_BYTES_MAX]
      : longest > 8
        ? [128 * KIB, 256 * KIB]
        : [0, 64 * KIB];
  return {
    segmentBytes: Math.max(drawnBytes, leastBytes),
    logBytesMax: isSmall ? smallBytes : LOG_BYTES_MAX,
  };
}

function drawClerks(stream: Stream): ClerkPlan[] {
  const works = ['appends', 'appends', 'registers', 'registers', 'pairs'] as const;
  const count = 2 + stream.below(4);
  return Array.from({ length: count }, (_, i) => ({
    name: `c${i + 1}`,
    session: stream.chance(0.5) ? `session-${i + 1}` : null,
    sessionTtlMs: stream.pick([null, null, null, 1_000, 4_000]),
    work: works[i] ?? stream.pick(works),
    concurrency: stream.pick([1, 1, 2, 4]),
    thinkMs: stream.pick([50, 200, 500]),
    timeoutMs: stream.pick([1_500, 5_000, 20_000]),
    valueBytes: stream.pick([8, 8, 8, 2_000, 20_000]),
  }));
}

function drawEtcdClients(stream: Stream): EtcdPlan[] {
  return Array.from({ length: stream.pick([0, 1, 1, 2]) }, (_, i) => ({
    name: `e${i + 1}`,
    concurrency: stream.pick([1, 2, 4]),
    thinkMs: stream.pick([100, 300, 1_000]),
    timeoutMs: stream.pick([1_500, 5_000, 20_000]),
  }));
}

function drawWatchers(stream: Stream, wanted?: number): WatcherPlan[] {
  const drawn = stream.pick([0, 1, 1, 2, 2, 3]);
  return Array.from({ length: wanted ?? drawn }, (_, i) => ({
    name: `w${i + 1}`,
    concurrency: stream.pick([2, 4, 8]),
    thinkMs: stream.pick([50, 100, 300]),
    timeoutMs: stream.pick([1_500, 5_000]),
  }));
}

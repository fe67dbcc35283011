import type { ConfState, MemberId } from '../raft/index.ts';
import type { CompactionLimits, ReplicaTiming } from '../replica/index.ts';
import type { Peer } from '../transport/index.ts';
import type { AutoCompactionPolicy } from './auto-compaction.ts';
import { initialIds } from './ids.ts';
import { ConfigError, type InitialMember, SERVER_DEFAULTS, type ServerOptions } from './options.ts';
import { bindAddress, type Place, parseUrl } from './url.ts';

/** A checked configuration: ids derived, defaults filled in, addresses parsed. */
export interface ServerConfig {
  readonly name: string;
  readonly clusterId: bigint;
  readonly memberId: MemberId;
  /** null: everything in memory. */
  readonly dataDir: string | null;
  readonly mayCreateLog: boolean;
  readonly listenClients: readonly Place[];
  /** null: advertise where the door really listens. */
  readonly advertiseClientUrls: readonly string[] | null;
  /** At least one. */
  readonly listenPeers: readonly Place[];
  readonly peers: readonly Peer[];
  /** All members, this one among them. */
  readonly members: readonly ConfiguredMember[];
  readonly confState: ConfState;
  readonly timing: ReplicaTiming;
  readonly compaction: Pick<CompactionLimits, 'entriesMax' | 'bytesMax'>;
  /** 0: no bound. */
  readonly quotaBytes: number;
  /** Between two walks over all that is stored; 0: none. */
  readonly scrubIntervalMs: number;
  /** null: history is compacted only when somebody asks. */
  readonly autoCompaction: AutoCompactionPolicy | null;
}

/** A member as everybody is told of it at the start. */
export interface ConfiguredMember extends InitialMember {
  readonly memberId: MemberId;
}

/** Two of the largest commands fit, so that one can wait while the other is written. */
const LOG_BYTES_MIN = 8 * 1024 * 1024;
/** Of the log: docs/STORAGE.md. */
const BLOCK_BYTES = 4096;
const QUOTA_BYTES_MIN = 1024 * 1024;
const ELECTION_TIMEOUT_MAX_MS = 50_000;
/** Well below what a timer of Node can hold. */
const SCRUB_INTERVAL_MAX_MS = 24 * 3_600_000;
const MEMBERS_MAX = 9;
const NAME_BYTES_MAX = 128;
/** Timeouts are counted in ticks; finer ticks spread the members' election timeouts better. */
const TICKS_PER_HEARTBEAT = 10;

/** @throws ConfigError with one line: which option, what is wrong, what to do. */
export function resolveConfig(options: ServerOptions): ServerConfig {
  const name = options.name ?? SERVER_DEFAULTS.name;
  checkName('--name', name);
  const listenPeerUrls = options.listenPeerUrls ?? [SERVER_DEFAULTS.listenPeerUrl];
  const listenPeers = listenPlaces('--listen-peer-urls', listenPeerUrls);
  const members = initialMembers(options, name, listenPeerUrls);
  const token = options.initialClusterToken ?? SERVER_DEFAULTS.initialClusterToken;
  const { clusterId, members: ids } = initialIds(members, token);
  const memberId = ids.get(name) as MemberId;
  const sortedIds = [...ids.values()].sort(compareIds);
  return {
    name,
    clusterId,
    memberId,
    dataDir: resolveDataDir(options, name),
    mayCreateLog: (options.initialClusterState ?? 'new') === 'new',
    listenClients: listenPlaces(
      '--listen-client-urls',
      options.listenClientUrls ?? [SERVER_DEFAULTS.listenClientUrl],
    ),
    advertiseClientUrls: advertised('--advertise-client-urls', options.advertiseClientUrls),
    listenPeers,
    peers: members
      .filter((member) => member.name !== name)
      .map((member) => peerOf(options, member, ids.get(member.name) as MemberId)),
    members: members.map((member) => ({ ...member, memberId: ids.get(member.name) as MemberId })),
    confState: {
      voters: sortedIds,
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
    timing: resolveTiming(options),
    ...resolveSizes(options),
    scrubIntervalMs: resolveScrub(options),
    autoCompaction: resolveAutoCompaction(options),
  };
}

function initialMembers(
  options: ServerOptions,
  name: string,
  listenPeerUrls: readonly string[],
): readonly InitialMember[] {
  const own = options.initialAdvertisePeerUrls ?? listenPeerUrls;
  const members = options.initialCluster ?? [{ name, peerUrls: own }];
  const option = '--initial-cluster';
  if (members.length > MEMBERS_MAX) {
    throw new ConfigError(
      `${option}: ${members.length} members, at most ${MEMBERS_MAX} are possible`,
    );
  }
  const names = new Set<string>();
  const urls = new Set<string>();
  for (const member of members) {
    checkName(option, member.name);
    if (names.has(member.name))
      throw new ConfigError(`${option}: name '${member.name}' stands twice`);
    names.add(member.name);
    if (member.peerUrls.length === 0)
      throw new ConfigError(`${option}: '${member.name}' has no URL`);
    for (const url of member.peerUrls) {
      parseUrl(option, url);
      if (urls.has(url)) throw new ConfigError(`${option}: URL '${url}' stands twice`);
      urls.add(url);
    }
  }
  const self = members.find((member) => member.name === name);
  if (self === undefined) {
    throw new ConfigError(
      `${option}: this member's name '${name}' is not in it: add ${name}=URL or correct --name`,
    );
  }
  if (options.initialAdvertisePeerUrls !== undefined && !sameSet(self.peerUrls, own)) {
    throw new ConfigError(
      `${option}: '${name}' has ${self.peerUrls.join(',')} there but ${own.join(',')} in ` +
        '--initial-advertise-peer-urls: make them equal',
    );
  }
  return members;
}

function resolveTiming(options: ServerOptions): ReplicaTiming {
  const heartbeatMs = options.heartbeatIntervalMs ?? SERVER_DEFAULTS.heartbeatIntervalMs;
  const electionTimeoutMs = options.electionTimeoutMs ?? SERVER_DEFAULTS.electionTimeoutMs;
  const requestTimeoutMs = options.requestTimeoutMs ?? SERVER_DEFAULTS.requestTimeoutMs;
  checkMs('--heartbeat-interval', heartbeatMs);
  checkMs('--election-timeout', electionTimeoutMs);
  checkMs('--request-timeout', requestTimeoutMs);
  if (electionTimeoutMs < 5 * heartbeatMs) {
    throw new ConfigError(
      `--election-timeout: ${electionTimeoutMs} ms must be at least 5 times the heartbeat ` +
        `interval (${heartbeatMs} ms): raise it or lower --heartbeat-interval`,
    );
  }
  if (electionTimeoutMs > ELECTION_TIMEOUT_MAX_MS) {
    throw new ConfigError(
      `--election-timeout: ${electionTimeoutMs} ms is above ${ELECTION_TIMEOUT_MAX_MS} ms`,
    );
  }
  const tickMs = heartbeatMs / TICKS_PER_HEARTBEAT;
  return { tickMs, heartbeatMs, electionTimeoutMs, requestTimeoutMs };
}

function resolveSizes(options: ServerOptions): Pick<ServerConfig, 'compaction' | 'quotaBytes'> {
  const entriesMax = options.snapshotCount ?? SERVER_DEFAULTS.snapshotCount;
  const bytesMax = options.maxLogBytes ?? SERVER_DEFAULTS.maxLogBytes;
  const quotaBytes = options.quotaBackendBytes ?? SERVER_DEFAULTS.quotaBackendBytes;
  checkCount('--snapshot-count', entriesMax, 1);
  checkCount('--max-log-bytes', bytesMax, LOG_BYTES_MIN);
  if (quotaBytes !== 0) checkCount('--quota-backend-bytes', quotaBytes, QUOTA_BYTES_MIN);
  // An entry takes a block of the log at least, however small it is.
  const blocks = Math.floor(bytesMax / BLOCK_BYTES);
  return { compaction: { entriesMax: Math.min(entriesMax, blocks), bytesMax }, quotaBytes };
}

function resolveScrub(options: ServerOptions): number {
  const intervalMs = options.corruptCheckTimeMs ?? SERVER_DEFAULTS.corruptCheckTimeMs;
  checkCount('--corrupt-check-time', intervalMs, 0);
  if (intervalMs <= SCRUB_INTERVAL_MAX_MS) return intervalMs;
  throw new ConfigError(`--corrupt-check-time: ${intervalMs} ms is more than 24 hours`);
}

function resolveAutoCompaction(options: ServerOptions): AutoCompactionPolicy | null {
  const mode = options.autoCompactionMode ?? 'periodic';
  const retention = options.autoCompactionRetention ?? 0;
  if (retention === 0) return null;
  checkCount('--auto-compaction-retention', retention, 1);
  return mode === 'revision' ? { mode, retention } : { mode, retentionMs: retention };
}

function checkCount(option: string, value: number, min: number): void {
  if (Number.isSafeInteger(value) && value >= min) return;
  throw new ConfigError(`${option}: ${value} is not possible: give an integer from ${min}`);
}

function resolveDataDir(options: ServerOptions, name: string): string | null {
  const { dataDir } = options;
  if (dataDir === undefined) return `${name}.quorate`;
  if (typeof dataDir !== 'string') return null;
  if (dataDir === '') throw new ConfigError('--data-dir: is empty: name a directory');
  return dataDir;
}

function listenPlaces(option: string, urls: readonly string[]): readonly Place[] {
  if (urls.length === 0) throw new ConfigError(`${option}: needs at least one URL`);
  return urls.map((url) => bindAddress(parseUrl(option, url)));
}

function advertised(option: string, urls: readonly string[] | undefined): readonly string[] | null {
  if (urls === undefined) return null;
  for (const url of urls) {
    const { host } = parseUrl(option, url);
    if (host === '0.0.0.0' || host === '::') {
      throw new ConfigError(`${option}: '${url}': nobody can dial '${host}': name the real host`);
    }
  }
  return urls;
}

function peerOf(options: ServerOptions, member: InitialMember, memberId: MemberId): Peer {
  const dial = options.peerDial?.[member.name];
  if (dial !== undefined) return { memberId, address: parseUrl('--peer-dial', dial) };
  const urls = member.peerUrls.map((url) => bindAddress(parseUrl('--initial-cluster', url)));
  const [address, ...alsoAt] = urls as [Place, ...Place[]];
  return alsoAt.length === 0 ? { memberId, address } : { memberId, address, alsoAt };
}

function checkName(option: string, name: string): void {
  if (name === '' || Buffer.byteLength(name) > NAME_BYTES_MAX || /[\s=,]/.test(name)) {
    throw new ConfigError(
      `${option}: '${name}' is no member name: 1 to ${NAME_BYTES_MAX} bytes, no space, '=' or ','`,
    );
  }
}

function checkMs(option: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new ConfigError(
      `${option}: ${value} is no number of milliseconds: give an integer from 1`,
    );
  }
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}

function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

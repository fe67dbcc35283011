import type { KvService, MemberStatus } from '../api/index.ts';
import { createGrpcServer } from '../grpc/index.ts';
import {
  type Io,
  memoryDisk,
  silentLog,
  systemClock,
  systemDisk,
  systemNetwork,
  systemRandom,
} from '../io/index.ts';
import { KvStateMachine } from '../kv/index.ts';
import { type Deferred, deferred } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { Replica, type ReplicaStatus } from '../replica/index.ts';
import { memoryStore } from '../store/index.ts';
import { openTransport, type Transport } from '../transport/index.ts';
import { openWal, type Wal } from '../wal/index.ts';
import { clerkMethods } from './clerk-service.ts';
import { Closers } from './closers.ts';
import { resolveConfig, type ServerConfig } from './config.ts';
import { openDoor } from './door.ts';
import { createHttpHandler } from './http.ts';
import { createMetrics } from './metrics.ts';
import { ConfigError, type ServerOptions } from './options.ts';
import { createService } from './service.ts';
import { formatUrl } from './url.ts';
import { VERSION } from './version.ts';

/** A running member. */
export interface Server {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** Where clients really are served, `http://host:port` (the picked ports). */
  readonly clientUrls: readonly string[];
  /** Where peers really are served. */
  readonly peerUrls: readonly string[];
  status(): MemberStatus;
  /** Resolves when a leader is known for the first time. */
  readonly ready: Promise<void>;
  /**
   * Settles when the member has stopped: null after `close`, otherwise what ended it (a failed
   * disk, a bug).
   */
  readonly stopped: Promise<Error | null>;
  /** Answers what is parked, closes doors, log and links. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a member; resolves when it listens.
 * @throws ConfigError, WalError, or an Error whose `code` is EADDRINUSE etc., each with one clear
 * line.
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const config = resolveConfig(options);
  const io: Io = {
    clock: systemClock,
    disk: config.dataDir === null ? memoryDisk() : systemDisk,
    log: options.log ?? silentLog,
    network: systemNetwork,
    random: systemRandom,
    ...options.io,
  };
  const closers = new Closers();
  try {
    return await openMember(config, io, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** State that the parts of one member share. */
interface Shared {
  readonly config: ServerConfig;
  readonly io: Io;
  readonly machine: KvStateMachine;
  readonly ready: Deferred<void>;
  /** The failure that ends the member. */
  readonly failed: Deferred<Error>;
  clientUrls: readonly string[];
  transport: Transport | null;
  leader: MemberId | null;
}

async function openMember(config: ServerConfig, io: Io, closers: Closers): Promise<Server> {
  const shared: Shared = {
    config,
    io,
    machine: new KvStateMachine({ store: memoryStore() }),
    ready: deferred(),
    failed: deferred(),
    clientUrls: [],
    transport: null,
    leader: null,
  };
  const wal = await openLog(shared);
  closers.add(() => wal.close());
  const replica = createReplica(shared, wal);
  closers.add(() => replica.close());
  const status = (): MemberStatus => memberStatus(shared, replica, wal);
  await openDoors(shared, { replica, status, closers });
  const transport = await connectPeers(shared, replica);
  closers.add(() => transport.close());
  // Closed first, so that what is parked gets its answer while the doors are still open.
  closers.add(() => replica.close());

  let closed = false;
  const close = async (): Promise<void> => {
    closed = true;
    await closers.close();
  };
  const ended = deferred<null>();
  const stop = async (): Promise<void> => {
    if (!closed) await handOver(shared, replica);
    await close();
    ended.resolve(null);
  };
  const stopped = Promise.race([shared.failed.promise, ended.promise]);
  shared.failed.promise
    .then(() => (closed ? undefined : close()))
    .catch((error: Error) => {
      io.log.error(`closing after a failure failed too: ${error.message}`);
    });
  return {
    memberId: config.memberId,
    clusterId: config.clusterId,
    clientUrls: shared.clientUrls,
    peerUrls: [formatUrl(transport.address)],
    status,
    ready: shared.ready.promise,
    stopped,
    close: stop,
    [Symbol.asyncDispose]: stop,
  };
}

/**
 * Lets another member lead before this one goes, so that writes pause for a round trip and not for
 * an election.
 */
async function handOver({ config, io, transport }: Shared, replica: Replica): Promise<void> {
  const [heir] = transport?.connectedPeers() ?? [];
  if (heir === undefined || !replica.transferLeadership(heir)) return;
  const endMs = io.clock.nowMs() + config.timing.electionTimeoutMs;
  while (replica.status().role === 'leader' && io.clock.nowMs() < endMs) {
    await new Promise<void>((resolve) => io.clock.setTimer(config.timing.tickMs, resolve));
  }
}

async function openLog({ config, io, failed }: Shared): Promise<Wal> {
  const directory = config.dataDir ?? 'memory';
  const wal = await openWal({
    disk: io.disk,
    clock: io.clock,
    log: io.log,
    directory,
    identity: { clusterId: config.clusterId, memberId: config.memberId },
    confState: config.confState,
    onFailure: (error) => failed.resolve(error),
  });
  if (wal.recovery.created && !config.mayCreateLog) {
    await wal.close();
    throw new ConfigError(
      `--initial-cluster-state: is 'existing' but '${directory}' holds no log: ` +
        "start a new cluster with 'new', or name the directory of this member",
    );
  }
  return wal;
}

function createReplica(shared: Shared, wal: Wal): Replica {
  const { config, io } = shared;
  return new Replica({
    id: config.memberId,
    wal,
    stateMachine: shared.machine,
    send: (messages) => shared.transport?.send(messages),
    clock: io.clock,
    random: io.random,
    log: io.log,
    timing: config.timing,
    onChange: (status) => reportChange(shared, status),
    onFailure: (error) => shared.failed.resolve(error),
  });
}

function reportChange(shared: Shared, status: ReplicaStatus): void {
  const { io, ready } = shared;
  if (status.leader !== null) ready.resolve();
  if (status.leader === shared.leader) return;
  shared.leader = status.leader;
  const fields = { term: status.term, role: status.role };
  if (status.leader === null) io.log.warn('no leader', fields);
  else io.log.info('leader', { ...fields, leader: status.leader.toString(16) });
}

async function openDoors(
  shared: Shared,
  parts: { replica: Replica; status: () => MemberStatus; closers: Closers },
): Promise<void> {
  const { config, io } = shared;
  const service: KvService = createService({
    replica: parts.replica,
    machine: shared.machine,
    clientUrlsOf: (memberId) => clientUrlsOf(shared, memberId),
    status: parts.status,
  });
  const grpc = createGrpcServer({
    methods: clerkMethods({ service, clock: io.clock }),
    log: io.log,
    clock: io.clock,
    onDefect: (error) => shared.failed.resolve(error),
  });
  parts.closers.add(() => grpc.close());
  const http = createHttpHandler({
    status: parts.status,
    version: VERSION,
    metrics: createMetrics({
      status: parts.status,
      parked: () => parts.replica.status().parked,
      connectedPeers: () => shared.transport?.connectedPeers().length ?? 0,
    }),
    onDefect: (error) => io.log.error(`a page failed: ${error.message}`, { stack: error.stack }),
  });
  const urls: string[] = [];
  for (const listen of config.listenClients) {
    const door = await openDoor({ listen, grpc, http, log: io.log });
    parts.closers.add(() => door.close());
    urls.push(formatUrl(door.address));
  }
  shared.clientUrls = urls;
}

async function connectPeers(shared: Shared, replica: Replica): Promise<Transport> {
  const { config, io } = shared;
  const incarnation = new DataView(io.random.bytes(8).buffer).getBigUint64(0);
  shared.transport = await openTransport({
    network: io.network,
    clock: io.clock,
    random: io.random,
    log: io.log,
    listen: config.listenPeers,
    self: {
      clusterId: config.clusterId,
      memberId: config.memberId,
      incarnation,
      info: { name: config.name, clientUrls: ownClientUrls(shared) },
    },
    peers: config.peers,
    // A link that is silent for two election timeouts is as good as dead.
    limits: {
      linkTimeoutMs: 2 * config.timing.electionTimeoutMs,
      keepAliveMs: config.timing.electionTimeoutMs / 2,
    },
    handlers: {
      onMessage: (message) => replica.step(message),
      onUnreachable: (memberId) => replica.reportUnreachable(memberId),
    },
  });
  return shared.transport;
}

function ownClientUrls(shared: Shared): readonly string[] {
  return shared.config.advertiseClientUrls ?? shared.clientUrls;
}

function clientUrlsOf(shared: Shared, memberId: MemberId): readonly string[] | null {
  if (memberId === shared.config.memberId) return ownClientUrls(shared);
  return shared.transport?.peerInfo(memberId)?.clientUrls ?? null;
}

function memberStatus(shared: Shared, replica: Replica, wal: Wal): MemberStatus {
  const { config, machine } = shared;
  const status = replica.status();
  const leader =
    status.leader === null
      ? null
      : { memberId: status.leader, clientUrls: clientUrlsOf(shared, status.leader) ?? [] };
  return {
    clusterId: config.clusterId,
    memberId: config.memberId,
    name: config.name,
    version: VERSION,
    role: status.role,
    leader,
    term: status.term,
    commitIndex: status.commitIndex,
    appliedIndex: status.applied,
    revision: machine.revision,
    stateHash: machine.stateHash(),
    sessions: machine.sessions,
    logBytes: wal.sizeBytes,
  };
}

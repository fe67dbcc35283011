import type { RequestListener } from 'node:http';
import type { MemberStatus } from '../api/index.ts';
import { etcdMethods } from '../etcd/index.ts';
import { createGateway, http2Exchange, nodeExchange } from '../gateway/index.ts';
import { createGrpcServer } from '../grpc/index.ts';
import {
  type Io,
  memoryDisk,
  type Network,
  silentLog,
  systemClock,
  systemDisk,
  systemNetwork,
  systemRandom,
  type TlsMaterial,
  tlsNetwork,
} from '../io/index.ts';
import { assert, deferred } from '../lib/index.ts';
import { type Engines, lmdbEngines, memoryEngines } from '../store/index.ts';
import { openTransport, type PeerTransport, type TransportHandlers } from '../transport/index.ts';
import type { OpenAskLink } from './ask-terms.ts';
import { clerkMethods } from './clerk-service.ts';
import { Closers } from './closers.ts';
import { resolveConfig, type ServerConfig } from './config.ts';
import { type DoorTls, openDoor } from './door.ts';
import { refuseEtcdData } from './foreign-data.ts';
import { createHttpHandler } from './http.ts';
import type { Member } from './member.ts';
import { type CertificateEnd, createMetrics } from './metrics.ts';
import { type DiskTimes, diskTimes, stateTimers } from './metrics-disk.ts';
import { countSendFailures, type PeerSources } from './metrics-peers.ts';
import type { ServerOptions } from './options.ts';
import { type OpenMemberOptions, openMember } from './rejoin.ts';
import { snapshotMethods } from './snapshot-service.ts';
import { timedDisk } from './timed-disk.ts';
import { openPortTls, type PortTls, resolveTls, type ServerTls } from './tls.ts';
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
 * Starts a member; resolves when it listens. At the first start of a member of at least three that
 * is not before a majority of them has been started: start them together. The same when its
 * directory is damaged.
 * @throws ConfigError, WalError, StoreError, the signal's reason, or an Error whose `code` is
 *   EADDRINUSE etc., each with one clear
 *   line.
 */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const config = resolveConfig(options);
  const tls = resolveTls(options, config);
  const given: Io = {
    clock: systemClock,
    disk: config.dataDir === null ? memoryDisk() : systemDisk,
    log: options.log ?? silentLog,
    network: systemNetwork,
    random: systemRandom,
    ...options.io,
  };
  const times = diskTimes();
  const disk = timedDisk(given.disk, (seconds) => times.walWrite.observe(seconds));
  const io: Io = { ...given, disk };
  const closers = new Closers();
  try {
    const { truncateDamagedLog = false, signal } = options;
    const choices = { truncateDamagedLog, signal };
    return await openServer({ config, tls, io, closers, choices, diskTimes: times });
  } catch (error) {
    await closers.close();
    throw error;
  }
}

interface Parts {
  readonly config: ServerConfig;
  readonly tls: ServerTls;
  readonly io: Io;
  readonly closers: Closers;
  /** For this start alone. */
  readonly choices: Pick<OpenMemberOptions, 'truncateDamagedLog' | 'signal'>;
  readonly diskTimes: DiskTimes;
}

async function openServer(parts: Parts): Promise<Server> {
  const { config, tls, io, closers, choices } = parts;
  const stopped = deferred<Error | null>();
  const fail = (error: Error): void => {
    stopped.resolve(error);
    closers.close().catch((cause: Error) => {
      io.log.error(`closing after a failure failed too: ${cause.message}`);
    });
  };
  let listenUrls: readonly string[] = [];
  const clientUrls = (): readonly string[] => config.advertiseClientUrls ?? listenUrls;
  const engines: Engines = config.dataDir === null ? memoryEngines() : lmdbEngines();
  if (config.dataDir !== null) await refuseEtcdData(io.disk, config.dataDir);
  const secured = await openSecured({ tls, io, closers });
  const openLink = askLinks({ config, secured, io });
  const { truncateDamagedLog, signal } = choices;
  const timers = stateTimers(parts.diskTimes);
  const member = await openMember(
    { config, io, engines, clientUrls, openLink, truncateDamagedLog, signal, timers },
    fail,
  );
  closers.add(() => member.close());
  let transport: PeerTransport | null = null;
  const links = (): PeerTransport | null => transport;
  const { handlers, sendFailures } = countSendFailures(member.handlers, config.peers);
  listenUrls = await openDoors({ ...parts, secured, member, links, sendFailures, fail });
  const reach = { config, secured, io, clientUrls: clientUrls() };
  transport = await openPeerTransport(reach, handlers);
  member.connect(transport);
  const peerUrls = peerUrlsOf(config, transport);
  closers.add(() => (transport as PeerTransport).close());
  // Closed first, so that what is parked gets its answer while the doors are still open.
  closers.add(() => member.close());
  closers.add(() => member.handOver());

  const close = async (): Promise<void> => {
    await closers.close();
    stopped.resolve(null);
  };
  return {
    memberId: config.memberId,
    clusterId: config.clusterId,
    clientUrls: listenUrls,
    peerUrls,
    status: () => member.status(),
    ready: member.ready,
    stopped: stopped.promise,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Where peers are served: the transport tells the first place's picked port. */
function peerUrlsOf(config: ServerConfig, { address }: PeerTransport): readonly string[] {
  return config.listenPeers.map((place, i) => formatUrl(i > 0 ? place : { ...place, ...address }));
}

/** A port's TLS, and the certificates in force there. */
interface Secured {
  readonly tls: PortTls;
  readonly material: TlsMaterial;
}

/** The ports that speak TLS. */
interface SecuredPorts {
  readonly client: Secured | null;
  readonly peer: Secured | null;
}

async function openSecured({
  tls,
  io,
  closers,
}: Pick<Parts, 'tls' | 'io' | 'closers'>): Promise<SecuredPorts> {
  const open = async (port: PortTls | null): Promise<Secured | null> => {
    if (port === null) return null;
    const material = await openPortTls(port, io);
    closers.add(async () => material.close());
    return { tls: port, material };
  };
  return { client: await open(tls.client), peer: await open(tls.peer) };
}

interface DoorParts
  extends Pick<Parts, 'config' | 'io' | 'closers' | 'diskTimes'>,
    Pick<PeerSources, 'sendFailures'> {
  readonly secured: SecuredPorts;
  readonly member: Member;
  /** Null while there is none. */
  readonly links: () => PeerTransport | null;
  readonly fail: (error: Error) => void;
}

/** Opens the client ports; resolves with where they really listen. */
async function openDoors(parts: DoorParts): Promise<readonly string[]> {
  const { config, secured, io, closers, member, links } = parts;
  const status = (): MemberStatus => member.status();
  const etcd = etcdMethods({ member: member.etcd, clock: io.clock, random: io.random });
  const handle = createHttpHandler({
    status,
    isOutOfSpace: () => member.etcd.isOutOfSpace(),
    version: VERSION,
    gateway: createGateway({ methods: etcd, clock: io.clock, onDefect: parts.fail }),
    metrics: createMetrics({
      status,
      parked: () => member.parked,
      connectedPeers: () => links()?.connectedPeers().length ?? 0,
      leaderChanges: () => member.leaderChanges,
      failedProposals: () => member.failedProposals,
      diskTimes: parts.diskTimes,
      calls: () => grpc.tallies,
      peers: { traffic: () => links()?.metrics ?? null, sendFailures: parts.sendFailures },
      etcd: member.etcd,
      quotaBytes: config.quotaBytes,
      disagreeingMembers: () => member.disagreeing.length,
      scrubs: () => member.scrubs,
      certificateEnds: () => certificateEnds(secured),
    }),
    onDefect: (error) => io.log.error(`a page failed: ${error.message}`, { stack: error.stack }),
  });
  const grpc = createGrpcServer({
    methods: new Map([
      ...clerkMethods({ service: member.service, clock: io.clock }),
      ...snapshotMethods({ source: member, ...io, onDamage: parts.fail }),
      ...etcd,
    ]),
    log: io.log,
    clock: io.clock,
    onOther: (stream) => handle(http2Exchange(stream)),
    onDefect: parts.fail,
  });
  closers.add(() => grpc.close());
  const http: RequestListener = (request, response) => handle(nodeExchange(request, response));
  const urls: string[] = [];
  for (const listen of config.listenClients) {
    const tls = listen.tls ? doorTls(secured) : null;
    const door = await openDoor({ listen, tls, grpc, http, log: io.log });
    closers.add(() => door.close());
    urls.push(formatUrl({ ...listen, ...door.address }));
  }
  return urls;
}

function doorTls({ client }: SecuredPorts): DoorTls {
  assert(client !== null, 'an https URL without certificates');
  const { tls, material } = client;
  return { material, askCertificate: tls.askCertificate, allowed: tls.allowed };
}

function certificateEnds(secured: SecuredPorts): CertificateEnd[] {
  return (['client', 'peer'] as const).flatMap((port) => {
    const material = secured[port]?.material;
    return material === undefined ? [] : [{ port, expiresMs: material.current.firstEnd.expiresMs }];
  });
}

/** Links at the same place before there is a member, for one that has to ask the others first. */
function askLinks(parts: PeerParts): OpenAskLink {
  return (onMessage) =>
    openPeerTransport(
      { ...parts, clientUrls: [] },
      { onMessage, onBulk: () => {}, onUnreachable: () => {} },
    );
}

interface PeerParts {
  readonly config: ServerConfig;
  readonly secured: SecuredPorts;
  readonly io: Io;
}

function openPeerTransport(
  { config, secured, io, clientUrls }: PeerParts & { readonly clientUrls: readonly string[] },
  handlers: TransportHandlers,
): Promise<PeerTransport> {
  const [listen, ...alsoListen] = config.listenPeers;
  assert(listen !== undefined, 'nowhere to listen for peers');
  return openTransport({
    network: secured.peer === null ? io.network : peerNetwork(secured.peer, io),
    clock: io.clock,
    random: io.random,
    log: io.log,
    listen,
    alsoListen,
    self: {
      clusterId: config.clusterId,
      memberId: config.memberId,
      incarnation: new DataView(io.random.bytes(8).buffer).getBigUint64(0),
      info: { name: config.name, clientUrls },
    },
    peers: config.peers,
    // A link that is silent for two election timeouts is as good as dead.
    limits: {
      linkTimeoutMs: 2 * config.timing.electionTimeoutMs,
      keepAliveMs: config.timing.electionTimeoutMs / 2,
    },
    handlers,
  });
}

function peerNetwork({ tls, material }: Secured, { clock, log }: Io): Network {
  const { allowed, proveHosts } = tls;
  return tlsNetwork({ material, allowed, proveHosts, clock, log });
}

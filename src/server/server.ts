import type { MemberStatus } from '../api/index.ts';
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
import { deferred } from '../lib/index.ts';
import { openTransport, type Transport } from '../transport/index.ts';
import { clerkMethods } from './clerk-service.ts';
import { Closers } from './closers.ts';
import { resolveConfig, type ServerConfig } from './config.ts';
import { openDoor } from './door.ts';
import { createHttpHandler } from './http.ts';
import { Member } from './member.ts';
import { createMetrics } from './metrics.ts';
import type { ServerOptions } from './options.ts';
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
 *   line.
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
    return await openServer(config, io, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function openServer(config: ServerConfig, io: Io, closers: Closers): Promise<Server> {
  const stopped = deferred<Error | null>();
  const fail = (error: Error): void => {
    stopped.resolve(error);
    closers.close().catch((cause: Error) => {
      io.log.error(`closing after a failure failed too: ${cause.message}`);
    });
  };
  let listenUrls: readonly string[] = [];
  const clientUrls = (): readonly string[] => config.advertiseClientUrls ?? listenUrls;
  const member = await Member.open({ config, io, clientUrls }, fail);
  closers.add(() => member.close());
  let transport: Transport | null = null;
  const connectedPeers = (): number => transport?.connectedPeers().length ?? 0;
  listenUrls = await openDoors({ config, io, closers, member, connectedPeers, fail });
  transport = await connectPeers({ config, io, member, clientUrls: clientUrls() });
  const { address } = transport;
  closers.add(() => (transport as Transport).close());
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
    peerUrls: [formatUrl(address)],
    status: () => member.status(),
    ready: member.ready,
    stopped: stopped.promise,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Opens the client ports; resolves with where they really listen. */
async function openDoors(parts: {
  config: ServerConfig;
  io: Io;
  closers: Closers;
  member: Member;
  connectedPeers: () => number;
  fail: (error: Error) => void;
}): Promise<readonly string[]> {
  const { config, io, closers, member } = parts;
  const status = (): MemberStatus => member.status();
  const grpc = createGrpcServer({
    methods: clerkMethods({ service: member.service, clock: io.clock }),
    log: io.log,
    clock: io.clock,
    onDefect: parts.fail,
  });
  closers.add(() => grpc.close());
  const http = createHttpHandler({
    status,
    version: VERSION,
    metrics: createMetrics({
      status,
      parked: () => member.parked,
      connectedPeers: parts.connectedPeers,
    }),
    onDefect: (error) => io.log.error(`a page failed: ${error.message}`, { stack: error.stack }),
  });
  const urls: string[] = [];
  for (const listen of config.listenClients) {
    const door = await openDoor({ listen, grpc, http, log: io.log });
    closers.add(() => door.close());
    urls.push(formatUrl(door.address));
  }
  return urls;
}

async function connectPeers(parts: {
  config: ServerConfig;
  io: Io;
  member: Member;
  clientUrls: readonly string[];
}): Promise<Transport> {
  const { config, io, member, clientUrls } = parts;
  const transport = await openTransport({
    network: io.network,
    clock: io.clock,
    random: io.random,
    log: io.log,
    listen: config.listenPeers,
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
    handlers: member.handlers,
  });
  member.connect(transport);
  return transport;
}

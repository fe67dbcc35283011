import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePorts } from '../src/cli/cluster/index.ts';
import { Clerk } from '../src/client/index.ts';
import type { Log } from '../src/io/index.ts';
import { type Server, type ServerOptions, startServer } from '../src/server/index.ts';

/** Members in this process, on real directories, sockets and clocks. */
export class Members {
  readonly #root: string;
  readonly #options: Partial<ServerOptions>;
  readonly #cluster: NonNullable<ServerOptions['initialCluster']>;
  readonly servers = new Map<string, Server>();
  /** What the members said, `name: message`. */
  readonly lines: string[] = [];

  private constructor(root: string, ports: readonly number[], options: Partial<ServerOptions>) {
    this.#root = root;
    this.#options = options;
    this.#cluster = ports.map((port, at) => ({
      name: `m${at + 1}`,
      peerUrls: [`http://127.0.0.1:${port}`],
    }));
  }

  /** Starts members m1, m2, …, all with these options. */
  static async start(count: number, options: Partial<ServerOptions> = {}): Promise<Members> {
    const root = await mkdtemp(join(tmpdir(), 'quorate-members-'));
    const members = new Members(root, await findFreePorts(count), options);
    await Promise.all(members.#cluster.map(({ name }) => members.start(name)));
    return members;
  }

  directory(name: string): string {
    return join(this.#root, name);
  }

  async start(name: string): Promise<Server> {
    const self = this.#cluster.find((member) => member.name === name);
    const say = (message: string): void => void this.lines.push(`${name}: ${message}`);
    const log: Log = { debug: () => {}, info: say, warn: say, error: say };
    const server = await startServer({
      name,
      dataDir: this.directory(name),
      initialCluster: this.#cluster,
      listenPeerUrls: self?.peerUrls ?? [],
      listenClientUrls: ['http://127.0.0.1:0'],
      heartbeatIntervalMs: 20,
      electionTimeoutMs: 200,
      log,
      ...this.#options,
    });
    this.servers.set(name, server);
    return server;
  }

  /** Takes a member down; the others go on. */
  async stop(name: string): Promise<void> {
    await this.servers.get(name)?.close();
    this.servers.delete(name);
  }

  server(name: string): Server {
    const server = this.servers.get(name);
    if (server === undefined) throw new Error(`${name} is down`);
    return server;
  }

  /** A clerk on the members that run now; the caller closes it. */
  clerk(): Promise<Clerk> {
    const endpoints = [...this.servers.values()].flatMap((server) => server.clientUrls);
    return Clerk.connect({ endpoints });
  }

  async close(): Promise<void> {
    for (const name of [...this.servers.keys()]) await this.stop(name);
    await rm(this.#root, { recursive: true, force: true });
  }
}

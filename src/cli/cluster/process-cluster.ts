import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MemberStatus } from '../../api/index.ts';
import { findFreePorts } from './free-ports.ts';
import { Links, type MemberPorts } from './links.ts';
import { type MemberExit, MemberProcess } from './member-process.ts';

const HOST = '127.0.0.1';

/** How to start a cluster of member processes on this machine. */
export interface ProcessClusterOptions {
  /** Program and first arguments that make a process a member: `[node, main.js, 'serve']`. */
  readonly command: readonly string[];
  /** Holds one data directory `NAME` and one log `NAME.log` for each member. */
  readonly directory: string;
  /** Number of members, named m1, m2, … [3]. */
  readonly members?: number;
  /** Ports of each member; default: free ones. The same at every start on the same directory. */
  readonly ports?: readonly MemberPorts[];
  /** Members reach each other, and clients by `endpointsOf`, through `links` [false]. */
  readonly proxied?: boolean;
  /** More flags for every member. */
  readonly flags?: readonly string[];
  /** Environment of the members; default: this process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Called whenever a member's process has ended. */
  readonly onExit?: (member: string, exit: MemberExit) => void;
}

/** A cluster of real processes under one's thumb. */
export class ProcessCluster {
  /** Members by name, in order. */
  readonly members: ReadonlyMap<string, MemberProcess>;
  readonly ports: ReadonlyMap<string, MemberPorts>;
  readonly #links: Links | null;

  private constructor(
    members: ReadonlyMap<string, MemberProcess>,
    ports: ReadonlyMap<string, MemberPorts>,
    links: Links | null,
  ) {
    this.members = members;
    this.ports = ports;
    this.#links = links;
  }

  /** Makes the cluster without starting it: no process runs yet. */
  static async create(options: ProcessClusterOptions): Promise<ProcessCluster> {
    const count = options.members ?? 3;
    const names = Array.from({ length: count }, (_, at) => `m${at + 1}`);
    const picked = options.ports ?? pairUp(await findFreePorts(2 * count));
    if (picked.length !== count) throw new Error(`${count} members need ${count} pairs of ports`);
    const ports = new Map(names.map((name, at) => [name, picked[at] as MemberPorts]));
    const links = options.proxied === true ? await Links.open(ports) : null;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    const members = new Map<string, MemberProcess>();
    for (const name of names) {
      const spec = {
        name,
        command: options.command,
        flags: [...(await flagsOf(name, { options, ports, links })), ...(options.flags ?? [])],
        environment: options.environment ?? process.env,
        logPath: join(options.directory, `${name}.log`),
      };
      members.set(name, new MemberProcess(spec, (exit) => options.onExit?.(name, exit)));
    }
    return new ProcessCluster(members, ports, links);
  }

  /** Makes and starts a cluster; resolves when every member knows a leader. */
  static async start(options: ProcessClusterOptions): Promise<ProcessCluster> {
    const cluster = await ProcessCluster.create(options);
    try {
      await cluster.startAll();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Starts all members; resolves when each knows a leader. */
  async startAll(): Promise<void> {
    const members = [...this.members.values()];
    const starts = await Promise.allSettled(members.map((member) => member.start()));
    for (const start of starts) if (start.status === 'rejected') throw start.reason;
    await Promise.all(members.map((member) => member.ready()));
  }

  /** @throws Error when there is no such member. */
  member(name: string): MemberProcess {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`there is no member ${name}`);
    return member;
  }

  /** The links between members; only of a `proxied` cluster. */
  get links(): Links {
    if (this.#links === null) throw new Error('this cluster was started without proxied links');
    return this.#links;
  }

  /** Client URLs of all members, without a proxy in between. */
  get endpoints(): string[] {
    return [...this.ports.values()].map(({ client }) => `http://${HOST}:${client}`);
  }

  /** Client URLs of all members over the links of one client, which can be cut one by one. */
  async endpointsOf(client: string): Promise<string[]> {
    const links = [...this.members.keys()].map((member) => this.links.client(client, member));
    return (await Promise.all(links)).map((link) => link.url);
  }

  /** What every running member says of itself; a frozen or dead one is left out. */
  async statuses(): Promise<Map<string, MemberStatus>> {
    const running = [...this.members].filter(([, member]) => member.running);
    const answers = await Promise.allSettled(running.map(([, member]) => member.status()));
    const statuses = new Map<string, MemberStatus>();
    running.forEach(([name], at) => {
      const answer = answers[at];
      if (answer?.status === 'fulfilled') statuses.set(name, answer.value);
    });
    return statuses;
  }

  /** The member that leads in the highest term, by the members' own word; null while none does. */
  async leader(): Promise<string | null> {
    let best: { name: string; term: number } | null = null;
    for (const [name, { role, term }] of await this.statuses()) {
      if (role === 'leader' && (best === null || term > best.term)) best = { name, term };
    }
    return best?.name ?? null;
  }

  /** Kills a member without warning (SIGKILL) and waits until it is gone. */
  async kill(name: string): Promise<void> {
    await this.member(name).kill();
  }

  /** Starts a dead member on its old directory; resolves when it serves clients. */
  async restart(name: string): Promise<void> {
    await this.member(name).start();
  }

  /** Stops all members, then the links. Safe to call twice. */
  async close(): Promise<void> {
    await Promise.all([...this.members.values()].map((member) => member.close()));
    await this.#links?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function flagsOf(
  name: string,
  cluster: {
    options: ProcessClusterOptions;
    ports: ReadonlyMap<string, MemberPorts>;
    links: Links | null;
  },
): Promise<string[]> {
  const { options, ports, links } = cluster;
  const own = ports.get(name) as MemberPorts;
  const initialCluster = [...ports].map(([member, { peer }]) => `${member}=http://${HOST}:${peer}`);
  const flags = [
    ...['--name', name],
    ...['--data-dir', join(options.directory, name)],
    ...['--listen-client-urls', `http://${HOST}:${own.client}`],
    ...['--listen-peer-urls', `http://${HOST}:${own.peer}`],
    ...['--initial-advertise-peer-urls', `http://${HOST}:${own.peer}`],
    ...['--initial-cluster', initialCluster.join(',')],
  ];
  if (links === null) return flags;
  for (const other of ports.keys()) {
    if (other !== name) flags.push('--peer-dial', `${other}=${links.peer(name, other).url}`);
  }
  return flags;
}

function pairUp(ports: readonly number[]): MemberPorts[] {
  const pairs: MemberPorts[] = [];
  for (let at = 0; at + 1 < ports.length; at += 2) {
    pairs.push({ client: ports[at] as number, peer: ports[at + 1] as number });
  }
  return pairs;
}

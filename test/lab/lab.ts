import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { MemberStatus } from '../../src/api/index.ts';
import { type LinkProxy, ProcessCluster } from '../../src/cli/cluster/index.ts';
import { Clerk } from '../../src/client/index.ts';
import { Prng } from '../../src/lib/index.ts';

/** The lab's clerks retry for ever; ours get a deadline that no healthy run reaches. */
export const PATIENCE_MS = 60_000;

/** Request delay of the lab's unreliable network, milliseconds. */
const DELAY_MS_MAX = 26;

/** A cluster of real processes behind one proxy per link, as the lab's tests want it. */
export class Lab {
  readonly cluster: ProcessCluster;
  #prng: Prng;
  readonly #directory: string;
  readonly #clerks: Clerk[] = [];
  readonly #clientLinks: LinkProxy[] = [];
  #unreliable: NodeJS.Timeout | null = null;

  private constructor(cluster: ProcessCluster, directory: string, seed: number) {
    this.cluster = cluster;
    this.#prng = new Prng(seed);
    this.#directory = directory;
  }

  /** `flags`: more flags for every member. */
  static async start(members: number, seed = 1, flags: readonly string[] = []): Promise<Lab> {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-lab-'));
    const cluster = await ProcessCluster.start({
      command: [process.execPath, inject('quorateMain'), 'serve'],
      directory,
      members,
      proxied: true,
      flags,
      environment: { ...process.env, NODE_NO_WARNINGS: '1' },
    });
    return new Lab(cluster, directory, seed);
  }

  /** Draws what is asked and what is broken. */
  get prng(): Prng {
    return this.#prng;
  }

  /** Begins something else on the same members: with other choices, and without clerks. */
  async renew(seed: number): Promise<void> {
    this.setUnreliable(false);
    this.cluster.links.heal();
    await Promise.all(this.#clerks.splice(0).map((clerk) => clerk.close()));
    this.#prng = new Prng(seed);
  }

  get members(): string[] {
    return [...this.cluster.members.keys()];
  }

  /** Where a member keeps what is durable. */
  dataDirectory(member: string): string {
    return join(this.#directory, member);
  }

  /**
   * A clerk with links of its own, to all members or to some, that follows no hints past its
   * proxies.
   */
  async clerk(
    name: string,
    options: { members?: readonly string[]; session?: string } = {},
  ): Promise<Clerk> {
    const links = await this.linksOf(name, options.members ?? this.members);
    const clerk = await Clerk.connect({
      endpoints: links.map((link) => link.url),
      requestTimeoutMs: PATIENCE_MS,
      discover: false,
      ...(options.session === undefined ? {} : { session: options.session }),
    });
    this.#clerks.push(clerk);
    return clerk;
  }

  /** The links on which a client of this name reaches members. */
  async linksOf(name: string, members: readonly string[]): Promise<LinkProxy[]> {
    const links = await Promise.all(
      members.map((member) => this.cluster.links.client(name, member)),
    );
    for (const link of links) if (!this.#clientLinks.includes(link)) this.#clientLinks.push(link);
    return links;
  }

  /** The leader that knows a quorum; waits for it. */
  async leader(among: readonly string[] = this.members): Promise<string> {
    return this.until(async () => {
      const statuses = await this.cluster.statuses();
      const leaders = among.filter((name) => statuses.get(name)?.role === 'leader');
      const [leader] = leaders.sort((a, b) => termOf(statuses, b) - termOf(statuses, a));
      return leader ?? null;
    }, 'a leader');
  }

  /** Every member on a random side, as the lab's partitioner does; clerks keep all their links. */
  partitionAtRandom(): void {
    const left = this.members.filter(() => this.prng.chance(0.5));
    const right = this.members.filter((name) => !left.includes(name));
    this.cluster.links.partition([left, right]);
  }

  /** What was sent over a member's cut links is lost, as in the lab, and not kept by proxies. */
  loseUnderWay(member: string): void {
    for (const link of this.cluster.links.around(member)) link.resetConnections();
  }

  /**
   * Links that delay, lose replies of what was executed, and break; until switched off.
   * `clients`: those of clerks too.
   */
  setUnreliable(on: boolean, { clients = true } = {}): void {
    if (this.#unreliable !== null) clearInterval(this.#unreliable);
    this.#unreliable = null;
    const peers = this.members.flatMap((m) => this.#peerLinksFrom(m));
    const links = clients ? [...this.#clientLinks, ...peers] : peers;
    for (const link of links) link.delay(on ? this.prng.below(DELAY_MS_MAX) : 0);
    if (!on) {
      for (const link of links) if (link.mode === 'dropReplies') link.heal();
      return;
    }
    this.#unreliable = setInterval(() => this.#disturb(links), 20);
  }

  /** Kills every member at once, waits, and starts them on what their disks hold. */
  async crashAll(downMs: number): Promise<void> {
    await Promise.all(this.members.map((name) => this.cluster.kill(name)));
    await sleep(downMs);
    await Promise.all(this.members.map((name) => this.cluster.restart(name)));
  }

  /** Waits until all members have applied the same index; their state hashes must then agree. */
  async agreement(): Promise<string> {
    return this.until(async () => {
      const statuses = [...(await this.cluster.statuses()).values()];
      const applied = new Set(statuses.map((status) => status.appliedIndex));
      if (statuses.length < this.members.length || applied.size > 1) return null;
      const hashes = [...new Set(statuses.map((status) => status.stateHash))];
      if (hashes.length > 1) throw new Error(`replicas differ: ${hashes.join(' ')}`);
      return hashes[0] ?? null;
    }, 'equal members');
  }

  /** Asks again and again until there is an answer. */
  async until<T>(ask: () => Promise<T | null>, what: string, limitMs = 20_000): Promise<T> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const answer = await ask();
      if (answer !== null) return answer;
      if (performance.now() > endMs) throw new Error(`no ${what} within ${limitMs} ms`);
      await sleep(20);
    }
  }

  async close(): Promise<void> {
    this.setUnreliable(false);
    await Promise.all(this.#clerks.map((clerk) => clerk.close()));
    await this.cluster.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #peerLinksFrom(member: string): LinkProxy[] {
    return this.members
      .filter((other) => other !== member)
      .map((other) => this.cluster.links.peer(member, other));
  }

  #disturb(links: readonly LinkProxy[]): void {
    const link = links[this.prng.below(links.length)];
    if (link === undefined) return;
    if (link.mode === 'dropReplies') return link.heal();
    if (link.mode !== 'open') return; // cut by a partition
    link.delay(this.prng.below(DELAY_MS_MAX));
    if (this.#clientLinks.includes(link) && this.prng.chance(0.5)) link.cut('dropReplies');
    else if (this.prng.chance(0.2)) link.resetConnections();
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function termOf(statuses: ReadonlyMap<string, MemberStatus>, name: string): number {
  return statuses.get(name)?.term ?? 0;
}

import { Clerk } from '../../client/index.ts';
import { Prng } from '../../lib/index.ts';
import type { LinkProxy, ProcessCluster } from '../cluster/index.ts';
import { LoadClerk } from './load.ts';
import { Meter } from './meter.ts';
import type { ClerkLinks } from './takeover.ts';
import { Watch } from './watch.ts';

/** Clerks under load, and how many of them append to the same keys. */
const CLERKS = 4;
const CLERKS_PER_GROUP = 2;

/** How long a call may take before the demo has failed, milliseconds. */
const PATIENCE_MS = 60_000;

/** The cluster with its clerks, while a run lasts. */
export class Stage {
  readonly cluster: ProcessCluster;
  readonly watch: Watch;
  readonly meter = new Meter(performance.now());
  readonly loads: LoadClerk[] = [];
  /** Asks without loading: its links are never touched. */
  readonly witness: Clerk;
  readonly #clerks: Clerk[];
  readonly #signal: AbortSignal;
  /** Links of the present incarnation of each clerk, by the clerk's name. */
  readonly #links = new Map<string, LinkProxy[]>();
  #incarnations = 0;
  readonly #allLinks: LinkProxy[] = [];

  private constructor(cluster: ProcessCluster, witness: Clerk, signal: AbortSignal) {
    this.cluster = cluster;
    this.watch = new Watch(cluster);
    this.witness = witness;
    this.#clerks = [witness];
    this.#signal = signal;
  }

  /** Opens all clerks on a cluster that runs. */
  static async open(
    cluster: ProcessCluster,
    options: { readonly seed: number; readonly signal: AbortSignal },
  ): Promise<Stage> {
    const { seed, signal } = options;
    const endpoints = cluster.endpoints;
    const witness = await Clerk.connect({ endpoints, requestTimeoutMs: PATIENCE_MS });
    const stage = new Stage(cluster, witness, signal);
    try {
      for (let at = 0; at < CLERKS; at++) {
        const name = `c${at + 1}`;
        stage.loads.push(
          new LoadClerk({
            name,
            group: `g${Math.floor(at / CLERKS_PER_GROUP) + 1}`,
            clerk: await stage.openClerk(name),
            prng: new Prng(seed + 1 + at),
            onAcknowledged: () => stage.meter.acknowledge(performance.now()),
          }),
        );
      }
    } catch (error) {
      await stage.close();
      throw error;
    }
    for (const name of cluster.members.keys()) stage.watch.set(name, 'serving');
    stage.watch.start();
    return stage;
  }

  /** Opens the session of this name, over links of its own. */
  async openClerk(name: string): Promise<Clerk> {
    const dialler = `${name} ${++this.#incarnations}`;
    const members = [...this.cluster.members.keys()];
    const links = await Promise.all(
      members.map((member) => this.cluster.links.client(dialler, member)),
    );
    this.#links.set(name, links);
    this.#allLinks.push(...links);
    const clerk = await Clerk.connect({
      endpoints: links.map(({ url }) => url),
      session: name,
      requestTimeoutMs: PATIENCE_MS,
      discover: false,
      signal: this.#signal,
    });
    this.#clerks.push(clerk);
    return clerk;
  }

  /** The links that the clerk of this name uses now. */
  linksOf(name: string): ClerkLinks {
    const links = this.#links.get(name) ?? [];
    return {
      cut: (mode) => {
        for (const link of links) link.cut(mode);
      },
      heal: () => {
        for (const link of links) link.heal();
      },
    };
  }

  /** Bytes of answers that were lost on their way to clerks. */
  get droppedReplyBytes(): number {
    return this.#allLinks.reduce((sum, { counts }) => sum + counts.droppedReplyBytes, 0);
  }

  /** Closes clerks, not the cluster. Safe to call twice. */
  async close(): Promise<void> {
    this.watch.stop();
    for (const load of this.loads) load.pause();
    await Promise.all(this.#clerks.map((clerk) => clerk.close()));
  }
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HistoryRecorder } from '../../src/checker/index.ts';
import { ProcessCluster } from '../../src/cli/cluster/index.ts';
import { Clerk } from '../../src/client/index.ts';
import { Prng } from '../../src/lib/index.ts';
import { damagesOf } from './evidence.ts';
import { nowUs, RemoteClerk } from './remote-clerk.ts';
import { Workload } from './workload.ts';

/** Longest time in which everybody must get on again once all members run, milliseconds. */
const RECOVERY_MS_MAX = 30_000;

/**
 * Log entries that members keep: so few that each flushes its state many times a second, and that
 * one which was down for a moment gets a snapshot. The state is flushed every quarter of it.
 */
const SNAPSHOT_COUNT = 40;

/** Keys that are read at once at the end. */
const PAGE_KEYS = 100;

export interface WorldOptions {
  readonly seed: number;
  /** The compiled command. */
  readonly main: string;
  readonly clerks: number;
  /** Environment of the members beyond this process's, given the world's directory. */
  readonly environment?: (directory: string) => Readonly<Record<string, string>>;
}

/** Three member processes and several clerk processes under load, and all they ever said. */
export class World {
  readonly cluster: ProcessCluster;
  readonly clerks: readonly RemoteClerk[];
  readonly recorder: HistoryRecorder;
  readonly prng: Prng;
  readonly directory: string;
  /** What went against a promise of the members, one sentence each. */
  readonly failures: string[] = [];
  /** Members that this world kills right now: their end is no failure. */
  readonly #doomed = new Set<string>();

  private constructor(
    parts: Pick<World, 'cluster' | 'clerks' | 'recorder' | 'directory'>,
    seed: number,
  ) {
    this.cluster = parts.cluster;
    this.clerks = parts.clerks;
    this.recorder = parts.recorder;
    this.directory = parts.directory;
    this.prng = new Prng(seed);
  }

  static async start(options: WorldOptions): Promise<World> {
    const { seed, main, environment = () => ({}) } = options;
    const directory = mkdtempSync(join(tmpdir(), 'quorate-kill-'));
    let world: World | null = null;
    const cluster = await ProcessCluster.create({
      command: [process.execPath, main, 'serve'],
      directory,
      flags: ['--snapshot-count', String(SNAPSHOT_COUNT)],
      environment: { ...process.env, ...environment(directory) },
      onExit: (member, { code, signal }) => world?.onExit(member, `${code ?? signal}`),
    });
    const recorder = new HistoryRecorder({ title: `seed ${seed}`, unit: 'us' });
    const clientModule = join(dirname(main), '..', 'client', 'index.js');
    const clerks = Array.from({ length: options.clerks }, (_, at) => {
      const name = `c${at + 1}`;
      const workload = new Workload(name, new Prng(seed * 1_000 + at));
      return new RemoteClerk({
        name,
        clientModule,
        endpoints: cluster.endpoints,
        recorder,
        workload,
      });
    });
    world = new World({ cluster, clerks, recorder, directory }, seed);
    try {
      await cluster.startAll();
      await Promise.all(clerks.map((clerk) => clerk.start()));
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get members(): string[] {
    return [...this.cluster.members.keys()];
  }

  /** Kills members at once and draws the fault into the history. */
  async kill(names: readonly string[], fault = 'kill'): Promise<void> {
    const from = nowUs();
    for (const name of names) this.#doomed.add(name);
    await Promise.all(names.map((name) => this.cluster.kill(name)));
    for (const name of names) this.#doomed.delete(name);
    this.recorder.fault({ fault, from, to: nowUs(), label: names.join(' ') });
  }

  /**
   * Starts dead members again; resolves when all of them serve clients.
   * @throws Error when one finds its disk damaged, which it survives by waiting for a hand or for
   * the others, or when it takes too long
   */
  async restart(names: readonly string[]): Promise<void> {
    let isStarted = false;
    const started = Promise.all(names.map((name) => this.cluster.restart(name)));
    const watched = until('members that serve', () => {
      const [damage] = damagesOf(this.directory, this.members);
      if (damage !== undefined && !isStarted) throw new Error(damage);
      return isStarted;
    });
    await Promise.race([started, watched]);
    isStarted = true;
    await watched;
  }

  /** Starts a member and kills it again `afterMs` later, wherever its start has come to. */
  async killWhileStarting(name: string, afterMs: number): Promise<void> {
    this.#doomed.add(name);
    const start = this.cluster.restart(name).then(
      () => null,
      (error: Error) => error,
    );
    await sleep(afterMs);
    await this.cluster.kill(name);
    const error = await start;
    this.#doomed.delete(name);
    if (error !== null && !error.message.includes('SIGKILL')) this.failures.push(error.message);
  }

  /** Waits until every clerk was answered since now. @throws Error when the cluster stands still */
  async progress(): Promise<void> {
    const before = this.clerks.map(({ answered }) => answered);
    await until('an answer for every clerk', () =>
      this.clerks.every(({ answered }, at) => answered > (before[at] ?? 0)),
    );
  }

  /** Waits until all members have applied the same; their state hashes must agree. */
  async agreement(): Promise<void> {
    await until('equal members', async () => {
      const statuses = [...(await this.cluster.statuses()).values()];
      const applied = new Set(statuses.map(({ appliedIndex }) => appliedIndex));
      if (statuses.length < this.members.length || applied.size > 1) return false;
      const hashes = new Set(statuses.map(({ stateHash }) => stateHash));
      if (hashes.size > 1) this.failures.push(`replicas differ: ${[...hashes].join(' ')}`);
      return true;
    });
  }

  /** Reads every key through a clerk of this process, as part of the history. */
  async readAll(): Promise<Map<string, string>> {
    await using clerk = await Clerk.connect({ endpoints: this.cluster.endpoints });
    const found = new Map<string, string>();
    for (let from = '', more = true; more; ) {
      const called = nowUs();
      const page = await clerk.range({ from }, { limit: PAGE_KEYS, timeoutMs: RECOVERY_MS_MAX });
      for (const { key, value } of page.entries) {
        found.set(key, value);
        const operation = { type: 'get', key } as const;
        const call = this.recorder.begin({ clerk: 'witness', operation, called });
        call.ok({ type: 'get', value }, nowUs(), page.revision);
        from = `${key}\0`;
      }
      more = page.more;
    }
    return found;
  }

  /** Ends all processes and removes their files. */
  async close(): Promise<void> {
    await Promise.all(this.clerks.map((clerk) => clerk.kill()));
    for (const name of this.members) this.#doomed.add(name);
    await this.cluster.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** A member ended: by our hand, or against its promise. */
  onExit(member: string, how: string): void {
    if (this.#doomed.has(member)) return;
    const line = this.cluster.member(member).lastLine();
    this.failures.push(`member ${member} ended by itself (${how}): ${line}`);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Looks again and again. @throws Error after `RECOVERY_MS_MAX` */
async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + RECOVERY_MS_MAX;
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`not within ${RECOVERY_MS_MAX} ms: ${what}`);
    await sleep(10);
  }
}

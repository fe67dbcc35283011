import type { MemberStatus } from '../../api/index.ts';
import type { ProcessCluster } from '../cluster/index.ts';

/** How often each member is asked, milliseconds. */
const ASK_MS = 200;
/** An answer that takes longer is of no use for a live table, milliseconds. */
const ANSWER_MS_MAX = 1_000;

/** What is being done to a member. */
export type Condition = 'starting' | 'serving' | 'killed' | 'frozen';

/** One member as the table shows it. */
export interface MemberView {
  readonly name: string;
  readonly condition: Condition;
  /** null while it does not answer. */
  readonly status: MemberStatus | null;
}

/** Asks every member again and again how it sees itself, each at its own pace. */
export class Watch {
  readonly #cluster: ProcessCluster;
  readonly #conditions = new Map<string, Condition>();
  readonly #statuses = new Map<string, MemberStatus>();
  #timer: NodeJS.Timeout | null = null;
  readonly #asked = new Set<string>();

  constructor(cluster: ProcessCluster) {
    this.#cluster = cluster;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      for (const name of this.#cluster.members.keys()) void this.#ask(name);
    }, ASK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Says what is being done to a member. */
  set(name: string, condition: Condition): void {
    this.#conditions.set(name, condition);
    if (condition !== 'serving') this.#statuses.delete(name);
  }

  members(): MemberView[] {
    return [...this.#cluster.members.keys()].map((name) => ({
      name,
      condition: this.#conditions.get(name) ?? 'starting',
      status: this.#statuses.get(name) ?? null,
    }));
  }

  async #ask(name: string): Promise<void> {
    const member = this.#cluster.member(name);
    if (this.#conditions.get(name) !== 'serving' || !member.running || this.#asked.has(name))
      return;
    this.#asked.add(name);
    try {
      const status = await member.status(ANSWER_MS_MAX);
      if (this.#conditions.get(name) === 'serving') this.#statuses.set(name, status);
    } catch {
      this.#statuses.delete(name); // it was killed or frozen while it was asked
    } finally {
      this.#asked.delete(name);
    }
  }
}

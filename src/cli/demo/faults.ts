import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, KILLS, type PlannedFault } from './plan.ts';
import type { Stage } from './stage.ts';
import { replaceClerk } from './takeover.ts';
import type { FaultCounts, Takeover } from './verify.ts';

/** How long replies are lost before the leader dies, milliseconds. */
const DROP_BEFORE_KILL_MS = 150;
/** How long a killed member stays down, milliseconds. */
const DOWN_MS = 1_000;
/** How long a frozen one stays frozen, milliseconds. */
const FROZEN_MS = 2_000;
/** How long a cluster that ought to work may be without a leader, milliseconds. */
const LEADER_MS_MAX = 15_000;
const POLL_MS = 50;

/** Carries a plan out, one fault after the other, and keeps count. */
export class Faults {
  readonly #stage: Stage;
  readonly #say: (line: string) => void;
  readonly #signal: AbortSignal;
  #kills = 0;
  #freezes = 0;
  readonly takeovers: Takeover[] = [];
  /** How long no command was acknowledged around each kill, milliseconds. */
  readonly pausesMs: number[] = [];

  constructor(stage: Stage, options: { say: (line: string) => void; signal: AbortSignal }) {
    this.#stage = stage;
    this.#say = options.say;
    this.#signal = options.signal;
  }

  get counts(): FaultCounts {
    const { droppedReplyBytes } = this.#stage;
    return { kills: this.#kills, freezes: this.#freezes, droppedReplyBytes };
  }

  /** So far, in words. */
  get summary(): string {
    const { droppedReplyBytes } = this.#stage;
    const processes = `kills ${this.#kills}/${KILLS}, freezes ${this.#freezes}/1`;
    const clerks = `clerks replaced ${this.takeovers.length}/1`;
    return `${processes}, ${clerks}, replies lost ${droppedReplyBytes} B`;
  }

  /** Runs the plan; a fault whose time has passed already comes at once. */
  async run(plan: readonly PlannedFault[]): Promise<void> {
    const startMs = performance.now();
    for (const { atMs, fault } of plan) {
      await this.#sleep(Math.max(0, startMs + atMs - performance.now()));
      await this.#cause(fault);
    }
  }

  async #cause(fault: Fault): Promise<void> {
    switch (fault.type) {
      case 'killLeader':
        return await this.#killLeader(this.#nameOf(fault.clerk));
      case 'freezeLeader':
        return await this.#freezeLeader();
      case 'dropReplies':
        return await this.#dropReplies(this.#nameOf(fault.clerk), fault.lastsMs);
      case 'replaceClerk':
        return await this.#replaceClerk(fault.clerk);
      default:
        return fault satisfies never;
    }
  }

  async #killLeader(clerk: string): Promise<void> {
    const { cluster, meter, watch } = this.#stage;
    const links = this.#stage.linksOf(clerk);
    const leader = await this.#leader();
    links.cut('dropReplies');
    await this.#sleep(DROP_BEFORE_KILL_MS);
    const { pid } = cluster.member(leader);
    this.#say(`kill -9 ${pid} (${leader}, the leader) while replies to ${clerk} are lost`);
    meter.restart();
    const before = meter.acknowledged;
    watch.set(leader, 'killed');
    await cluster.kill(leader);
    this.#kills++;
    links.heal();
    await this.#sleep(DOWN_MS);
    watch.set(leader, 'starting');
    await cluster.restart(leader);
    await cluster.member(leader).ready();
    watch.set(leader, 'serving');
    while (meter.acknowledged === before) await this.#sleep(POLL_MS);
    const pauseMs = Math.round(meter.longestPauseMs(performance.now()));
    this.pausesMs.push(pauseMs);
    this.#say(`${leader} is back; writes stood still for ${pauseMs} ms`);
  }

  async #freezeLeader(): Promise<void> {
    const { cluster, watch } = this.#stage;
    const leader = await this.#leader();
    this.#say(`freeze ${leader}, the leader (SIGSTOP)`);
    watch.set(leader, 'frozen');
    cluster.member(leader).pause();
    this.#freezes++;
    await this.#sleep(FROZEN_MS);
    cluster.member(leader).resume();
    watch.set(leader, 'serving');
    this.#say(`${leader} goes on (SIGCONT)`);
  }

  async #dropReplies(clerk: string, lastsMs: number): Promise<void> {
    const links = this.#stage.linksOf(clerk);
    this.#say(`lose all replies to ${clerk} for ${lastsMs} ms`);
    links.cut('dropReplies');
    await this.#sleep(lastsMs);
    links.heal();
  }

  async #replaceClerk(at: number): Promise<void> {
    const load = this.#stage.loads[at];
    if (load === undefined) throw new Error(`there is no clerk ${at}`);
    const { name } = load;
    this.#say(`${name} disappears: replies lost, commands on their way`);
    const takeover = await replaceClerk(load, {
      links: this.#stage.linksOf(name),
      witness: this.#stage.witness,
      openSuccessor: () => this.#stage.openClerk(name),
      signal: this.#signal,
    });
    this.takeovers.push(takeover);
    const { inDoubt, executed, repeated } = takeover;
    const ran = `of ${inDoubt} in doubt ${executed} had run, ${repeated} were repeated`;
    this.#say(`a new clerk took over session ${name}: ${ran}`);
  }

  /** The member that leads; waits for it. */
  async #leader(): Promise<string> {
    const endMs = performance.now() + LEADER_MS_MAX;
    for (;;) {
      const leader = await this.#stage.cluster.leader();
      if (leader !== null) return leader;
      if (performance.now() > endMs) throw new Error(`no leader within ${LEADER_MS_MAX} ms`);
      await this.#sleep(POLL_MS);
    }
  }

  #nameOf(clerk: number): string {
    return this.#stage.loads[clerk]?.name ?? '';
  }

  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal });
  }
}

import { silentLog } from '../../src/io/index.ts';
import { Prng } from '../../src/lib/index.ts';
import type { ConfState, MemberId } from '../../src/raft/index.ts';
import {
  type CommandBatch,
  type ProposeOutcome,
  Replica,
  type ReplicaStatus,
} from '../../src/replica/index.ts';
import { MemoryWal } from '../../src/replica/testing/memory-wal.ts';
import { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { LabNetwork } from './network.ts';
import { RaftOracle } from './raft-oracle.ts';

/** The lab's election budget. */
export const T = 1_000;

/** The production defaults. */
const TIMING = { tickMs: 20, heartbeatMs: 100, electionTimeoutMs: 500, requestTimeoutMs: 5_000 };

/** What is done with a command when it is applied; its result is the command's answer. */
export type Application = (command: string) => string;

/** A submitted command: `outcome` is null while its caller waits. */
export interface Submission {
  readonly command: string;
  outcome: ProposeOutcome | null;
  endedMs: number | null;
}

/** A server, up or down: the disk stays. */
interface Server {
  readonly id: MemberId;
  wal: MemoryWal;
  /** null: crashed. */
  replica: Replica | null;
  /** Commands that the present process has applied, in order. */
  applied: string[];
}

/** A group of production replicas in the lab's hands: numbered from 0, on virtual time. */
export class RaftLab {
  readonly clock = new VirtualClock();
  readonly prng: Prng;
  readonly network: LabNetwork;
  readonly oracle = new RaftOracle();
  readonly #servers: Server[];
  readonly #confState: ConfState;
  readonly #application: () => Application;
  #commands = 0;
  #nextAsked = 0;

  constructor(size: number, seed: number, application: () => Application = () => () => '') {
    this.prng = new Prng(seed);
    this.#application = application;
    this.network = new LabNetwork({
      clock: this.clock,
      prng: this.prng,
      deliver: (message) => this.#at(message.to).replica?.step(message),
    });
    this.network.onSend = (message) => this.oracle.sent(message, this.#at(message.from).wal);
    const voters = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    this.#confState = {
      voters,
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    this.#servers = voters.map((id) => ({
      id,
      wal: this.#disk(null),
      replica: null,
      applied: [],
    }));
    for (const i of this.all) this.restart(i);
  }

  /** Numbers of all servers. */
  get all(): number[] {
    return this.#servers.map((_, i) => i);
  }

  /** Numbers of the servers that are up and on the network. */
  get reachable(): number[] {
    return this.all.filter((i) => this.isUp(i) && this.network.isConnected(this.id(i)));
  }

  get nowMs(): number {
    return this.clock.nowMs();
  }

  id(i: number): MemberId {
    return this.#server(i).id;
  }

  isUp(i: number): boolean {
    return this.#server(i).replica !== null;
  }

  /** @throws when the server is down. */
  status(i: number): ReplicaStatus {
    const { replica } = this.#server(i);
    if (replica === null) throw new Error(`server ${i} is down`);
    return replica.status();
  }

  /** Commands that the server has applied since it started, in order. */
  appliedBy(i: number): readonly string[] {
    return this.#server(i).applied;
  }

  /** Lets time pass. */
  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.clock.step(endMs)) this.oracle.check();
    this.oracle.check();
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────

  disconnect(...servers: readonly number[]): void {
    for (const i of servers) this.network.disconnect(this.id(i));
  }

  connect(...servers: readonly number[]): void {
    for (const i of servers) this.network.connect(this.id(i));
  }

  /** Power loss: of what was not synced, a random beginning survives. The link stays. */
  crash(...servers: readonly number[]): void {
    for (const i of servers) {
      const server = this.#server(i);
      if (server.replica === null) continue;
      const { replica } = server;
      server.replica = null;
      server.wal.cutPower(this.prng.below(server.wal.unsynced + 1));
      void replica.close();
    }
  }

  /** Starts servers on what their disks hold; those that are up crash first. */
  restart(...servers: readonly number[]): void {
    this.crash(...servers);
    for (const i of servers) this.#start(this.#server(i));
  }

  setUnreliable(unreliable: boolean, longReordering = false): void {
    this.network.quality = { unreliable, longReordering };
  }

  // ── the lab's checks ─────────────────────────────────────────────────────────────────────────

  /** The reachable leader of the highest term, within ten looks of about half a second. */
  leader(): number {
    for (let look = 0; look < 10; look++) {
      this.run(450 + this.prng.below(100));
      const leaders = this.reachable.filter((i) => this.status(i).role === 'leader');
      const [leader] = leaders.sort((a, b) => this.status(b).term - this.status(a).term);
      if (leader !== undefined) return leader;
    }
    throw new Error('no leader within 5 s');
  }

  /** Nobody claims to lead, on the network or off it. */
  expectNoLeader(): void {
    const leaders = this.all.filter((i) => this.isUp(i) && this.status(i).role === 'leader');
    if (leaders.length > 0) throw new Error(`${leaders} lead without a majority`);
  }

  /** How many servers have applied the command. */
  countApplied(command: string): number {
    return this.#servers.filter(({ applied }) => applied.includes(command)).length;
  }

  /** A command that was never used before. */
  command(bytes = 0): string {
    return `c${++this.#commands}`.padEnd(bytes, '.');
  }

  /** Hands a command to a server; null when it does not lead and so refuses. */
  submit(i: number, command: string): Submission | null {
    const { replica } = this.#server(i);
    if (replica === null || replica.status().role !== 'leader') return null;
    const submission: Submission = { command, outcome: null, endedMs: null };
    replica.propose(new TextEncoder().encode(command), (outcome) => {
      if (submission.outcome !== null) {
        this.oracle.breach(new Error(`${command} was answered twice`));
      }
      submission.outcome = outcome;
      submission.endedMs = this.nowMs;
    });
    return submission;
  }

  /**
   * Agreement on a command by at least `servers` servers within 10 s: asks whoever accepts it,
   * gives each try 2 s. Without `retry`, one try. Returns the command's position.
   */
  agree(options: { servers: number; retry?: boolean; command?: string }): number {
    const { servers, retry = true, command = this.command() } = options;
    const endMs = this.nowMs + 10_000;
    while (this.nowMs < endMs) {
      if (this.#submitToAny(command) === null) {
        this.run(50);
        continue;
      }
      const tryEndMs = this.nowMs + 2_000;
      while (this.nowMs < tryEndMs) {
        if (this.countApplied(command) >= servers) return this.oracle.positionOf(command) as number;
        this.run(20);
      }
      if (!retry) break;
    }
    throw new Error(`no agreement on ${command} by ${servers} servers`);
  }

  /** Waits until that many servers have applied the command, or throws. */
  await(command: string, servers: number, limitMs = 10_000): void {
    const endMs = this.nowMs + limitMs;
    while (this.countApplied(command) < servers) {
      if (this.nowMs >= endMs) throw new Error(`${command} not on ${servers} servers in time`);
      this.run(10);
    }
  }

  /** In the end every server is up and holds every command that any has ever applied. */
  expectEqualLogs(): void {
    const endMs = this.nowMs + 10_000;
    const short = (): number[] =>
      this.all.filter((i) => this.appliedBy(i).length < this.oracle.length);
    while (short().length > 0 && this.nowMs < endMs) this.run(20);
    if (short().length > 0) throw new Error(`${short()} lack committed commands`);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────

  #submitToAny(command: string): Submission | null {
    const { reachable } = this;
    for (let n = 0; n < reachable.length; n++) {
      const i = reachable[(this.#nextAsked + n) % reachable.length] as number;
      const submission = this.submit(i, command);
      if (submission !== null) return submission;
    }
    this.#nextAsked++;
    return null;
  }

  #start(server: Server): void {
    const { id } = server;
    server.wal = this.#disk(server.wal);
    const application = this.#application();
    const applied: string[] = [];
    server.applied = applied;
    const process = { replica: null as Replica | null };
    process.replica = new Replica({
      id,
      wal: server.wal,
      stateMachine: {
        apply: ({ index, term, commands }: CommandBatch) =>
          commands.map((bytes) => {
            const command = new TextDecoder().decode(bytes);
            applied.push(command);
            this.oracle.applied(id, applied.length, { index, term, command });
            return new TextEncoder().encode(application(command));
          }),
      },
      send: (messages) => {
        if (process.replica !== null && server.replica !== process.replica) return;
        this.network.send(messages);
      },
      clock: this.clock,
      random: { uint32: () => this.prng.uint32() },
      log: silentLog,
      timing: TIMING,
      onChange: (status) => this.oracle.changed(id, status),
      onFailure: (error) => this.oracle.breach(error),
    });
    server.replica = process.replica;
  }

  #disk(before: MemoryWal | null): MemoryWal {
    const wal = new MemoryWal(this.clock, this.#confState, before);
    wal.syncMs = 0.2 + this.prng.below(20) / 10;
    return wal;
  }

  #at(id: MemberId): Server {
    return this.#server(Number(id) - 1);
  }

  #server(i: number): Server {
    const server = this.#servers[i];
    if (server === undefined) throw new Error(`there is no server ${i}`);
    return server;
  }
}

/** The members of `of` that are not in `without`. */
export function others(of: readonly number[], ...without: readonly number[]): number[] {
  return of.filter((i) => !without.includes(i));
}

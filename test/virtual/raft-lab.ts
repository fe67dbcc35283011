import { silentLog } from '../../src/io/index.ts';
import { Prng } from '../../src/lib/index.ts';
import type { ConfState, MemberId } from '../../src/raft/index.ts';
import {
  type CompactionLimits,
  type ProposeOutcome,
  Replica,
  type ReplicaStatus,
  type SimpleMachine,
  type SnapshotLimits,
  type StateMachine,
  savedMachine,
} from '../../src/replica/index.ts';
import { MemoryWal } from '../../src/replica/testing/memory-wal.ts';
import { MemoryStorage } from '../../src/replica/testing/recorder.ts';
import { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { LabNetwork } from './network.ts';
import { LabProcess } from './process.ts';
import { RaftOracle } from './raft-oracle.ts';

/** The lab's election budget. */
export const T = 1_000;

/** The production defaults. */
const TIMING = { tickMs: 10, heartbeatMs: 100, electionTimeoutMs: 500, requestTimeoutMs: 5_000 };

/** What leaders that committed nothing may leave in a log, one after the other. */
const EMPTY_ENTRIES_BYTES = 64;

/** More events at one instant than any server has reason for. */
const INSTANT_EVENTS_MAX = 20_000;

/** What is done with a command when it is applied; its result is the command's answer. */
export type Application = (command: string) => string;

/** A submitted command: `outcome` is null while its caller waits. */
export interface Submission {
  readonly command: string;
  outcome: ProposeOutcome | null;
  endedMs: number | null;
}

/** What a lab may differ in. */
export interface RaftLabOptions {
  /** Default: commands do nothing. Called anew for each process. */
  readonly application?: () => Application;
  /** How much of the log lives. Default: the production bounds, which no test reaches. */
  readonly compaction?: Partial<CompactionLimits>;
  readonly snapshotLimits?: Partial<SnapshotLimits>;
  /** Bytes of one piece of a snapshot. Default: one piece is enough. */
  readonly chunkBytesMax?: number;
}

/** One run of a server's program. */
interface Run {
  readonly process: LabProcess;
  readonly replica: Replica;
}

/** A server, up or down: the disk stays. */
interface Server {
  readonly id: MemberId;
  wal: MemoryWal;
  storage: MemoryStorage;
  /** null: crashed. */
  run: Run | null;
  machine: CommandList;
}

interface CommandListOptions {
  readonly application: () => Application;
  readonly onApplied: (position: number, index: number, command: string) => void;
  readonly onRestored: (commands: readonly string[]) => void;
}

/** The replicated state: all commands in order, and what the application makes of them. */
class CommandList implements SimpleMachine {
  readonly #options: CommandListOptions;
  #application: Application;
  commands: string[] = [];

  constructor(options: CommandListOptions) {
    this.#options = options;
    this.#application = options.application();
  }

  apply(bytes: Uint8Array, { index }: { readonly index: number }): Uint8Array {
    const command = new TextDecoder().decode(bytes);
    this.commands.push(command);
    this.#options.onApplied(this.commands.length, index, command);
    return new TextEncoder().encode(this.#application(command));
  }

  save(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify(this.commands));
  }

  restore(state: Uint8Array): void {
    this.commands = JSON.parse(new TextDecoder().decode(state)) as string[];
    this.#application = this.#options.application();
    for (const command of this.commands) this.#application(command);
    this.#options.onRestored(this.commands);
  }
}

/** A group of production replicas in the lab's hands: numbered from 0, on virtual time. */
export class RaftLab {
  readonly clock = new VirtualClock();
  readonly prng: Prng;
  readonly network: LabNetwork;
  readonly oracle = new RaftOracle();
  readonly #options: RaftLabOptions;
  readonly #servers: Server[];
  readonly #confState: ConfState;
  #commands = 0;
  #instant = { atMs: 0, events: 0 };
  #nextAsked = 0;
  /** States of others that servers took over. */
  installed = 0;

  constructor(size: number, seed: number, options: RaftLabOptions = {}) {
    this.prng = new Prng(seed);
    this.#options = options;
    this.network = new LabNetwork({
      clock: this.clock,
      prng: this.prng,
      deliver: (message) => this.#at(message.to).run?.replica.step(message),
      deliverBulk: (message) => {
        const { type } = message;
        if (type !== 'snapshotChunk' && type !== 'snapshotChunkReply') {
          throw new Error(`a replica does not send ${type}`);
        }
        this.#at(message.to).run?.replica.stepBulk(message);
      },
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
    this.#servers = voters.map((id) => this.#start(id, null));
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
    return this.#server(i).run !== null;
  }

  /** @throws when the server is down. */
  status(i: number): ReplicaStatus {
    const { run } = this.#server(i);
    if (run === null) throw new Error(`server ${i} is down`);
    return run.replica.status();
  }

  /** Commands in the server's state, in order. */
  appliedBy(i: number): readonly string[] {
    return this.#server(i).machine.commands;
  }

  /** The server writes its state now, its own or another's. */
  isWritingState(i: number): boolean {
    return this.#server(i).storage.writing;
  }

  /** Lets time pass. */
  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.clock.step(endMs)) this.#check();
    this.#check();
  }

  /** Lets time pass until it holds; false when it did not within `limitMs`. */
  runUntil(holds: () => boolean, limitMs: number): boolean {
    const endMs = this.nowMs + limitMs;
    while (!holds() && this.clock.step(endMs)) this.#check();
    return holds();
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────

  disconnect(...servers: readonly number[]): void {
    for (const i of servers) this.network.disconnect(this.id(i));
  }

  connect(...servers: readonly number[]): void {
    for (const i of servers) this.network.connect(this.id(i));
  }

  /**
   * Power loss: of what was not synced, a random beginning survives. The link stays. Whoever waits
   * for an answer in the process gets it, so that a test can tell that nobody was forgotten.
   */
  crash(...servers: readonly number[]): void {
    for (const i of servers) {
      const server = this.#server(i);
      const { run, wal, storage } = server;
      if (run === null) continue;
      server.run = null;
      run.process.kill();
      wal.cutPower(this.prng.below(wal.unsynced + 1));
      storage.cutPower(this.prng.chance(0.5));
      void run.replica.close();
    }
  }

  /** Starts servers on what their disks hold; those that are up crash first. */
  restart(...servers: readonly number[]): void {
    this.crash(...servers);
    for (const i of servers) this.#servers[i] = this.#start(this.id(i), this.#server(i));
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
    return this.#servers.filter(({ machine }) => machine.commands.includes(command)).length;
  }

  /** A command that was never used before. */
  command(bytes = 0): string {
    return `c${++this.#commands}`.padEnd(bytes, '.');
  }

  /** Hands a command to a server; null when it does not lead and so refuses. */
  submit(i: number, command: string): Submission | null {
    const replica = this.#server(i).run?.replica;
    if (replica?.status().role !== 'leader') return null;
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
      const submission = this.#submitToAny(command);
      if (submission === null) {
        this.run(50);
        continue;
      }
      const tryEndMs = this.nowMs + 2_000;
      while (this.nowMs < tryEndMs && submission.outcome?.type !== 'overloaded') {
        if (this.countApplied(command) >= servers) return this.oracle.positionOf(command) as number;
        this.run(20);
      }
      if (!retry) break;
      this.run(20);
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

  /** A process on what the disk holds. */
  #start(id: MemberId, before: Server | null): Server {
    const { clock, prng, network, oracle } = this;
    const process = new LabProcess({ clock, prng, settleSoon: () => {} });
    const storage = new MemoryStorage(process.clock, before?.storage ?? null);
    const { machine, state } = this.#machine(id, { storage, clock: process.clock });
    const wal = new MemoryWal(process.clock, this.#confState, before?.wal ?? null, state.durable);
    wal.syncMs = 0.2 + prng.below(20) / 10;
    storage.writeMs = 1 + prng.below(40) / 10;
    const { compaction = {}, snapshotLimits = {} } = this.#options;
    const replica = new Replica({
      id,
      wal,
      stateMachine: state,
      send: (messages) => {
        if (process.alive) network.send(messages);
      },
      sendBulk: (message) => process.alive && network.sendBulk(message),
      clock: process.clock,
      random: process.random,
      log: silentLog,
      timing: TIMING,
      compaction,
      snapshotLimits,
      onChange: (status) => oracle.changed(id, status),
      onFailure: (error) => oracle.breach(error),
    });
    return { id, wal, storage, machine, run: { process, replica } };
  }

  #machine(
    id: MemberId,
    disk: { storage: MemoryStorage; clock: LabProcess['clock'] },
  ): { machine: CommandList; state: StateMachine } {
    const { oracle } = this;
    const { application = () => () => '', chunkBytesMax } = this.#options;
    let term = 0;
    let isStarting = true;
    const machine = new CommandList({
      application,
      onApplied: (position, index, command) =>
        oracle.applied(id, position, { index, term, command }),
      onRestored: (commands) => {
        oracle.restored(id, commands);
        if (!isStarting) this.installed++;
      },
    });
    const chunks = chunkBytesMax === undefined ? {} : { chunkBytesMax };
    const state = savedMachine(machine, { ...disk, ...chunks });
    isStarting = false;
    const apply = state.apply.bind(state);
    state.apply = (batch) => {
      term = batch.term;
      return apply(batch);
    };
    return { machine, state };
  }

  /**
   * No breach so far, and no log beyond twice its bound, in memory or on disk, but for the empty
   * entries that new leaders must write.
   */
  #check(): void {
    this.oracle.check();
    this.#instant =
      this.#instant.atMs === this.nowMs ? this.#instant : { atMs: this.nowMs, events: 0 };
    if (++this.#instant.events > INSTANT_EVENTS_MAX) throw new Error('time stands still');
    const { bytesMax } = this.#options.compaction ?? {};
    if (bytesMax === undefined) return;
    const most = 2 * bytesMax + EMPTY_ENTRIES_BYTES;
    for (const { id, run, wal } of this.#servers) {
      const bytes = run?.replica.status().logBytes ?? 0;
      if (bytes <= most && wal.sizeBytes <= most) continue;
      throw new Error(`log of ${id}: ${bytes} bytes in memory, ${wal.sizeBytes} on disk`);
    }
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

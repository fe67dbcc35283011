import { type Clock, silentLog } from '../../io/index.ts';
import { assert, Prng } from '../../lib/index.ts';
import type { ConfState, MemberId, Message } from '../../raft/index.ts';
import type { SnapshotMessage } from '../../transport/index.ts';
import type {
  CompactionLimits,
  ProposeOutcome,
  ReadOutcome,
  SnapshotLimits,
  StateMachine,
} from '../index.ts';
import { Replica, savedMachine } from '../index.ts';
import { MemoryWal } from './memory-wal.ts';
import { MemoryStorage, Recorder } from './recorder.ts';
import { VirtualClock } from './virtual-clock.ts';

const LATENCY_MS = 1;
/** The lab's unreliable network: one message in ten is lost, the others take up to 27 ms. */
const LOSS = 0.1;
const LATENCY_MAX_MS = 27;

/** One run of a member's process. */
export interface Life {
  /** False once the process is gone; nothing of it runs any more. */
  alive: boolean;
  /** Why its replica has stopped by itself. */
  failure: Error | null;
}

/** One member of a test group. */
export interface TestMember {
  readonly id: MemberId;
  replica: Replica;
  wal: MemoryWal;
  machine: Recorder;
  state: StateMachine;
  storage: MemoryStorage;
  life: Life;
  /** The largest the live log was, in bytes, over all its lives. */
  logBytesMax: number;
  /** Largest durable index of the state, over all its lives. */
  flushedIndex: number;
  /** Applied in this life. */
  applied: number;
}

/** What became of a call, as it happens: `null` while it waits. */
export interface Pending<T> {
  outcome: T | null;
  endedMs: number | null;
}

/** What replicas send each other. */
export type GroupMessage = Message | SnapshotMessage;

export interface GroupOptions {
  readonly size: number;
  readonly seed: number;
  readonly compaction?: Partial<CompactionLimits>;
  readonly snapshotLimits?: Partial<SnapshotLimits>;
  /** Bytes of one chunk of a snapshot. Default 100. */
  readonly chunkBytesMax?: number;
  /** Messages are lost, copied and reordered. */
  readonly lossy?: boolean;
}

/** Replicas on virtual time, with links that can be cut and machines that can lose power. */
export class Group {
  readonly clock = new VirtualClock();
  readonly members: TestMember[];
  readonly #options: GroupOptions;
  readonly #cut = new Set<string>();
  readonly #confState: ConfState;
  readonly #prng: Prng;
  /** What was applied first at each index, anywhere: everybody must apply the same. */
  readonly #history = new Map<string, string>();
  /** Looks at every message about to leave; false: it is lost. */
  filter: (message: GroupMessage) => boolean = () => true;
  /** Bulk messages delivered. */
  readonly bulk: SnapshotMessage[] = [];
  lossy: boolean;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    this.lossy = options.lossy ?? false;
    const voters = Array.from({ length: options.size }, (_, i) => BigInt(i + 1));
    this.#confState = {
      voters,
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    this.members = voters.map((id) => {
      const born = { logBytesMax: 0, flushedIndex: 0, applied: 0 };
      return { ...this.#run(id, null), ...born };
    });
  }

  get prng(): Prng {
    return this.#prng;
  }

  /** The member that leads and knows a quorum; runs until there is one. */
  leader(): TestMember {
    const leads = (): TestMember | undefined =>
      this.members.find(
        (m) => m.life.alive && m.replica.status().role === 'leader' && this.#reachesQuorum(m),
      );
    if (!this.clock.advanceUntil(() => leads() !== undefined, 10_000)) throw new Error('no leader');
    return leads() as TestMember;
  }

  followers(): TestMember[] {
    const leader = this.leader();
    return this.members.filter((member) => member !== leader);
  }

  propose(member: TestMember, text: string): Pending<ProposeOutcome> {
    const pending: Pending<ProposeOutcome> = { outcome: null, endedMs: null };
    member.replica.propose(new TextEncoder().encode(text), (outcome) =>
      this.#end(pending, outcome),
    );
    return pending;
  }

  read(member: TestMember): Pending<ReadOutcome> {
    const pending: Pending<ReadOutcome> = { outcome: null, endedMs: null };
    member.replica.readBarrier((outcome) => this.#end(pending, outcome));
    return pending;
  }

  /** Asks whoever leads until the command is applied on `count` members that are up. */
  commit(text: string, count: number): void {
    const deadlineMs = this.clock.nowMs() + 60_000;
    for (;;) {
      const call = this.propose(this.leader(), text);
      this.clock.advanceUntil(() => call.outcome !== null, 5_000);
      if (call.outcome?.type === 'applied') break;
      this.clock.advance(20);
      if (this.clock.nowMs() > deadlineMs) throw new Error(`'${text}' was not committed`);
    }
    const have = (): boolean =>
      this.members.filter((m) => m.life.alive && m.machine.has(text)).length >= count;
    if (!this.clock.advanceUntil(have, 60_000)) throw new Error(`'${text}' is not everywhere`);
  }

  /** Cuts a member's links in both directions. */
  isolate(member: TestMember): void {
    for (const other of this.members) {
      this.#cut.add(`${member.id}>${other.id}`);
      this.#cut.add(`${other.id}>${member.id}`);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  /** Ends a process; `power`: unsynced writes may be lost with it, or not. */
  crash(member: TestMember, power = true): void {
    member.life.alive = false;
    const kept = power ? this.#prng.below(member.wal.unsynced + 1) : member.wal.unsynced;
    member.wal.cutPower(kept);
    member.storage.cutPower(power ? this.#prng.chance(0.5) : true);
  }

  /** Starts a member that is down on what its disk holds. */
  start(member: TestMember): void {
    Object.assign(member, this.#run(member.id, member), { applied: 0 });
  }

  /** Stops a member as kill -9 would, and starts it on what its disk holds. */
  restart(member: TestMember): void {
    this.crash(member);
    this.start(member);
  }

  /** Stops a member in order; time goes on meanwhile. */
  async stop(member: TestMember): Promise<void> {
    let ended = false;
    const closed = member.replica.close().finally(() => {
      ended = true;
    });
    for (let i = 0; i < 1_000 && !ended; i++) {
      this.clock.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    member.life.alive = false;
  }

  /** Ends everything at once. */
  close(): void {
    for (const member of this.members) member.life.alive = false;
  }

  /** Looks at every member: nothing ever goes back. */
  check(): void {
    for (const member of this.members) {
      if (!member.life.alive) continue;
      const { applied, logBytes } = member.replica.status();
      assert(applied >= member.applied, 'applied went back', { id: member.id, applied });
      const { index } = member.state.durable;
      assert(index >= member.flushedIndex, 'durable went back', { id: member.id, index });
      member.applied = applied;
      member.flushedIndex = index;
      member.logBytesMax = Math.max(member.logBytesMax, logBytes);
    }
  }

  #run(id: MemberId, before: TestMember | null) {
    const life: Life = { alive: true, failure: null };
    const clock = processClock(this.clock, life);
    const machine = new Recorder();
    const storage = new MemoryStorage(clock, before?.storage ?? null);
    const { compaction = {}, snapshotLimits = {}, chunkBytesMax = 100 } = this.#options;
    const state = savedMachine(machine, { storage, clock, chunkBytesMax });
    this.#watch(machine);
    const wal = new MemoryWal(clock, this.#confState, before?.wal ?? null, state.durable);
    const replica = new Replica({
      id,
      wal,
      stateMachine: state,
      send: (messages) => {
        if (life.alive) for (const message of messages) this.#send(message);
      },
      sendBulk: (message) => {
        if (life.alive) this.#send(message);
        return !this.#cut.has(`${message.from}>${message.to}`);
      },
      clock,
      random: { uint32: () => this.#prng.uint32() },
      log: silentLog,
      timing: { tickMs: 10, heartbeatMs: 50, electionTimeoutMs: 200, requestTimeoutMs: 2_000 },
      compaction,
      snapshotLimits,
      onFailure: (error) => {
        life.failure = error;
      },
    });
    return { id, replica, wal, machine, state, storage, life };
  }

  /** State Machine Safety (Raft §5.4.3): an index brings the same commands everywhere. */
  #watch(machine: Recorder): void {
    const apply = machine.apply.bind(machine);
    const seen = new Map<number, number>();
    machine.apply = (command, at) => {
      const offset = seen.get(at.index) ?? 0;
      seen.set(at.index, offset + 1);
      const key = `${at.index}.${offset}`;
      const text = new TextDecoder().decode(command);
      const first = this.#history.get(key) ?? text;
      assert(first === text, 'two commands at one index', { key, first, text });
      this.#history.set(key, text);
      return apply(command, at);
    };
  }

  #send(message: GroupMessage): void {
    if (!this.filter(message)) return;
    if (!this.lossy) return this.#deliver(message, LATENCY_MS);
    if (this.#prng.chance(LOSS)) return;
    const copies = this.#prng.chance(0.05) ? 2 : 1;
    for (let i = 0; i < copies; i++) this.#deliver(message, this.#prng.below(LATENCY_MAX_MS + 1));
  }

  #deliver(message: GroupMessage, delayMs: number): void {
    this.clock.setTimer(delayMs, () => {
      this.check();
      if (this.#cut.has(`${message.from}>${message.to}`)) return;
      const member = this.members.find(({ id }) => id === message.to);
      if (member === undefined || !member.life.alive) return;
      if (!isBulk(message)) return member.replica.step(message);
      this.bulk.push(message);
      member.replica.stepBulk(message);
    });
  }

  #reachesQuorum(member: TestMember): boolean {
    const reached = this.members.filter(
      (other) =>
        other === member || (other.life.alive && !this.#cut.has(`${member.id}>${other.id}`)),
    );
    return reached.length * 2 > this.members.length;
  }

  #end<T>(pending: Pending<T>, outcome: T): void {
    if (pending.outcome !== null) throw new Error('answered twice');
    pending.outcome = outcome;
    pending.endedMs = this.clock.nowMs();
  }
}

function isBulk(message: GroupMessage): message is SnapshotMessage {
  return message.type === 'snapshotChunk' || message.type === 'snapshotChunkReply';
}

/** The clock of one process: nothing runs after its end. */
function processClock(clock: VirtualClock, life: { readonly alive: boolean }): Clock {
  const inLife = (run: () => void) => (): void => {
    if (life.alive) run();
  };
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, inLife(run)),
    defer: (run) => clock.defer(inLife(run)),
  };
}

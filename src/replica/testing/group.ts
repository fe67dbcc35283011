import { silentLog } from '../../io/index.ts';
import { Prng } from '../../lib/index.ts';
import type { ConfState, MemberId, Message } from '../../raft/index.ts';
import type { CommandBatch, ProposeOutcome, ReadOutcome, StateMachine } from '../index.ts';
import { Replica } from '../index.ts';
import { MemoryWal } from './memory-wal.ts';
import { VirtualClock } from './virtual-clock.ts';

const LATENCY_MS = 1;

/** Remembers every command in order; answers with its position. */
export class Recorder implements StateMachine {
  readonly applied: string[] = [];
  readonly timesMs: number[] = [];
  /** Log entries that carried commands. */
  entries = 0;

  apply(batch: CommandBatch): Uint8Array[] {
    this.entries++;
    return batch.commands.map((command) => {
      this.applied.push(new TextDecoder().decode(command));
      this.timesMs.push(batch.timeMs);
      return new TextEncoder().encode(String(this.applied.length));
    });
  }
}

/** One member of a test group. */
export interface TestMember {
  readonly id: MemberId;
  replica: Replica;
  wal: MemoryWal;
  machine: Recorder;
  failure: Error | null;
}

/** What became of a call, as it happens: `null` while it waits. */
export interface Pending<T> {
  outcome: T | null;
  endedMs: number | null;
}

/** Replicas on virtual time, with links that can be cut. */
export class Group {
  readonly clock = new VirtualClock();
  readonly members: TestMember[];
  readonly #cut = new Set<string>();
  readonly #confState: ConfState;
  readonly #prng: Prng;

  constructor(size: number, seed: number) {
    this.#prng = new Prng(seed);
    const voters = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    this.#confState = {
      voters,
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    this.members = voters.map((id) => this.#start(id, null));
  }

  /** The member that leads and knows a quorum; runs until there is one. */
  leader(): TestMember {
    const leads = (): TestMember | undefined =>
      this.members.find((m) => m.replica.status().role === 'leader' && this.#reachesQuorum(m));
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

  /** Stops a member as kill -9 would, and starts it on what its disk holds. */
  restart(member: TestMember): void {
    void member.replica.close();
    Object.assign(member, this.#start(member.id, member.wal));
  }

  async close(): Promise<void> {
    for (const member of this.members) await member.replica.close();
  }

  #start(id: MemberId, before: MemoryWal | null): TestMember {
    const wal = new MemoryWal(this.clock, this.#confState, before);
    const machine = new Recorder();
    const member: Partial<TestMember> & { id: MemberId } = { id, wal, machine, failure: null };
    member.replica = new Replica({
      id,
      wal,
      stateMachine: machine,
      send: (messages) => this.#send(messages),
      clock: this.clock,
      random: { uint32: () => this.#prng.uint32() },
      log: silentLog,
      timing: { tickMs: 10, heartbeatMs: 50, electionTimeoutMs: 200, requestTimeoutMs: 2_000 },
      onFailure: (error) => {
        member.failure = error;
      },
    });
    return member as TestMember;
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      this.clock.setTimer(LATENCY_MS, () => {
        if (this.#cut.has(`${message.from}>${message.to}`)) return;
        this.members.find((member) => member.id === message.to)?.replica.step(message);
      });
    }
  }

  #reachesQuorum(member: TestMember): boolean {
    const reached = this.members.filter(
      (other) => other === member || !this.#cut.has(`${member.id}>${other.id}`),
    );
    return reached.length * 2 > this.members.length;
  }

  #end<T>(pending: Pending<T>, outcome: T): void {
    if (pending.outcome !== null) throw new Error('answered twice');
    pending.outcome = outcome;
    pending.endedMs = this.clock.nowMs();
  }
}

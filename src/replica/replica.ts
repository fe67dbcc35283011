import type { Clock, Log } from '../io/index.ts';
import { assert, InvariantViolation } from '../lib/index.ts';
import {
  type Entry,
  type MemberId,
  type Message,
  RAFT_LIMITS,
  Raft,
  type RaftLimits,
  type Ready,
  type Role,
} from '../raft/index.ts';
import type { Wal } from '../wal/index.ts';
import { decodeBatch, encodeBatch } from './batch.ts';
import { type DiskPipeline, openDiskPipeline } from './disk-pipeline.ts';
import { REPLICA_LIMITS, type ReplicaLimits } from './limits.ts';
import { LogTime } from './log-time.ts';
import type { Refusal } from './outcome.ts';
import { ParkedCommands, type ProposeDone } from './parked.ts';
import { PendingReads, type ReadDone } from './reads.ts';
import type { StateMachine } from './state-machine.ts';
import { Ticker } from './ticker.ts';

/** What a replica is made of. */
export interface ReplicaOptions {
  readonly id: MemberId;
  /** The opened log; the replica starts from its recovery and closes it. */
  readonly wal: Wal;
  /** Empty at the start: the log is applied to it again. */
  readonly stateMachine: StateMachine;
  /** Hands messages to the other members. */
  readonly send: (messages: readonly Message[]) => void;
  readonly clock: Clock;
  readonly random: { uint32(): number };
  readonly log: Log;
  readonly timing: ReplicaTiming;
  readonly limits?: Partial<ReplicaLimits>;
  readonly raftLimits?: Partial<RaftLimits>;
  /** Role, term or leader changed. */
  readonly onChange?: (status: ReplicaStatus) => void;
  /** A bug, damaged data or a dead disk: the replica has stopped, and the process should. Once. */
  readonly onFailure: (error: Error) => void;
}

/** All in milliseconds. */
export interface ReplicaTiming {
  /** Resolution of all of Raft's timeouts; divides the other two. */
  readonly tickMs: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  /** A command that is undecided for so long is answered with `timeout`. */
  readonly requestTimeoutMs: number;
}

/** A replica as it sees itself. */
export interface ReplicaStatus {
  readonly role: Role;
  readonly term: number;
  readonly leader: MemberId | null;
  readonly commitIndex: number;
  readonly applied: number;
  readonly lastIndex: number;
  /** Commands that wait for their answer. */
  readonly parked: number;
}

/**
 * The driver of one member: the only place where core, disk, network and state machine meet.
 * Everything that arrives during one turn of the event loop is handled together at its end:
 * one log entry, one read round, one Ready.
 */
export class Replica {
  readonly #options: ReplicaOptions;
  readonly #limits: ReplicaLimits;
  readonly #raft: Raft;
  readonly #disk: DiskPipeline;
  readonly #ticker: Ticker;
  readonly #logTime: LogTime;
  readonly #parked = new ParkedCommands();
  readonly #reads = new PendingReads();
  #queue: { command: Uint8Array; done: ProposeDone }[] = [];
  #queuedBytes = 0;
  #applied = 0;
  #leads = false;
  #turnScheduled = false;
  #stopped = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#limits = { ...REPLICA_LIMITS, ...options.limits };
    const { timing, wal, clock } = options;
    const electionTimeoutTicks = Math.max(2, Math.round(timing.electionTimeoutMs / timing.tickMs));
    this.#raft = new Raft({
      id: options.id,
      confState: wal.recovery.confState,
      hardState: wal.recovery.hardState,
      snapshot: null,
      entries: wal.recovery.entries,
      applied: 0,
      random: options.random,
      electionTimeoutTicks,
      heartbeatTicks: Math.max(1, Math.round(timing.heartbeatMs / timing.tickMs)),
      limits: { ...RAFT_LIMITS, ...options.raftLimits },
    });
    this.#logTime = new LogTime(() => clock.nowMs());
    this.#disk = openDiskPipeline(wal, (ready) => this.#durable(ready));
    this.#ticker = new Ticker({
      clock,
      tickMs: timing.tickMs,
      catchUpTicksMax: Math.floor(electionTimeoutTicks / 2),
      run: (ticks) => this.#guard(() => this.#tick(ticks)),
    });
    this.#ticker.start();
    // A lone voter need not wait for anybody's silence.
    const { voters } = this.#raft.confState;
    if (voters.length === 1 && voters[0] === options.id) this.#raft.campaign();
    this.#schedule();
  }

  status(): ReplicaStatus {
    const raft = this.#raft;
    return {
      role: raft.role,
      term: raft.term,
      leader: raft.leader,
      commitIndex: raft.commitIndex,
      applied: this.#applied,
      lastIndex: raft.lastIndex,
      parked: this.#parked.count + this.#queue.length,
    };
  }

  /**
   * Replicates a command; `done` is called exactly once, and never later than the request timeout
   * allows.
   */
  propose(command: Uint8Array, done: ProposeDone): void {
    if (this.#stopped) return done({ type: 'stopped' });
    if (this.#raft.role !== 'leader') return done(this.#notLeader());
    const full =
      this.#parked.count + this.#queue.length >= this.#limits.commandsMax ||
      this.#queuedBytes + command.length > this.#limits.queuedBytesMax;
    if (full) return done({ type: 'overloaded' });
    this.#queue.push({ command, done });
    this.#queuedBytes += command.length;
    this.#schedule();
  }

  /**
   * Waits until the local state contains every write that was acknowledged before this call (thesis
   * §6.4).
   */
  readBarrier(done: ReadDone): void {
    if (this.#stopped) return done({ type: 'stopped' });
    if (this.#reads.count >= this.#limits.readsMax) return done({ type: 'overloaded' });
    this.#reads.add(done);
    this.#schedule();
  }

  /** Takes a message that the transport received. */
  step(message: Message): void {
    if (this.#stopped) return;
    this.#guard(() => this.#raft.step(message));
    this.#schedule();
  }

  /** The transport could not deliver to this member. */
  reportUnreachable(memberId: MemberId): void {
    if (this.#stopped) return;
    this.#guard(() => this.#raft.reportUnreachable(memberId));
    this.#schedule();
  }

  /** Starts handing leadership to another voter; false when that is impossible from here. */
  transferLeadership(to: MemberId): boolean {
    if (this.#stopped) return false;
    const started = this.#raft.transferLeadership(to);
    this.#schedule();
    return started;
  }

  /** Answers everything that waits, then closes the log. Safe to call twice. */
  async close(): Promise<void> {
    this.#stop();
    await this.#options.wal.close();
  }

  // ── one turn ─────────────────────────────────────────────────────────────────────────────────

  #schedule(): void {
    if (this.#turnScheduled || this.#stopped) return;
    this.#turnScheduled = true;
    this.#options.clock.defer(() => {
      this.#turnScheduled = false;
      if (!this.#stopped) this.#guard(() => this.#turn());
    });
  }

  #turn(): void {
    this.#proposeQueued();
    const requestId = this.#reads.startRound();
    if (requestId !== null) this.#raft.readIndex(requestId);
    while (!this.#stopped && this.#raft.hasReady()) this.#handleReady(this.#raft.ready());
  }

  #handleReady(ready: Ready): void {
    assert(ready.snapshot === null, 'a snapshot arrived, and none was ever sent', {});
    if (ready.messages.length > 0) this.#options.send(ready.messages);
    this.#disk.write(ready);
    if (ready.softState !== null) this.#leadershipChanged(ready.softState.role === 'leader');
    for (const state of ready.readStates) this.#reads.confirm(state, this.#notLeader());
    for (const entry of ready.committedEntries) this.#apply(entry);
    this.#reads.serve(this.#applied);
  }

  /** A Ready has reached the disk: what it promised may leave now. */
  #durable(ready: Ready): void {
    if (this.#stopped) return;
    this.#guard(() => {
      if (ready.messagesAfterAppend.length > 0) this.#options.send(ready.messagesAfterAppend);
      this.#raft.appended(ready);
    });
    this.#schedule();
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────

  /**
   * Makes one entry of all commands that arrived in this turn (more only beyond `entryBytesMax`).
   */
  #proposeQueued(): void {
    const queue = this.#queue;
    if (queue.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    let start = 0;
    let bytes = 0;
    for (let end = 0; end < queue.length; end++) {
      const size = queue[end]?.command.length ?? 0;
      if (end > start && bytes + size > this.#limits.entryBytesMax) {
        this.#proposeEntry(queue.slice(start, end));
        start = end;
        bytes = 0;
      }
      bytes += size;
    }
    this.#proposeEntry(start === 0 ? queue : queue.slice(start));
  }

  #proposeEntry(items: readonly { command: Uint8Array; done: ProposeDone }[]): void {
    const commands = items.map((item) => item.command);
    const data = encodeBatch({ timeMs: this.#logTime.stampMs(), commands });
    const result = this.#raft.propose(data);
    if (!result.accepted) {
      const refusal: Refusal =
        result.reason === 'overloaded' ? { type: 'overloaded' } : this.#notLeader();
      for (const item of items) item.done(refusal);
      return;
    }
    this.#parked.park({
      index: result.index,
      term: result.term,
      proposedMs: this.#options.clock.nowMs(),
      waiters: items.map((item) => item.done),
    });
  }

  #apply(entry: Entry): void {
    assert(entry.index === this.#applied + 1, 'an entry was skipped or applied twice', {
      index: entry.index,
      applied: this.#applied,
    });
    const { index, term } = entry;
    let answers: readonly Uint8Array[] = [];
    if (entry.kind === 'command') {
      const batch = decodeBatch(entry.data);
      const timeMs = this.#logTime.applyMs(batch.timeMs);
      answers = this.#options.stateMachine.apply({ index, term, timeMs, commands: batch.commands });
    }
    this.#applied = index;
    this.#raft.applied(index);
    this.#parked.resolve({ index, term, answers });
  }

  // ── leadership and time ──────────────────────────────────────────────────────────────────────

  #leadershipChanged(leads: boolean): void {
    if (this.#leads && !leads) {
      this.#parked.refuseAll({ type: 'leadershipLost', leader: this.#raft.leader });
    }
    this.#leads = leads;
    this.#options.onChange?.(this.status());
  }

  #tick(ticks: number): void {
    for (let i = 0; i < ticks; i++) this.#raft.tick();
    const { clock, timing } = this.#options;
    this.#parked.refuseOlderThan(clock.nowMs() - timing.requestTimeoutMs);
    this.#watchDisk();
    this.#schedule();
  }

  /**
   * A leader whose disk stands still must not go on leading; a disk that stays so ends the process.
   */
  #watchDisk(): void {
    const { wal, timing, log } = this.#options;
    const waitingMs = wal.waitingMs();
    if (waitingMs === null || waitingMs < timing.electionTimeoutMs) return;
    if (waitingMs >= this.#limits.diskStalledMs) {
      throw new Error(`the disk has not finished a write for ${Math.round(waitingMs)} ms`);
    }
    if (this.#raft.role !== 'leader') return;
    log.warn('the disk is stalled: stepping down', { waitingMs: Math.round(waitingMs) });
    this.#raft.stepDown();
  }

  #notLeader(): Refusal {
    const { leader } = this.#raft;
    return { type: 'notLeader', leader: leader === this.#options.id ? null : leader };
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────

  /** Whatever breaks in here ends the replica: it must not go on half alive. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (cause) {
      if (this.#stopped) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      const kind = error instanceof InvariantViolation ? 'a promise was broken' : 'cannot go on';
      this.#options.log.error(`replica stops: ${kind}: ${error.message}`, { stack: error.stack });
      this.#stop();
      this.#options.onFailure(error);
    }
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#ticker.stop();
    const queue = this.#queue;
    this.#queue = [];
    for (const item of queue) item.done({ type: 'stopped' });
    this.#parked.refuseAll({ type: 'leadershipLost', leader: null });
    this.#reads.refuseAll({ type: 'stopped' });
  }
}

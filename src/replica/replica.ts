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
  type SnapshotMeta,
} from '../raft/index.ts';
import type { SnapshotMessage } from '../transport/index.ts';
import type { Wal } from '../wal/index.ts';
import { batchBytes, decodeBatch, encodeBatch } from './batch.ts';
import { type DiskPipeline, openDiskPipeline } from './disk-pipeline.ts';
import {
  COMPACTION_LIMITS,
  type CompactionLimits,
  REPLICA_LIMITS,
  type ReplicaLimits,
  SNAPSHOT_LIMITS,
  type SnapshotLimits,
} from './limits.ts';
import { LogTime } from './log-time.ts';
import { CommitNotices } from './notices.ts';
import type { Refusal } from './outcome.ts';
import { ParkedCommands, type ProposeDone } from './parked.ts';
import { PendingReads, type ReadDone } from './reads.ts';
import { raftStart } from './recovery.ts';
import { StateKeeper } from './state-keeper.ts';
import type { StateMachine } from './state-machine.ts';
import { Ticker } from './ticker.ts';

/** What a replica is made of. */
export interface ReplicaOptions {
  readonly id: MemberId;
  /** The log, opened with the state's durable position; the replica closes it. */
  readonly wal: Wal;
  /** As it was made durable last; the log behind that is applied to it. Its owner closes it. */
  readonly stateMachine: StateMachine;
  /** Hands messages to the other members. */
  readonly send: (messages: readonly Message[]) => void;
  /** Hands over a message of a snapshot's transfer; false when it was not taken. */
  readonly sendBulk: (message: SnapshotMessage) => boolean;
  readonly clock: Clock;
  readonly random: { uint32(): number };
  readonly log: Log;
  readonly timing: ReplicaTiming;
  readonly limits?: Partial<ReplicaLimits>;
  readonly compaction?: Partial<CompactionLimits>;
  readonly snapshotLimits?: Partial<SnapshotLimits>;
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
  /** A command that is undecided, or a read not served, for so long is answered `timeout`. */
  readonly requestTimeoutMs: number;
}

/** A replica as it sees itself. */
export interface ReplicaStatus {
  readonly role: Role;
  readonly term: number;
  readonly leader: MemberId | null;
  readonly commitIndex: number;
  readonly applied: number;
  /** Index of the oldest entry in memory; lastIndex + 1 when there is none. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Size of the entries in memory, in bytes. */
  readonly logBytes: number;
  /** The state survives a crash up to here; 0 ≤ flushedIndex ≤ applied. */
  readonly flushedIndex: number;
  /** Members that are sent a snapshot now. */
  readonly snapshotsSending: number;
  /** A snapshot is on its way into this member. */
  readonly snapshotReceiving: boolean;
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
  readonly #keeper: StateKeeper;
  readonly #ticker: Ticker;
  readonly #logTime: LogTime;
  readonly #notices: CommitNotices;
  readonly #parked = new ParkedCommands();
  readonly #reads = new PendingReads();
  #queue: { command: Uint8Array; done: ProposeDone }[] = [];
  #queuedBytes = 0;
  #applied: number;
  #leads = false;
  #turnScheduled = false;
  #stopped = false;
  #failed = false;
  #closing: Promise<void> | null = null;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#limits = { ...REPLICA_LIMITS, ...options.limits };
    const { timing, wal, clock, stateMachine } = options;
    const electionTimeoutTicks = Math.max(2, Math.round(timing.electionTimeoutMs / timing.tickMs));
    this.#applied = stateMachine.durable.index;
    this.#raft = new Raft({
      id: options.id,
      ...raftStart(stateMachine.durable, wal.recovery),
      random: options.random,
      electionTimeoutTicks,
      heartbeatTicks: Math.max(1, Math.round(timing.heartbeatMs / timing.tickMs)),
      limits: { ...RAFT_LIMITS, ...options.raftLimits },
    });
    this.#logTime = new LogTime(() => clock.nowMs(), stateMachine.logTimeMs);
    this.#notices = new CommitNotices({
      clock,
      delayMs: this.#limits.noticeDelayMs,
      send: options.send,
    });
    this.#keeper = this.#openKeeper();
    this.#disk = openDiskPipeline({
      wal,
      install: (snapshot, done) => this.#keeper.install(snapshot, done),
      onDurable: (ready) => this.#durable(ready),
    });
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

  #openKeeper(): StateKeeper {
    const { id, stateMachine, wal, clock, log, sendBulk } = this.#options;
    return new StateKeeper({
      ...{ id, machine: stateMachine, raft: this.#raft, wal, clock, log, sendBulk },
      limits: { ...COMPACTION_LIMITS, ...this.#options.compaction },
      snapshotLimits: { ...SNAPSHOT_LIMITS, ...this.#options.snapshotLimits },
      flushStalledMs: this.#limits.flushStalledMs,
      step: (message) => {
        this.#raft.step(message);
        this.#handleReadies();
      },
      guard: (run) => this.#guard(run),
      schedule: () => this.#schedule(),
    });
  }

  status(): ReplicaStatus {
    const raft = this.#raft;
    return {
      role: raft.role,
      term: raft.term,
      leader: raft.leader,
      commitIndex: raft.commitIndex,
      applied: this.#applied,
      firstIndex: raft.firstIndex,
      lastIndex: raft.lastIndex,
      logBytes: raft.logBytes,
      flushedIndex: this.#options.stateMachine.durable.index,
      snapshotsSending: this.#keeper.sending,
      snapshotReceiving: this.#keeper.receiving,
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
      this.#queuedBytes + command.length > this.#limits.queuedBytesMax ||
      this.#keeper.isFull(batchBytes(this.#queuedBytes + command.length, this.#queue.length + 1));
    if (full) return done({ type: 'overloaded' });
    this.#queue.push({ command, done });
    this.#queuedBytes += command.length;
    this.#schedule();
  }

  /**
   * Waits until the local state contains every write that was acknowledged before this call (thesis
   * §6.4); `done` is called exactly once, and not later than the request timeout allows.
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
    this.#guard(() => {
      const admitted = this.#keeper.admit(message);
      if (admitted !== null) this.#raft.step(admitted);
    });
    this.#schedule();
  }

  /** Log time as a leader here would stamp it now, whole milliseconds. */
  logTimeMs(): number {
    return this.#logTime.stampMs();
  }

  /** Takes a message of a snapshot's transfer that the transport received. */
  stepBulk(message: SnapshotMessage): void {
    if (this.#stopped) return;
    this.#guard(() => this.#keeper.stepBulk(message));
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

  /**
   * Answers everything that waits, flushes the state, then closes the log. Safe to call twice.
   * Rejects when the flush fails: the log has everything, the next start applies it again.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop();
    try {
      await this.#keeper.finish(this.#failed ? null : this.#applied);
    } finally {
      await this.#options.wal.close();
    }
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
    const requestId = this.#reads.startRound(this.#options.clock.nowMs());
    if (requestId !== null) this.#raft.readIndex(requestId);
    this.#handleReadies();
    if (!this.#stopped) this.#keeper.run();
  }

  #handleReadies(): void {
    while (!this.#stopped && this.#raft.hasReady()) this.#handleReady(this.#raft.ready());
  }

  #handleReady(ready: Ready): void {
    if (ready.softState !== null) this.#leadershipChanged(ready.softState.role === 'leader');
    this.#send(ready.messages);
    if (ready.snapshot !== null) this.#keeper.accept(ready.snapshot);
    this.#disk.write(ready);
    for (const state of ready.readStates) this.#reads.confirm(state, this.#notLeader());
    for (const entry of ready.committedEntries) this.#apply(entry);
    this.#reads.serve(this.#applied);
  }

  /** Raft's order for a snapshot starts the transfer of the state itself, on the bulk lane. */
  #send(messages: readonly Message[]): void {
    const snapshots = messages.filter((message) => message.type === 'installSnapshot');
    if (this.#raft.role === 'leader') for (const order of snapshots) this.#keeper.send(order);
    const others =
      snapshots.length === 0
        ? messages
        : messages.filter((each) => each.type !== 'installSnapshot');
    const leaving = this.#notices.sift(others);
    if (leaving.length > 0) this.#options.send(leaving);
  }

  /** A Ready has reached the disk: what it promised may leave now. */
  #durable(ready: Ready): void {
    if (this.#stopped) return;
    this.#guard(() => {
      this.#send(ready.messagesAfterAppend);
      this.#raft.appended(ready);
      if (ready.snapshot !== null) this.#installed(ready.snapshot);
    });
    this.#schedule();
  }

  /** The state of another member has taken the place of the own one. */
  #installed({ index }: SnapshotMeta): void {
    assert(index > this.#applied, 'the state went back', { index, applied: this.#applied });
    this.#applied = index;
    this.#logTime.applyMs(this.#options.stateMachine.logTimeMs);
    this.#keeper.installed();
    this.#reads.serve(index);
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
    const batch = entry.kind === 'command' ? decodeBatch(entry.data) : null;
    const timeMs = batch === null ? this.#logTime.appliedMs : this.#logTime.applyMs(batch.timeMs);
    const commands = batch?.commands ?? [];
    // The first entry leaves a position behind that needs no other source for its configuration.
    const brings = entry.kind === 'confChange' || index === 1;
    const confState = brings ? this.#raft.confAt(index) : null;
    const answers = this.#options.stateMachine.apply({ index, term, timeMs, commands, confState });
    this.#applied = index;
    this.#raft.applied(index);
    this.#keeper.applied(entry);
    this.#parked.resolve({ index, term, answers });
  }

  // ── leadership and time ──────────────────────────────────────────────────────────────────────

  #leadershipChanged(leads: boolean): void {
    if (this.#leads && !leads) {
      this.#keeper.leadershipLost();
      this.#notices.drop();
      this.#parked.refuseAll({ type: 'leadershipLost', leader: this.#raft.leader });
    }
    this.#leads = leads;
    this.#options.onChange?.(this.status());
  }

  #tick(ticks: number): void {
    for (let i = 0; i < ticks; i++) this.#raft.tick();
    const { clock, timing } = this.#options;
    const deadlineMs = clock.nowMs() - timing.requestTimeoutMs;
    this.#parked.refuseOlderThan(deadlineMs);
    this.#reads.refuseOlderThan(deadlineMs);
    this.#watchDisk();
    this.#keeper.tick();
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
      this.#failed = true;
      this.#stop();
      this.#options.onFailure(error);
    }
  }

  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#ticker.stop();
    this.#keeper.stop();
    this.#notices.drop();
    const queue = this.#queue;
    this.#queue = [];
    for (const item of queue) item.done({ type: 'stopped' });
    this.#parked.refuseAll({ type: 'leadershipLost', leader: null });
    this.#reads.refuseAll({ type: 'stopped' });
  }
}

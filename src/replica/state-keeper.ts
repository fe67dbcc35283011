import type { Clock, Log } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import {
  type ConfState,
  type Entry,
  entryBytes,
  type InstallSnapshot,
  type MemberId,
  type Message,
  type Raft,
  type SnapshotMeta,
} from '../raft/index.ts';
import type { SnapshotMessage } from '../transport/index.ts';
import type { Wal } from '../wal/index.ts';
import { cutIndex, isFull, type LiveLog, wantsFlush } from './compaction.ts';
import type { CompactionLimits, SnapshotLimits } from './limits.ts';
import { type ReceivedSnapshot, SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import type { StateMachine } from './state-machine.ts';
import { SerialTasks } from './tasks.ts';

/** What the keeper is made of. */
export interface StateKeeperOptions {
  readonly id: MemberId;
  readonly machine: StateMachine;
  readonly raft: Raft;
  readonly wal: Wal;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: CompactionLimits;
  readonly snapshotLimits: SnapshotLimits;
  /** A flush that takes longer than this ends the replica. */
  readonly flushStalledMs: number;
  readonly sendBulk: (message: SnapshotMessage) => boolean;
  /** Hands the core a message and carries out what follows. */
  readonly step: (message: Message) => void;
  readonly guard: (run: () => void) => void;
  /** Asks for a turn. */
  readonly schedule: () => void;
}

/**
 * Keeps the state durable and the log short: flushes the state machine, drops the entries that this
 * makes superfluous, and moves whole states between members where entries are missing.
 */
export class StateKeeper {
  readonly #options: StateKeeperOptions;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  /** Flushes and installations. */
  readonly #tasks = new SerialTasks();
  /** Entries applied since the last flush began, and their size. */
  #unflushed = { entries: 0, logBytes: 0 };
  #flushBeganMs: number | null = null;
  /** Received and verified, on its way through the core and the disk. */
  #received: ReceivedSnapshot | null = null;
  /** The core has taken it: it will be installed. */
  #accepted = false;
  #stopped = false;

  constructor(options: StateKeeperOptions) {
    this.#options = options;
    const { id, machine, wal, clock, log, guard, schedule, snapshotLimits: limits } = options;
    const firstConf: ConfState = wal.recovery.confState;
    this.#sender = new SnapshotSender({
      ...{ id, clock, log, limits, firstConf, schedule },
      read: (plain) => machine.readSnapshot({ plain, wake: schedule }),
      send: options.sendBulk,
      onEnd: (to, delivered) => options.raft.reportSnapshot(to, delivered),
    });
    this.#receiver = new SnapshotReceiver({
      ...{ id, clock, log, limits, guard },
      open: (done) => machine.receiveSnapshot(done),
      send: options.sendBulk,
      onReceived: (snapshot) => this.#offer(snapshot),
    });
  }

  /** Transfers to others under way. */
  get sending(): number {
    return this.#sender.active;
  }

  /** True while a snapshot is on its way into this member. */
  get receiving(): boolean {
    return this.#receiver.active;
  }

  /** True when the log can't take `bytes` more before a flush has made room. */
  isFull(bytes: number): boolean {
    return isFull({ log: this.#options.raft.logBytes, more: bytes }, this.#options.limits);
  }

  /**
   * Makes room for entries that come. What of a message can be taken now; null: nothing before a
   * flush has made room. It is as good as lost on the way, and the leader sends it again.
   */
  admit(message: Message): Message | null {
    if (message.type !== 'appendEntries' || message.entries.length === 0) return message;
    const { raft, machine } = this.#options;
    const { prevLogIndex, leaderCommit, entries } = message;
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    if (!this.isFull(bytes)) return message;
    this.#cut(machine.durable.index);
    if (!this.isFull(bytes)) return message;
    if (this.#tasks.idle && this.#unflushed.entries > 0) this.#flush();
    if (!this.#tasks.idle || raft.commitIndex > machine.durable.index) return null;
    // Nothing here is known to be committed. What the leader knows about it makes room.
    const known = entries.filter(({ index }) => index <= raft.lastIndex);
    const told = Math.min(leaderCommit, prevLogIndex + known.length);
    return told > raft.commitIndex ? { ...message, entries: known } : message;
  }

  /** The state machine has applied this entry. */
  applied(entry: Entry): void {
    this.#unflushed.entries++;
    this.#unflushed.logBytes += entryBytes(entry);
  }

  /** End of a turn. */
  run(): void {
    this.#sender.run();
    if (this.#received === null) {
      this.#maybeFlush();
      this.#maybeCut();
    }
  }

  tick(): void {
    const { raft, clock, flushStalledMs } = this.#options;
    this.#receiver.tick();
    const { voters, outgoingVoters, learners } = raft.confState;
    this.#sender.tick((id) => [...voters, ...outgoingVoters, ...learners].includes(id));
    const flushingMs = this.#flushBeganMs === null ? 0 : clock.nowMs() - this.#flushBeganMs;
    if (flushingMs < flushStalledMs) return;
    throw new Error(`the state was not flushed within ${Math.round(flushingMs)} ms`);
  }

  /** The core wants a member to have a snapshot. */
  send(message: InstallSnapshot): void {
    this.#sender.start(message);
  }

  leadershipLost(): void {
    this.#sender.stop();
  }

  stepBulk(message: SnapshotMessage): void {
    if (message.type === 'snapshotChunk') this.#receiver.handleChunk(message, this.#options.raft);
    else this.#sender.handleReply(message);
  }

  // ── a state that comes in ────────────────────────────────────────────────────────────────────

  /** Offers the core what has arrived; it may know better by now, or somebody of a later term. */
  #offer(received: ReceivedSnapshot): void {
    if (this.#stopped) return;
    this.#received = received;
    const { from, term, position: snapshot } = received;
    this.#options.step({ type: 'installSnapshot', from, to: this.#options.id, term, snapshot });
    if (this.#accepted || this.#stopped) return;
    this.#received = null;
    this.#receiver.release('ignored');
  }

  /** A Ready carries the snapshot: the core starts anew behind it. */
  accept(snapshot: SnapshotMeta): void {
    assert(this.#received?.position === snapshot, 'a snapshot that never arrived', { snapshot });
    this.#accepted = true;
  }

  /** Earlier writes are durable: puts the received state in force. */
  install(snapshot: SnapshotMeta, done: () => void): void {
    const { guard, machine } = this.#options;
    const received = this.#received;
    if (this.#stopped || received === null) return;
    this.#tasks.run((finished) => {
      received.install((error) => {
        finished();
        guard(() => {
          if (this.#stopped) return;
          if (error !== null) throw failed('a snapshot could not be installed', error);
          const { index, term } = machine.durable;
          const same = index === snapshot.index && term === snapshot.term;
          assert(same, 'another state was installed', { index, term, snapshot });
          done();
        });
      });
    });
  }

  /** The log has begun anew behind the installed state, durably. */
  installed(): void {
    this.#received = null;
    this.#accepted = false;
    this.#unflushed = { entries: 0, logBytes: 0 };
    this.#receiver.release('installed');
  }

  // ── flush and cut ────────────────────────────────────────────────────────────────────────────

  #maybeFlush(): void {
    const { machine, limits } = this.#options;
    if (!this.#tasks.idle) return;
    const unflushed = { ...this.#unflushed, stateBytes: machine.unflushedBytes };
    if (wantsFlush(unflushed, limits) || this.#holdsSegments()) this.#flush();
  }

  /** True when the files are too long, and nothing but a flush lets the oldest ones go. */
  #holdsSegments(): boolean {
    const { wal, machine, limits } = this.#options;
    if (wal.surplusBytes <= limits.bytesMax || this.#unflushed.entries === 0) return false;
    return wal.tailAfter(limits.bytesMax) > machine.durable.index;
  }

  #flush(): void {
    const { machine, clock, guard, schedule } = this.#options;
    this.#unflushed = { entries: 0, logBytes: 0 };
    this.#flushBeganMs = clock.nowMs();
    this.#tasks.run((finished) => {
      machine.flush((error) => {
        this.#flushBeganMs = null;
        finished();
        guard(() => {
          if (error !== null) throw failed('the state could not be flushed', error);
          schedule();
        });
      });
    });
  }

  #maybeCut(): void {
    const { raft, wal, machine, limits } = this.#options;
    const needs = [raft.neededIndex, this.#sender.neededIndex].filter((index) => index !== null);
    const neededIndex = needs.length === 0 ? null : Math.min(...needs);
    const flushedIndex = machine.durable.index;
    const live: LiveLog = {
      firstIndex: raft.firstIndex,
      lastIndex: raft.lastIndex,
      // In memory or in the files, whichever is more.
      logBytes: Math.max(raft.logBytes, wal.surplusBytes),
      tailAfter: (bytesMax) => Math.max(raft.tailAfter(bytesMax), wal.tailAfter(bytesMax)),
    };
    const index = cutIndex(live, { flushedIndex, neededIndex }, limits);
    if (index !== null) this.#cut(index);
  }

  /** Drops entries up to an index that the state has durably, if they are still here. */
  #cut(index: number): void {
    const { raft, wal } = this.#options;
    if (this.#received !== null || index < raft.firstIndex) return;
    raft.compact(index);
    wal.compact(index);
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────

  /** Begins nothing any more. */
  stop(): void {
    this.#stopped = true;
    this.#sender.stop();
  }

  /**
   * Waits for what is in progress, then flushes what was applied up to `applied`, so that the next
   * start has nothing to apply again; null: no flush.
   */
  async finish(applied: number | null): Promise<void> {
    this.stop();
    await new Promise<void>((resolve) => this.#receiver.stop(resolve));
    await new Promise<void>((resolve) => this.#tasks.whenIdle(resolve));
    const { machine } = this.#options;
    if (applied === null || machine.durable.index >= applied) return;
    await new Promise<void>((resolve, reject) => {
      machine.flush((error) => {
        if (error === null) resolve();
        else reject(failed('the state could not be flushed', error));
      });
    });
  }
}

function failed(what: string, cause: Error): Error {
  return new Error(`${what}: ${cause.message}`, { cause });
}

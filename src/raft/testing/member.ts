import { isDeepStrictEqual } from 'node:util';
import { assert } from '../../lib/index.ts';
import {
  type ConfState,
  type Entry,
  type MemberId,
  type Message,
  Raft,
  type RaftLimits,
  type RaftOptions,
  type ReadState,
  type Ready,
} from '../index.ts';
import { ShadowDisk, ShadowLog } from './shadow.ts';

/** What a member does, in the order in which it does it. */
export type Observation =
  | { readonly type: 'ready'; readonly ready: Ready }
  | { readonly type: 'sent'; readonly message: Message }
  | { readonly type: 'applied'; readonly entry: Entry }
  | { readonly type: 'read'; readonly state: ReadState }
  | { readonly type: 'synced'; readonly ready: Ready };

/** What a core shows of itself, as plain data to compare. */
export type MemberState = Pick<
  Raft,
  | 'term'
  | 'role'
  | 'leader'
  | 'commitIndex'
  | 'lastIndex'
  | 'firstIndex'
  | 'durableIndex'
  | 'confState'
>;

/** What stays the same over all lives of a member. */
export interface MemberOptions {
  readonly id: MemberId;
  /** Configuration at index 0. */
  readonly confState: ConfState;
  readonly random: { uint32(): number };
  readonly electionTimeoutTicks: number;
  readonly heartbeatTicks: number;
  readonly limits: RaftLimits;
  /** See RaftOptions. */
  readonly rejoinFloorTerm?: number | null;
  readonly observe: (member: Member, observation: Observation) => void;
}

/**
 * One core with its disk and state machine: the driver of the tests. It carries out Readies at once
 * and to the end, save for the disk, which can be made slow: then Readies wait in `pending`, and
 * with them what may leave only after them.
 */
export class Member {
  readonly id: MemberId;
  disk = new ShadowDisk();
  /** Counts the starts. */
  incarnation = 0;
  /** The log in memory: what the core wrote, durable or not. */
  log = new ShadowLog();
  /** Readies taken and not yet durable, in order. */
  pending: Ready[] = [];
  /** Highest index the state machine has applied. */
  applied = 0;
  /** True: Readies become durable only by `sync()`. */
  diskIsSlow = false;
  readonly #options: MemberOptions;
  #floorTerm: number | null;
  #raft: Raft | null = null;

  constructor(options: MemberOptions) {
    this.id = options.id;
    this.#options = options;
    this.#floorTerm = options.rejoinFloorTerm ?? null;
  }

  get isUp(): boolean {
    return this.#raft !== null;
  }

  /** The running core. */
  get raft(): Raft {
    assert(this.#raft !== null, 'the member is down', { id: this.id });
    return this.#raft;
  }

  get state(): MemberState {
    const { term, role, leader, confState } = this.raft;
    const { commitIndex, lastIndex, firstIndex, durableIndex } = this.raft;
    return { term, role, leader, commitIndex, lastIndex, firstIndex, durableIndex, confState };
  }

  /** Configuration in force at the start of the log. */
  get baseConf(): ConfState {
    return this.log.snapshot?.confState ?? this.#options.confState;
  }

  /** Starts from what is on the disk. `applied`: what the state machine held durably. */
  start(applied = 0): void {
    assert(this.#raft === null, 'the member is up', { id: this.id });
    const { snapshot } = this.disk.log;
    this.log = new ShadowLog();
    if (snapshot !== null) this.log.restore(snapshot);
    this.log.append(this.disk.log.entries);
    this.applied = Math.max(snapshot?.index ?? 0, applied);
    this.incarnation += 1;
    this.#raft = new Raft(this.#raftOptions());
    this.drain();
  }

  /**
   * Stops at once. Of the Readies not yet durable the first `survivors` had reached the disk all
   * the same, the others are lost; nothing that waits for the disk is sent.
   */
  crash(survivors = 0): void {
    for (const ready of this.pending.slice(0, survivors)) this.disk.write(ready);
    this.disk.written = this.disk.hardState;
    this.pending = [];
    this.#raft = null;
  }

  /** What was on its disk is gone, the promises with it; it starts in `term`, by that floor. */
  replaceDisk({ term, floorTerm }: { term: number; floorTerm: number | null }): void {
    assert(this.#raft === null, 'the member is up', { id: this.id });
    this.disk = new ShadowDisk();
    this.disk.written = { term, vote: null, commitIndex: 0 };
    this.disk.sync();
    this.#floorTerm = floorTerm;
  }

  /** One call into the core, and all that follows from it here. */
  run<T>(action: (raft: Raft) => T): T {
    const result = action(this.raft);
    this.drain();
    return result;
  }

  /** Carries out Readies until none is left. */
  drain(): void {
    while (this.raft.hasReady()) {
      this.#take(this.raft.ready());
      if (!this.diskIsSlow) this.#complete(this.pending.length);
    }
  }

  /** The disk finishes the first `count` Readies that wait for it. */
  sync(count = this.pending.length): void {
    if (count === 0) return;
    this.#complete(count);
    this.drain();
  }

  /** Cuts the log up to `index`, which the state machine is taken to hold durably. */
  compact(index: number, confState: ConfState): void {
    const term = this.log.termAt(index);
    assert(term !== null && index <= this.applied, 'compaction beyond applied', { index });
    const snapshot = { index, term, confState };
    this.log.compact(snapshot);
    this.disk.log.compact(snapshot);
    this.disk.sync();
    const known = this.raft.confAt(index);
    assert(isDeepStrictEqual(known, confState), 'another history', { index, known, confState });
    this.run((raft) => raft.compact(index));
  }

  /** Highest index up to which the log may be cut now. */
  get compactIndexMax(): number {
    return Math.min(this.applied, this.disk.written?.commitIndex ?? 0);
  }

  #take(ready: Ready): void {
    const { observe } = this.#options;
    if (ready.snapshot !== null) this.log.restore(ready.snapshot);
    this.log.append(ready.entries);
    this.pending.push(ready);
    observe(this, { type: 'ready', ready });
    for (const message of ready.messages) observe(this, { type: 'sent', message });
    for (const entry of ready.committedEntries) {
      assert(entry.index === this.applied + 1, 'gap in the committed entries', {
        id: this.id,
        index: entry.index,
        applied: this.applied,
      });
      this.applied = entry.index;
      observe(this, { type: 'applied', entry });
    }
    if (ready.committedEntries.length > 0) this.raft.applied(this.applied);
    for (const state of ready.readStates) observe(this, { type: 'read', state });
  }

  #complete(count: number): void {
    const done = this.pending.splice(0, count);
    const last = done.at(-1);
    if (last === undefined) return;
    for (const ready of done) {
      this.disk.write(ready);
      if (ready.snapshot !== null) this.applied = ready.snapshot.index;
      this.#options.observe(this, { type: 'synced', ready });
      for (const message of ready.messagesAfterAppend) {
        this.#options.observe(this, { type: 'sent', message });
      }
    }
    this.raft.appended(last);
    if (done.some((ready) => ready.snapshot !== null)) this.raft.applied(this.applied);
  }

  #raftOptions(): RaftOptions {
    const { id, confState, random, electionTimeoutTicks, heartbeatTicks, limits } = this.#options;
    const { snapshot, entries } = this.disk.log;
    return {
      id,
      confState: snapshot?.confState ?? confState,
      hardState: this.disk.hardState,
      snapshot,
      entries: [...entries],
      applied: this.applied,
      random,
      rejoinFloorTerm: this.#floorTerm,
      electionTimeoutTicks,
      heartbeatTicks,
      limits,
    };
  }
}

import { decodeAnswer, encodeCommand, type Operation } from '../api/index.ts';
import type { Clock, Log, Timer } from '../io/index.ts';
import type { StoreError } from '../store/index.ts';
import { AutoCompaction, type AutoCompactionPolicy } from './auto-compaction.ts';
import { Quota } from './quota.ts';
import { Scrub } from './scrub.ts';
import type { MemberState } from './state.ts';

/** How late the end of a lease may be noticed when nobody writes. */
const LEASE_LOOK_MS = 200;
/** Between two steps of a compaction that nothing else moves forward. */
const COMPACTION_STEP_MS = 10;
/** How late it may be noticed that a full state has room again. */
const FULL_LOOK_MS = 200;

export interface HousekeepingParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly state: MemberState;
  /** 0: no bound. */
  readonly quotaBytes: number;
  readonly autoCompaction: AutoCompactionPolicy | null;
  /** Between two walks over all that is stored; 0: none. */
  readonly scrubIntervalMs: number;
  /** The state is damaged: the member has to stop. */
  readonly onDamage: (finding: StoreError) => void;
  readonly leads: () => boolean;
  /** Log time now, milliseconds. */
  readonly logTimeMs: () => number;
  readonly execute: (command: Uint8Array, reply: (answer: Uint8Array) => void) => void;
}

/**
 * What a member does without being asked: watches the quota, forgets old revisions, and as leader
 * moves a compaction on. Rows are removed a bounded number in each entry of the log, so that all
 * members do the same; when nobody writes, the leader writes empty entries until it is done. It
 * does so too when a lease is due.
 */
export class Housekeeping {
  readonly quota: Quota;
  /** Bytes that the state took after the last flush. */
  #flushedBytes: number;
  readonly #scrub: Scrub;
  readonly #parts: HousekeepingParts;
  readonly #autoCompaction: AutoCompaction | null;
  #stepTimer: Timer | null = null;
  #leaseTimer: Timer | null = null;
  #fullTimer: Timer | null = null;
  #closed = false;

  constructor(parts: HousekeepingParts) {
    const { clock, log, state, quotaBytes, autoCompaction: policy, leads } = parts;
    this.#parts = parts;
    this.#flushedBytes = state.store.usage().usedBytes;
    const usedBytes = (): number => this.#flushedBytes + state.unflushedBytes;
    this.quota = new Quota({ quotaBytes, log, usedBytes });
    this.#autoCompaction =
      policy === null
        ? null
        : new AutoCompaction({
            clock,
            log,
            policy,
            leads,
            revision: () => state.machine.revision,
            compact: (revision) => this.#run({ type: 'compact', revision }),
          });
    state.onFlushed = () => {
      this.#flushedBytes = state.store.usage().usedBytes;
      this.#lookAtQuota();
    };
    this.#scrub = new Scrub({
      clock,
      log,
      store: () => state.store,
      intervalMs: parts.scrubIntervalMs,
      onDamage: parts.onDamage,
    });
    state.onReplaced = () => this.#scrub.restart();
    this.#lookAtQuota();
    this.afterApply();
    this.#watchLeases();
  }

  /** Walks over everything stored that found nothing wrong. */
  get scrubs(): number {
    return this.#scrub.passes;
  }

  close(): void {
    this.#closed = true;
    this.#autoCompaction?.close();
    this.#scrub.close();
    this.#fullTimer?.cancel();
    this.#stepTimer?.cancel();
    this.#leaseTimer?.cancel();
  }

  /** Something was applied: the state has grown, and a compaction may have something to do. */
  afterApply(): void {
    const { clock, state, leads } = this.#parts;
    this.#lookAtQuota();
    if (!state.machine.compacting || this.#stepTimer !== null || this.#closed) return;
    this.#stepTimer = clock.setTimer(COMPACTION_STEP_MS, () => {
      this.#stepTimer = null;
      if (leads() && state.machine.compacting) this.#run({ type: 'skip' });
      this.afterApply();
    });
  }

  /**
   * What is used is known after a flush, and while a state is full little may come that would cause
   * one. So what has been removed since is flushed here.
   */
  #lookAtQuota(): void {
    const { clock, state } = this.#parts;
    this.quota.look();
    if (!this.quota.isFull || this.#fullTimer !== null || this.#closed) return;
    this.#fullTimer = clock.setTimer(FULL_LOOK_MS, () => {
      this.#fullTimer = null;
      if (this.#closed || state.unflushedBytes === 0) return;
      state.flush((error) => {
        // The replica hears of it with its own next flush, and ends.
        if (error !== null) this.#lookAtQuota();
      });
    });
  }

  /** Leases end by log time, and log time passes with entries. */
  #watchLeases(): void {
    const { clock, state, leads, logTimeMs } = this.#parts;
    this.#leaseTimer = clock.setTimer(LEASE_LOOK_MS, () => {
      if (this.#closed) return;
      const deadlineMs = state.machine.nextLeaseDeadlineMs;
      if (deadlineMs !== null && deadlineMs <= logTimeMs() && leads()) this.#run({ type: 'skip' });
      this.#watchLeases();
    });
  }

  /** A refusal is no reason for concern: another leader does it, or somebody did. */
  #run(operation: Operation): void {
    this.#parts.execute(encodeCommand({ type: 'operation', session: null, operation }), (bytes) => {
      const answer = decodeAnswer(bytes);
      if (answer.type !== 'error') return;
      const { code, message } = answer;
      this.#parts.log.debug('housekeeping refused', { operation: operation.type, code, message });
    });
  }
}

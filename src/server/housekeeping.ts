import { decodeAnswer, encodeCommand, type Operation } from '../api/index.ts';
import type { Clock, Log, Timer } from '../io/index.ts';
import { AutoCompaction, type AutoCompactionPolicy } from './auto-compaction.ts';
import { Quota } from './quota.ts';
import type { MemberState } from './state.ts';

/** How late the end of a lease may be noticed when nobody writes. */
const LEASE_LOOK_MS = 200;
/** Between two steps of a compaction that nothing else moves forward. */
const COMPACTION_STEP_MS = 10;

export interface HousekeepingParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly state: MemberState;
  /** 0: no bound. */
  readonly quotaBytes: number;
  readonly autoCompaction: AutoCompactionPolicy | null;
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
  readonly #parts: HousekeepingParts;
  readonly #autoCompaction: AutoCompaction | null;
  #stepTimer: Timer | null = null;
  #leaseTimer: Timer | null = null;
  #closed = false;

  constructor(parts: HousekeepingParts) {
    const { clock, log, state, quotaBytes, autoCompaction: policy, leads } = parts;
    this.#parts = parts;
    this.quota = new Quota({ quotaBytes, log, usedBytes: () => state.store.usage().usedBytes });
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
    state.onFlushed = () => this.quota.look();
    this.afterApply();
    this.#watchLeases();
  }

  close(): void {
    this.#closed = true;
    this.#autoCompaction?.close();
    this.#stepTimer?.cancel();
    this.#leaseTimer?.cancel();
  }

  /** Something was applied: a compaction may have something left to do. */
  afterApply(): void {
    const { clock, state, leads } = this.#parts;
    if (!state.machine.compacting || this.#stepTimer !== null || this.#closed) return;
    this.#stepTimer = clock.setTimer(COMPACTION_STEP_MS, () => {
      this.#stepTimer = null;
      if (leads() && state.machine.compacting) this.#run({ type: 'skip' });
      this.afterApply();
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

import type { Clock, Log, Timer } from '../io/index.ts';
import { unreachable } from '../lib/index.ts';

/** When old revisions are forgotten without being asked (etcd: --auto-compaction-mode). */
export type AutoCompactionPolicy =
  /** Those that were replaced longer ago than this. */
  | { readonly mode: 'periodic'; readonly retentionMs: number }
  /** All but the newest so many. */
  | { readonly mode: 'revision'; readonly retention: number };

/** What it watches, and what it does. */
export interface AutoCompactionParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly policy: AutoCompactionPolicy;
  /** Only one member should act. */
  readonly leads: () => boolean;
  readonly revision: () => number;
  /** Asks the cluster to compact; a refusal is its own affair. */
  readonly compact: (revision: number) => void;
}

const MINUTE_MS = 60_000;
/** As etcd: in mode `revision` a look every five minutes. */
const REVISION_INTERVAL_MS = 5 * MINUTE_MS;
/** In mode `periodic` a look after every tenth of the retention, at least each hour. */
const LOOKS_PER_RETENTION = 10;
const PERIODIC_INTERVAL_MS_MAX = 60 * MINUTE_MS;

/** The revision as it was at some time. */
interface Sample {
  readonly atMs: number;
  readonly revision: number;
}

/**
 * Compacts by time or by count. Every member notes how revisions grow, so that a new leader can go
 * on at once.
 */
export class AutoCompaction {
  readonly #parts: AutoCompactionParts;
  readonly #intervalMs: number;
  #samples: Sample[] = [];
  #lastRevision = 0;
  #timer: Timer | null = null;

  constructor(parts: AutoCompactionParts) {
    this.#parts = parts;
    this.#intervalMs = intervalMs(parts.policy);
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    this.#timer = this.#parts.clock.setTimer(this.#intervalMs, () => {
      this.#look();
      if (this.#timer !== null) this.#arm();
    });
  }

  #look(): void {
    const { leads, log, compact } = this.#parts;
    const revision = this.#due();
    if (revision <= this.#lastRevision || !leads()) return;
    this.#lastRevision = revision;
    log.info('compacting history', { revision });
    compact(revision);
  }

  /** What may be forgotten now; 0 for nothing. */
  #due(): number {
    const { clock, policy, revision } = this.#parts;
    switch (policy.mode) {
      case 'revision':
        return Math.max(0, revision() - policy.retention);
      case 'periodic': {
        const nowMs = clock.nowMs();
        this.#samples.push({ atMs: nowMs, revision: revision() });
        const old = this.#samples.filter(({ atMs }) => atMs <= nowMs - policy.retentionMs);
        this.#samples = this.#samples.slice(Math.max(0, old.length - 1));
        return old.at(-1)?.revision ?? 0;
      }
      default:
        return unreachable(policy);
    }
  }
}

function intervalMs(policy: AutoCompactionPolicy): number {
  if (policy.mode === 'revision') return REVISION_INTERVAL_MS;
  return Math.min(PERIODIC_INTERVAL_MS_MAX, Math.ceil(policy.retentionMs / LOOKS_PER_RETENTION));
}

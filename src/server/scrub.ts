import type { Clock, Log, Timer } from '../io/index.ts';
import { StateCensus } from '../kv/index.ts';
import { type EngineUsage, type EngineView, type Row, StoreError } from '../store/index.ts';

/** From the start, or from a state that was installed, to the first pass: others come first. */
const FIRST_MS = 5 * 60_000;
/** A slice of a pass ends after so much work, whichever comes first … */
const SLICE_MS = 1;
const SLICE_ROWS = 256;
const SLICE_BYTES = 512 * 1024;
/** … and rests for so many times as long: 2 % of the event loop. */
const REST = 49;
/**
 * A pass holds a view, which keeps all that is replaced meanwhile. The file may grow for that until
 * so much of it, or an eighth of what is used, is not in use.
 */
const WASTE_BYTES_MAX = 256 * 1024 * 1024;
const WASTE_SHARE_MAX = 1 / 8;

export interface ScrubParts {
  readonly clock: Clock;
  readonly log: Log;
  /** What is durable now; another one after a snapshot was installed. */
  readonly store: () => { view(): EngineView; usage(): EngineUsage };
  /** From the end of a pass to the next one, milliseconds; 0: none. etcd: --corrupt-check-time. */
  readonly intervalMs: number;
  /** What is stored is not what was stored. Nothing is read any more. */
  readonly onDamage: (finding: StoreError) => void;
}

/** A walk over all rows that is under way. */
interface Pass {
  readonly view: EngineView;
  readonly rows: Iterator<Row>;
  /** Sums the rows up; null once the pass goes on in a later view. */
  readonly census: StateCensus | null;
  readonly fileBytes: number;
}

/**
 * Reads everything that is stored, slowly and again and again, because damage to rows that nobody
 * reads would otherwise wait for the day when another member is lost. Each row's checksum is
 * verified, and the hash over all rows must be the one that the state has kept up to date: so a row
 * that is missing as a whole, or an old one in the place of a new one, is noticed too.
 *
 * A pass holds one view, which holds back the space of all that is replaced meanwhile. Where that
 * becomes too much, it goes on in a later view, and the hash is left to the next pass.
 */
export class Scrub {
  readonly #parts: ScrubParts;
  #pass: Pass | null = null;
  #timer: Timer | null = null;
  #closed = false;
  /** The row that was read last. */
  #last: Row | null = null;
  #rows = 0;
  /** Passes that have come to their end and found nothing wrong. */
  passes = 0;

  constructor(parts: ScrubParts) {
    this.#parts = parts;
    this.restart();
  }

  /** Begins anew: the state is another one. */
  restart(): void {
    this.#stop();
    if (this.#closed || this.#parts.intervalMs === 0) return;
    this.#arm(Math.min(FIRST_MS, this.#parts.intervalMs));
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#letGo();
    this.#last = null;
    this.#rows = 0;
  }

  /** Of the view, and first of the iteration: one that was left open would keep it. */
  #letGo(): void {
    this.#pass?.rows.return?.();
    this.#pass?.view.close();
    this.#pass = null;
  }

  #arm(ms: number): void {
    this.#timer = this.#parts.clock.setTimer(ms, () => this.#run());
  }

  #run(): void {
    const { clock, onDamage } = this.#parts;
    const startMs = clock.nowMs();
    try {
      if (this.#slice(startMs)) return this.#finished();
      const tookMs = Math.max(SLICE_MS, clock.nowMs() - startMs);
      this.#arm(REST * tookMs);
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      this.close();
      // A closed view: the state was replaced, or the member stops.
      if (cause.code !== 'CLOSED') onDamage(cause);
    }
  }

  /** Reads some rows; true when that were the last ones. */
  #slice(startMs: number): boolean {
    const { clock } = this.#parts;
    const pass = this.#renewed();
    let bytes = 0;
    for (let count = 0; count < SLICE_ROWS && bytes < SLICE_BYTES; count++) {
      const next = pass.rows.next();
      if (next.done === true) return true;
      this.#last = next.value;
      this.#rows++;
      pass.census?.add(next.value);
      bytes += next.value.key.length + next.value.value.length;
      if (clock.nowMs() - startMs >= SLICE_MS) return false;
    }
    return false;
  }

  /** The pass as it goes on: in a new view when the old one has become too dear. */
  #renewed(): Pass {
    const store = this.#parts.store();
    const { fileBytes, usedBytes } = store.usage();
    const pass = this.#pass;
    if (pass !== null) {
      const wasteMax = Math.max(WASTE_BYTES_MAX, WASTE_SHARE_MAX * usedBytes);
      if (fileBytes <= pass.fileBytes || fileBytes - usedBytes <= wasteMax) return pass;
      this.#letGo();
    }
    const view = store.view();
    const rows = view.rows(this.#last ?? undefined)[Symbol.iterator]();
    const census = pass === null ? new StateCensus() : null;
    this.#pass = { view, rows, census, fileBytes };
    return this.#pass;
  }

  #finished(): void {
    const { log, intervalMs, onDamage } = this.#parts;
    const census = this.#pass?.census ?? null;
    const rows = this.#rows;
    const finding = census === null ? null : hashProblem(census);
    this.#stop();
    if (finding !== null) {
      this.close();
      return onDamage(finding);
    }
    this.passes++;
    log.info('all stored rows were verified', { rows, isHashCompared: census !== null });
    this.#arm(intervalMs);
  }
}

/** Rows that are each as they were written, and together another state; null: all is well. */
function hashProblem(census: StateCensus): StoreError | null {
  const { position, stateHash } = census.finish();
  if (stateHash === position.stateHash) return null;
  return new StoreError(
    'CORRUPT',
    `the stored rows at entry ${position.index} have the hash ${stateHash}, the state there has ` +
      `${position.stateHash}: rows are missing, or not what was written last`,
  );
}

import type { KvLimits } from './limits.ts';
import {
  type ChangeId,
  changeIdOf,
  changeKey,
  type KeyState,
  readChange,
  readChangeId,
} from './rows.ts';
import type { Tables } from './tables.ts';

/** A row of `history` that was looked at, with bytes of its own. */
interface Seen {
  readonly change: ChangeId;
  readonly key: Uint8Array;
  readonly before: KeyState;
  readonly isDeletion: boolean;
}

/**
 * Removes what no read at the compact revision C or later can see. It passes over the changes up to
 * C once, in order. Each that it meets makes the change before it of the same key superfluous; a
 * deletion below C is superfluous itself, and with it what `deleted` says of the key. So of every
 * key that lives at C exactly its last change stays, and what is done for a row does not depend on
 * how many there are. Deletions of C itself stay until the next time: a watch may begin at C.
 *
 * How far it has come is part of the state, and it does a bounded number of rows in each batch:
 * every member does the same ones at the same index.
 */
export class Compaction {
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  /** The next change to look at; null when there is nothing to do. */
  #next: ChangeId | null;

  constructor(options: { tables: Tables; limits: KvLimits; next: ChangeId | null }) {
    this.#tables = options.tables;
    this.#limits = options.limits;
    this.#next = options.next;
  }

  get next(): ChangeId | null {
    return this.#next;
  }

  /** After a rise from `previous`: deletions of `previous` are looked at again. */
  start(previous: number): void {
    if (this.#next !== null && this.#next.revision < previous) return;
    this.#next = { revision: previous, sub: 0 };
  }

  /**
   * Once in each batch. `changes`: how many the batch made; twice as many are looked at besides the
   * fixed share, so that there is an end to it however fast new ones come.
   */
  advance(compactRevision: number, changes: number): void {
    if (this.#next === null) return;
    const { compactionRowsPerBatch, compactionRowsPerBatchMax } = this.#limits;
    const rows = Math.min(compactionRowsPerBatch + 2 * changes, compactionRowsPerBatchMax);
    const seen = this.#look(this.#next, compactRevision, rows);
    for (const each of seen) this.#removeSuperfluous(each, compactRevision);
    const last = seen.at(-1);
    const isDone = last === undefined || seen.length < rows;
    this.#next = isDone ? null : { revision: last.change.revision, sub: last.change.sub + 1 };
  }

  #look(from: ChangeId, compactRevision: number, rows: number): Seen[] {
    const span = {
      from: changeKey(from),
      to: changeKey({ revision: compactRevision + 1, sub: 0 }),
    };
    const seen: Seen[] = [];
    for (const { key: id, value } of this.#tables.range('history', span)) {
      const { key, before, after } = readChange(value);
      const isDeletion = after === null;
      seen.push({ change: changeIdOf(id), key: key.slice(), before, isDeletion });
      if (seen.length === rows) break;
    }
    return seen;
  }

  #removeSuperfluous(seen: Seen, compactRevision: number): void {
    const { change, key, before, isDeletion } = seen;
    if (before.type === 'live') this.#removeChange(before.by);
    if (!isDeletion || change.revision === compactRevision) return;
    this.#removeChange(change);
    const deletion = this.#tables.get('deleted', key);
    if (deletion === null) return;
    const { revision, sub } = readChangeId(deletion);
    if (revision !== change.revision || sub !== change.sub) return;
    this.#tables.remove('deleted', key, deletion);
  }

  /** It may have gone already: deletions of an earlier compact revision are met twice. */
  #removeChange(id: ChangeId): void {
    const key = changeKey(id);
    const row = this.#tables.get('history', key);
    if (row !== null) this.#tables.remove('history', key, row);
  }
}

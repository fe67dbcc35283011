import { type KvPosition, positionOf } from './position.ts';
import { RowSetHash } from './row-hash.ts';
import { COUNTERS_KEY, HASHED_TABLES, POSITION_TABLE } from './tables.ts';

/** A row of a state. */
export interface StateRow {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What a state holds, by its rows alone. */
export interface StateTotals {
  /** As the state says itself. */
  readonly position: KvPosition;
  /** Of the rows as they were counted: unlike `position.stateHash`, something was changed. */
  readonly stateHash: string;
  /** Keys there are; their history is not counted. */
  readonly keys: number;
  readonly sessions: number;
  readonly leases: number;
}

/** Counts and hashes the rows of a state, in any order, without a store to keep them in. */
export class StateCensus {
  readonly #hash = new RowSetHash();
  readonly #rows = new Map<string, number>();
  /** The few rows that say how far the state goes, by table and first byte of the key. */
  readonly #position = new Map<string, Uint8Array>();

  add({ table, key, value }: StateRow): void {
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + 1);
    const number = (HASHED_TABLES as Readonly<Record<string, number>>)[table];
    if (number !== undefined) this.#hash.add(number, key, value);
    const isCounters = table === 'counters' && key.length === COUNTERS_KEY.length;
    if (isCounters || table === POSITION_TABLE) {
      this.#position.set(`${table} ${key[0]}`, value.slice());
    }
  }

  /** @throws StateFormatError; DecodeError when the rows are not those of a state. */
  finish(): StateTotals {
    return {
      position: positionOf((table, key) => this.#position.get(`${table} ${key[0]}`) ?? null),
      stateHash: this.#hash.toString(),
      keys: this.#rows.get('keys') ?? 0,
      sessions: this.#rows.get('sessions') ?? 0,
      leases: this.#rows.get('leases') ?? 0,
    };
  }
}

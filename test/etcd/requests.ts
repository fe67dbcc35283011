import type { Draft } from '../../src/etcd/codec.ts';
import type {
  CompareMessage,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../src/etcd/messages/kv.ts';
import * as call from '../../src/etcd/testing/exchanges.ts';
import { Prng, utf8Bytes } from '../../src/lib/index.ts';

/** A request that can be sent to either side. */
export interface Step {
  readonly exchange: (typeof call)[keyof typeof call];
  readonly value: object;
}

const NONE = new Uint8Array(0);
const ZERO = new Uint8Array(1);

/** Transactions inside transactions. */
const DEPTH = 2;

/** Keys at the edges: zero bytes, 0xff, prefixes of one another, none at all. */
const KEYS: readonly Uint8Array[] = [
  ...['a', 'aa', 'ab', 'b', 'ba', 'c', 'k1', 'k2', 'k3', 'z'].map(utf8Bytes),
  ZERO,
  Uint8Array.of(0, 0),
  Uint8Array.of(0x61, 0),
  Uint8Array.of(0xff),
  Uint8Array.of(0xff, 0xff),
  Uint8Array.of(0x61, 0xff),
];

/**
 * Requests by a seed. It is told the revision that the store is at, so that revisions asked for are
 * mostly near the edges: compacted, the oldest, the newest, the next.
 */
export class Requests {
  readonly #random: Prng;
  revision = 1;
  compacted = 0;

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  next(): Step {
    const roll = this.#below(100);
    if (roll < 30) return { exchange: call.PUT, value: this.#put() };
    if (roll < 60) return { exchange: call.RANGE, value: this.#range() };
    if (roll < 70) return { exchange: call.DELETE_RANGE, value: this.#delete() };
    if (roll < 88) return { exchange: call.TXN, value: this.#txn(DEPTH) };
    if (roll < 91) {
      // Waited for to its end: until then etcd's hash may contain what is compacted.
      return { exchange: call.COMPACT, value: { revision: this.#revision(), physical: true } };
    }
    if (roll < 94) return { exchange: call.GRANT, value: { ID: this.#lease(), TTL: 10_000 } };
    if (roll < 96) return { exchange: call.REVOKE, value: { ID: this.#lease() } };
    if (roll < 98) {
      if (this.#chance(4)) return { exchange: call.HASH, value: {} };
      const revision = this.#chance(2) ? 0 : this.#revision();
      return { exchange: call.HASH_KV, value: { revision } };
    }
    return {
      exchange: call.TIME_TO_LIVE,
      value: { ID: this.#lease(), keys: this.#chance(2) },
    };
  }

  #put(): Draft<PutRequest> {
    return {
      key: this.#key(),
      value: this.#chance(4) ? NONE : this.#value(),
      lease: this.#chance(5) ? this.#lease() : 0n,
      prev_kv: this.#chance(3),
      ignore_value: this.#chance(12),
      ignore_lease: this.#chance(12),
    };
  }

  #range(): Draft<RangeRequest> {
    // Sorting in etcd is not stable, so a limit may cut anywhere between keys of one revision; and
    // one with a target but no direction cuts before it sorts.
    const sort_order = this.#below(3);
    const sort_target = sort_order === 0 ? 0 : this.#chance(2) ? 0 : 3;
    return {
      ...this.#interval(),
      limit: sort_target === 0 && this.#chance(3) ? this.#below(4) - 1 : 0,
      revision: this.#chance(2) ? 0 : this.#revision(),
      sort_order,
      sort_target,
      serializable: this.#chance(4),
      keys_only: this.#chance(5),
      count_only: this.#chance(6),
      min_mod_revision: this.#bound(),
      max_mod_revision: this.#bound(),
      min_create_revision: this.#bound(),
      max_create_revision: this.#bound(),
    };
  }

  #delete() {
    return { ...this.#interval(), prev_kv: this.#chance(2) };
  }

  #txn(depth: number): Draft<TxnRequest> {
    if (this.#chance(60)) return this.#longTxn();
    if (this.#chance(4)) return this.#readTxn(depth);
    return {
      compare: this.#some(2, () => this.#compare()),
      success: this.#some(3, () => this.#operation(depth)),
      failure: this.#some(3, () => this.#operation(depth)),
    };
  }

  /** One that changes nothing. */
  #readTxn(depth: number): Draft<TxnRequest> {
    const operation = (): Draft<RequestOp> =>
      depth > 0 && this.#chance(4)
        ? { request_txn: this.#readTxn(depth - 1) }
        : { request_range: this.#range() };
    return {
      compare: this.#some(2, () => this.#compare()),
      success: this.#some(3, operation),
      failure: this.#some(3, operation),
    };
  }

  /** At the bound of operations, and one beyond. */
  #longTxn(): Draft<TxnRequest> {
    const length = 128 + this.#below(2);
    const success = Array.from({ length }, (_, i) => ({
      request_put: { key: utf8Bytes(`long-${i}`), value: NONE },
    }));
    return { success };
  }

  #operation(depth: number): Draft<RequestOp> {
    const roll = this.#below(20);
    if (roll < 9) return { request_put: this.#put() };
    if (roll < 14) return { request_range: this.#range() };
    // etcd overlooks some deletes that meet a put: those from a key on, and those of inner txns.
    if (roll < 17 && depth === DEPTH) {
      const range = this.#delete();
      const range_end = range.range_end.length === 1 ? NONE : range.range_end;
      return { request_delete_range: { ...range, range_end } };
    }
    if (roll < 19 && depth > 0) return { request_txn: this.#txn(depth - 1) };
    return this.#chance(8) ? {} : { request_range: { key: this.#key() } };
  }

  #compare(): Draft<CompareMessage> {
    const target = this.#below(5);
    const number = this.#chance(3) ? 0 : this.#revision();
    const operands = [
      { version: this.#below(4) - 1 },
      { create_revision: number },
      { mod_revision: number },
      { value: this.#value() },
      { lease: this.#lease() },
    ] as const;
    const key = this.#key();
    const range_end = this.#chance(4) ? this.#interval().range_end : NONE;
    return { result: this.#below(4), target, key, range_end, ...operands[target] };
  }

  #interval(): { key: Uint8Array; range_end: Uint8Array } {
    const key = this.#key();
    const roll = this.#below(10);
    if (roll < 4) return { key, range_end: NONE };
    if (roll < 6) return { key, range_end: ZERO };
    if (roll < 7) return { key: ZERO, range_end: ZERO };
    return { key, range_end: this.#key() };
  }

  #key(): Uint8Array {
    return this.#chance(60) ? NONE : this.#one(KEYS);
  }

  #value(): Uint8Array {
    return this.#one([NONE, ZERO, utf8Bytes('v'), utf8Bytes('w'), Uint8Array.of(0xff)]);
  }

  #lease(): bigint {
    return BigInt(1 + this.#below(6));
  }

  #revision(): number {
    const edges = [this.compacted, this.revision];
    const near = this.#one(edges) + this.#below(5) - 2;
    return this.#chance(20) ? Number.MAX_SAFE_INTEGER : near;
  }

  #bound(): number {
    return this.#chance(8) ? this.#revision() : 0;
  }

  #some<T>(max: number, make: () => T): T[] {
    return Array.from({ length: this.#below(max + 1) }, make);
  }

  #one<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #chance(oneIn: number): boolean {
    return this.#below(oneIn) === 0;
  }

  #below(bound: number): number {
    return this.#random.below(bound);
  }
}

import {
  type KeyRange,
  KvError,
  type LeaseGrant,
  type LeaseListResult,
  type LeaseTimeToLiveResult,
} from '../api/index.ts';
import { assert, ByteReader, ByteWriter, EMPTY_BYTES } from '../lib/index.ts';
import { ExpiryHeap } from './expiry-heap.ts';
import type { KvLimits } from './limits.ts';
import { attachedKeyOf, attachmentKey, leaseKey, leaseOf } from './rows.ts';
import type { Tables } from './tables.ts';

const EVERYTHING = { from: new Uint8Array(0), to: null } as const;
const LEASE_MAX = 2n ** 64n - 1n;
/** Heap entries of leases long revoked are swept out beyond twice the leases and this. */
const HEAP_SLACK = 1024;

/** A lease, as its row in `leases` says. */
interface Lease {
  /** Time to live, milliseconds of log time. */
  readonly ttlMs: number;
  /** Log time when it was granted or kept alive last, milliseconds. */
  readonly renewedMs: number;
}

/** When the newest term began, in log time. */
export interface TermStart {
  readonly term: number;
  readonly timeMs: number;
}

/**
 * Leases. A keep-alive is a command, and a lease is over when the log's time has reached
 *
 *   max(last keep-alive, start of the newest term) + time to live.
 *
 * So every member ends it at the same entry, a keep-alive that was answered has counted, and no
 * leader decides by a clock of its own; while there was no leader nobody could keep a lease alive,
 * so a new term gives every lease its full time again, without a row being written.
 */
export class Leases {
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  readonly #deadlines = new ExpiryHeap<bigint>();
  readonly #row = new ByteWriter();
  #count: number;
  #logTimeMs: number;
  #termStart: TermStart;

  constructor(options: {
    tables: Tables;
    limits: KvLimits;
    logTimeMs: number;
    termStart: TermStart;
  }) {
    this.#tables = options.tables;
    this.#limits = options.limits;
    this.#logTimeMs = options.logTimeMs;
    this.#termStart = options.termStart;
    this.#collectDeadlines();
    this.#count = this.#deadlines.size;
  }

  get termStart(): TermStart {
    return this.#termStart;
  }

  /** Leases there are, those included that are over and not removed yet. */
  get count(): number {
    return this.#count;
  }

  /**
   * Log time, milliseconds, at which a lease may be over; null without leases. Never too late, and
   * at most one time to live too early.
   */
  get nextDeadlineMs(): number | null {
    return this.#deadlines.nextDeadlineMs;
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  /** Before the commands of each batch. */
  advanceTo(logTimeMs: number, term: number): void {
    assert(logTimeMs >= this.#logTimeMs, 'log time went back');
    this.#logTimeMs = logTimeMs;
    if (term !== this.#termStart.term) this.#termStart = { term, timeMs: logTimeMs };
    if (this.#deadlines.size > 2 * this.#count + HEAP_SLACK) this.#collectDeadlines();
  }

  /** A lease that is over and has to be ended, in order of (deadline, id); null: none. */
  takeExpired(): bigint | null {
    while (true) {
      const deadlineMs = this.#deadlines.nextDeadlineMs;
      if (deadlineMs === null || deadlineMs > this.#logTimeMs) return null;
      const id = this.#deadlines.pop();
      const lease = id === null ? null : this.#read(id);
      if (id === null || lease === null) continue;
      if (this.#isOver(lease)) return id;
      this.#deadlines.push(this.#deadlineOf(lease), id);
    }
  }

  #deadlineOf({ renewedMs, ttlMs }: Lease): number {
    return Math.max(renewedMs, this.#termStart.timeMs) + ttlMs;
  }

  #isOver(lease: Lease): boolean {
    return this.#deadlineOf(lease) <= this.#logTimeMs;
  }

  #collectDeadlines(): void {
    this.#deadlines.clear();
    for (const { key, value } of this.#tables.range('leases', EVERYTHING)) {
      this.#deadlines.push(this.#deadlineOf(readLease(value)), leaseOf(key));
    }
  }

  // ── leases ───────────────────────────────────────────────────────────────────────────────────

  /**
   * Returns the time to live granted, milliseconds.
   * @throws KvError LEASE_EXISTS, LEASES_FULL.
   */
  grant({ lease: id, ttlMs: askedMs }: LeaseGrant): number {
    if (this.#read(id) !== null) throw new KvError('LEASE_EXISTS', 'lease already exists');
    if (this.#count >= this.#limits.leasesMax) {
      throw new KvError('LEASES_FULL', `there are ${this.#limits.leasesMax} leases already`);
    }
    const ttlMs = Math.max(askedMs, this.#limits.leaseTtlMsMin);
    const lease = { ttlMs, renewedMs: this.#logTimeMs };
    this.#write(id, lease, null);
    this.#deadlines.push(this.#deadlineOf(lease), id);
    this.#count++;
    return ttlMs;
  }

  /**
   * Returns the time to live from now, milliseconds.
   * @throws KvError LEASE_NOT_FOUND.
   */
  keepAlive(id: bigint): number {
    const { ttlMs } = this.#find(id);
    const was = this.#tables.get('leases', leaseKey(id));
    this.#write(id, { ttlMs, renewedMs: this.#logTimeMs }, was);
    return ttlMs;
  }

  /** @throws KvError LEASE_NOT_FOUND. */
  demand(id: bigint): void {
    this.#find(id);
  }

  /** Forgets a lease whose keys are gone. */
  remove(id: bigint): void {
    const key = leaseKey(id);
    const row = this.#tables.get('leases', key);
    assert(row !== null, 'no such lease', { id });
    this.#tables.remove('leases', key, row);
    this.#count--;
  }

  /**
   * At `nowMs`, a log time that may be later than that of the last entry: until an entry says that
   * a lease is over, it is there, with no time left.
   * @throws KvError LEASE_NOT_FOUND.
   */
  timeToLive(id: bigint, nowMs: number): Pick<LeaseTimeToLiveResult, 'remainingMs' | 'ttlMs'> {
    const lease = this.#find(id);
    const leftMs = this.#deadlineOf(lease) - Math.max(this.#logTimeMs, nowMs);
    return { remainingMs: Math.max(leftMs, 0), ttlMs: lease.ttlMs };
  }

  /** Ids of those that are not over, ascending. */
  list(): LeaseListResult['leases'] {
    const ids: bigint[] = [];
    for (const { key, value } of this.#tables.range('leases', EVERYTHING)) {
      if (!this.#isOver(readLease(value))) ids.push(leaseOf(key));
    }
    return ids;
  }

  #find(id: bigint): Lease {
    const lease = this.#read(id);
    if (lease !== null && !this.#isOver(lease)) return lease;
    throw new KvError('LEASE_NOT_FOUND', 'requested lease not found');
  }

  #read(id: bigint): Lease | null {
    const row = this.#tables.get('leases', leaseKey(id));
    return row === null ? null : readLease(row);
  }

  #write(id: bigint, lease: Lease, was: Uint8Array | null): void {
    this.#row.clear();
    this.#row.varint(lease.ttlMs);
    this.#row.varint(lease.renewedMs);
    this.#tables.put('leases', leaseKey(id), this.#row.view(), was);
  }

  // ── their keys ───────────────────────────────────────────────────────────────────────────────

  /** A key goes from one lease to another; null for none. */
  move(key: Uint8Array, from: bigint | null, to: bigint | null): void {
    if (from === to) return;
    if (from !== null) this.#tables.remove('leaseKeys', attachmentKey(from, key), EMPTY_BYTES);
    if (to !== null) this.#tables.put('leaseKeys', attachmentKey(to, key), EMPTY_BYTES, null);
  }

  /** The keys that end with a lease, in order; copies. */
  keysOf(id: bigint): Uint8Array[] {
    const keys: Uint8Array[] = [];
    for (const { key } of this.#tables.range('leaseKeys', attachmentsOf(id))) {
      keys.push(attachedKeyOf(key).slice());
    }
    return keys;
  }
}

function attachmentsOf(id: bigint): KeyRange {
  return { from: leaseKey(id), to: id === LEASE_MAX ? null : leaseKey(id + 1n) };
}

/** A row of `leases`. */
export function readLease(row: Uint8Array): Lease {
  const reader = new ByteReader(row);
  const ttlMs = reader.varint();
  const renewedMs = reader.varint();
  reader.end();
  return { ttlMs, renewedMs };
}

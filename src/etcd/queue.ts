import {
  type Compare,
  type KeyRange,
  type KeyValue,
  prefixRange,
  type Range,
  singleKey,
  type TxnOperationResult,
} from '../api/index.ts';
import type { GrpcCall } from '../grpc/index.ts';
import { concatBytes, utf8Bytes } from '../lib/index.ts';
import { CANCELLED, watchCall } from './call-watch.ts';
import { ask, type EtcdContext, execute } from './context.ts';
import { Following } from './following.ts';
import type { WatchHub } from './watch-hub.ts';

/** Whoever asks without a lease gets one that lives so long: as etcd's sessions. */
const LEASE_TTL_MS = 60_000;

/** A place in a queue: a key that ends with a lease. */
export interface Place {
  readonly key: Uint8Array;
  readonly lease: bigint;
  /** Creating the key took the place: they come to the head in this order. */
  readonly createRevision: number;
}

/** A place as it was found or made. */
export interface Entry {
  readonly place: Place;
  /** What stands there now. */
  readonly value: Uint8Array;
  /** Nobody stands before it. */
  readonly isHead: boolean;
  /** The store's, when that was so. */
  readonly revision: number;
}

/**
 * The queue that locks and elections are made of, with etcd's keys, so that clients that make them
 * by themselves stand in it as well:
 *
 *   name "/" lease id in hexadecimal     attached to the lease
 *
 * The key that was created first is at the head. The others wait until all before them are gone.
 */
export class Queue {
  readonly #context: EtcdContext;
  readonly #hub: WatchHub;
  /** Every place's key begins with it. */
  readonly #prefix: Uint8Array;

  constructor(context: EtcdContext, hub: WatchHub, name: Uint8Array) {
    this.#context = context;
    this.#hub = hub;
    this.#prefix = concatBytes([name, utf8Bytes('/')]);
  }

  /** All places. */
  get range(): KeyRange {
    return prefixRange(this.#prefix);
  }

  /**
   * Takes a place, or finds that which the lease has already; lease 0: a new one. A place that was
   * taken for a call that is over is given up.
   * @throws GrpcError (rejects)
   */
  async enter(
    asked: { readonly lease: bigint; readonly value: Uint8Array },
    call: GrpcCall,
  ): Promise<Entry> {
    const { value } = asked;
    const lease = asked.lease === 0n ? await this.#grant() : asked.lease;
    const key = concatBytes([this.#prefix, utf8Bytes(textOf(lease))]);
    const { succeeded, results, revision } = await execute(this.#context, {
      type: 'txn',
      compares: [wasCreatedAt(key, 0)],
      success: [{ type: 'put', key, value, prevKv: false, lease }, oldestOf(this.range)],
      failure: [rangeOf(singleKey(key)), oldestOf(this.range)],
    });
    const [mine, oldest] = results;
    const found = succeeded ? null : firstOf(mine);
    const createRevision = found?.createRevision ?? revision;
    const place = { key, lease, createRevision };
    if (succeeded && call.signal.aborted) await this.#abandon(place, CANCELLED);
    return {
      place,
      value: found?.value ?? value,
      isHead: firstOf(oldest)?.createRevision === createRevision,
      revision,
    };
  }

  /**
   * Resolves with the store's revision when the place is at the head.
   * Rejects with a GrpcError, with `lost` when the key was deleted meanwhile, and when the call is
   * over; then the place is given up.
   */
  async reachHead(place: Place, call: GrpcCall, lost: Error): Promise<number> {
    try {
      for (;;) {
        const { kvs, revision } = await ask(this.#context, newestBefore(this.range, place));
        const [before] = kvs;
        if (before === undefined) break;
        await this.#deletion(before.key, revision, call);
      }
      const { kvs, revision } = await ask(this.#context, rangeOf(singleKey(place.key)));
      if (kvs[0]?.createRevision !== place.createRevision) throw lost;
      if (call.signal.aborted) throw CANCELLED;
      return revision;
    } catch (cause) {
      return await this.#abandon(place, cause);
    }
  }

  /**
   * Gives the place up, if it still is there. Resolves with the store's revision.
   * @throws GrpcError (rejects)
   */
  async leave(place: Pick<Place, 'key' | 'createRevision'>): Promise<number> {
    const { key, createRevision } = place;
    const { revision } = await execute(this.#context, {
      type: 'txn',
      compares: [wasCreatedAt(key, createRevision)],
      success: [{ type: 'delete', range: singleKey(key), prevKv: false }],
      failure: [],
    });
    return revision;
  }

  /**
   * Changes what stands at a place. Resolves with the revision of that; null: the place is gone.
   * @throws GrpcError (rejects)
   */
  async change({ key, lease, createRevision }: Place, value: Uint8Array): Promise<number | null> {
    const { succeeded, revision } = await execute(this.#context, {
      type: 'txn',
      compares: [wasCreatedAt(key, createRevision)],
      success: [{ type: 'put', key, value, prevKv: false, lease }],
      failure: [],
    });
    return succeeded ? revision : null;
  }

  /**
   * The place at the head; null when the queue is empty.
   * @throws GrpcError (rejects)
   */
  async head(): Promise<{ readonly kv: KeyValue | null; readonly revision: number }> {
    const { kvs, revision } = await ask(this.#context, oldestOf(this.range));
    return { kv: kvs[0] ?? null, revision };
  }

  /** Resolves when the key, which was there at `revision`, is deleted, or may have been. */
  #deletion(key: Uint8Array, revision: number, call: GrpcCall): Promise<void> {
    return new Promise((resolve, reject) => {
      const following = new Following(this.#hub, {
        range: singleKey(key.slice()),
        from: revision + 1,
        onChange: ({ type }) => {
          if (type === 'delete') end();
          return type === 'delete';
        },
        onCompacted: () => end(),
      });
      const watch = watchCall(this.#context, call, (reason) => {
        following.stop();
        reject(reason);
      });
      const end = (): void => {
        watch.cancel();
        resolve();
      };
    });
  }

  /** Gives a place up that nobody is waiting for. If that fails too, it ends with its lease. */
  async #abandon(place: Place, cause: unknown): Promise<never> {
    await Promise.allSettled([this.leave(place)]);
    throw cause;
  }

  async #grant(): Promise<bigint> {
    const bits = new DataView(this.#context.random.bytes(8).buffer).getBigUint64(0);
    const lease = BigInt.asUintN(63, bits) | 1n;
    await execute(this.#context, { type: 'leaseGrant', lease, ttlMs: LEASE_TTL_MS });
    return lease;
  }
}

/** As Go prints a signed number with "%x". */
function textOf(lease: bigint): string {
  return BigInt.asIntN(64, lease).toString(16);
}

function wasCreatedAt(key: Uint8Array, revision: number): Compare {
  const operand = { target: 'createRevision', value: revision } as const;
  return { range: singleKey(key), relation: 'equal', operand };
}

function rangeOf(range: KeyRange): Range {
  return { type: 'range', range, limit: 1, revision: null, keysOnly: false, countOnly: false };
}

function oldestOf(range: KeyRange): Range {
  return { ...rangeOf(range), order: { target: 'createRevision', descending: false } };
}

function newestBefore(range: KeyRange, { createRevision }: Place): Range {
  return {
    ...rangeOf(range),
    keysOnly: true,
    order: { target: 'createRevision', descending: true },
    bounds: {
      minModRevision: null,
      maxModRevision: null,
      minCreateRevision: null,
      maxCreateRevision: createRevision - 1,
    },
  };
}

function firstOf(result: TxnOperationResult | undefined): KeyValue | null {
  return result?.type === 'range' ? (result.kvs[0] ?? null) : null;
}

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type { EventMessage } from '../../src/etcd/messages/common.ts';
import type { Caller } from '../../src/etcd/testing/caller.ts';
import * as call from '../../src/etcd/testing/exchanges.ts';
import { utf8Bytes } from '../../src/lib/index.ts';
import { comparable } from './comparable.ts';
import { Requests } from './requests.ts';

/** Runs etcd's own tool; returns its standard output. */
export async function etcdctl(...args: string[]): Promise<string> {
  const env = { ...process.env, ETCDCTL_API: '3' };
  const { stdout } = await promisify(execFile)('etcdctl', args, { env });
  return stdout;
}

/** What `etcdctl snapshot status` says of a file. */
export interface DatabaseStatus {
  readonly hash: number;
  readonly revision: number;
  readonly totalKey: number;
  readonly totalSize: number;
}

export async function statusOf(file: string): Promise<DatabaseStatus> {
  return JSON.parse(await etcdctl('snapshot', 'status', file, '-w', 'json')) as DatabaseStatus;
}

/** The range of all keys. */
export const ALL = { key: new Uint8Array(1), range_end: new Uint8Array(1) };
const LARGE_BYTES = 20_000;

/** A history in which everything occurs, by the seed: many pages, rows that are longer than one. */
export async function makeHistory(side: Caller, { seed, steps }: { seed: number; steps: number }) {
  const requests = new Requests(seed);
  for (let step = 0; step < steps; step++) {
    const { exchange, value } = requests.next();
    // What is compacted last leaves a third of the steps to look back to.
    if (exchange === call.COMPACT && step > (2 * steps) / 3) continue;
    if (exchange === call.RANGE || exchange === call.HASH_KV) continue;
    const outcome = await side.call(exchange as typeof call.PUT, value);
    const revision = outcome.ok ? outcome.response.header?.revision : null;
    if (revision !== null && revision !== undefined) requests.revision = revision;
    if (exchange === call.COMPACT && outcome.ok)
      requests.compacted = Number((value as { revision: number }).revision);
  }
  for (let i = 0; i < 3; i++) {
    const value = new Uint8Array(LARGE_BYTES).fill(i);
    await side.call(call.PUT, { key: utf8Bytes(`large-${i % 2}`), value });
  }
  await side.call(call.GRANT, { ID: 0x7fff_ffff_ffff_ff00n, TTL: 100_000 });
  await side.call(call.PUT, { key: utf8Bytes('leased'), lease: 0x7fff_ffff_ffff_ff00n });
  const puts = Array.from({ length: 100 }, (_, i) => ({ key: utf8Bytes(`many-${i}`) }));
  for (const value of ['one', 'two', 'three'].map(utf8Bytes)) {
    await side.call(call.TXN, { success: puts.map((put) => ({ request_put: { ...put, value } })) });
  }
  await side.call(call.DELETE_RANGE, { key: utf8Bytes('many-2'), range_end: utf8Bytes('many-3') });
}

/** All that a client can see of a store, down to the oldest revision that is left. */
export async function contentOf(side: Caller): Promise<object> {
  const now = await demand(side, call.RANGE, { ...ALL, limit: 1 });
  const newest = now.header?.revision ?? 0;
  const hash = await demand(side, call.HASH_KV, {});
  const oldest = Math.max(1, hash.compact_revision);
  const revisions: object[] = [];
  for (let revision = oldest; revision <= newest; revision++) {
    const { kvs, count } = await demand(side, call.RANGE, { ...ALL, revision });
    const then = revision > oldest ? await demand(side, call.HASH_KV, { revision }) : null;
    revisions.push({ revision, count, kvs: comparable(kvs), hash: then?.hash });
  }
  const leases: object[] = [];
  for (const { ID } of (await demand(side, call.LEASES, {})).leases) {
    const lease = await demand(side, call.TIME_TO_LIVE, { ID, keys: true });
    leases.push({ ID, TTL: lease.grantedTTL, keys: comparable(lease.keys) });
  }
  leases.sort((a, b) =>
    JSON.stringify(comparable(a), text) < JSON.stringify(comparable(b), text) ? -1 : 1,
  );
  const events = (await eventsFrom(side, oldest + 1, newest)).map(comparable);
  return { newest, oldest, hash: hash.hash, revisions, leases, events };
}

function text(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

async function eventsFrom(side: Caller, from: number, to: number): Promise<EventMessage[]> {
  const stream = side.stream(call.WATCH);
  stream.send({ create_request: { ...ALL, start_revision: from, prev_kv: true } });
  const events: EventMessage[] = [];
  while ((events.at(-1)?.kv?.mod_revision ?? 0) < to && from <= to) {
    const response = await stream.next();
    expect(response.canceled, response.cancel_reason).toBe(false);
    events.push(...response.events);
  }
  stream.cancel();
  return events;
}

/** The answer to a call that must not be refused. */
export async function demand<Request, Response>(
  side: Caller,
  exchange: Parameters<typeof side.call<Request, Response>>[0],
  value: Parameters<typeof side.call<Request, Response>>[1],
): Promise<Response> {
  const outcome = await side.call(exchange, value);
  if (outcome.ok) return outcome.response;
  throw new Error(`${exchange.path}: ${outcome.text}`);
}

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyValue, StateFeed } from '../api/index.ts';
import { databaseOf } from '../bbolt/testing/tables.ts';
import { hashKeys } from '../etcd/hash-kv.ts';
import { ETCD_LIMITS, type EtcdMember } from '../etcd/index.ts';
import { systemClock } from '../io/index.ts';
import { StateView } from '../kv/index.ts';
import { Prng } from '../lib/index.ts';
import { checkDatabaseFile, isDatabaseFile } from './snapshot-database.ts';
import { SnapshotError } from './snapshot-file.ts';
import { importDatabase, verifyForImport } from './snapshot-import.ts';
import { MachineWorld, randomOperation } from './testing/database.ts';

const SEED = Number(process.env['QUORATE_TEST_SEED'] ?? 1);

let directory: string;
let files = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-import-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

function fileOf(bytes: Uint8Array): string {
  const path = join(directory, `${++files}.db`);
  writeFileSync(path, bytes);
  return path;
}

/** A file that etcd and etcdctl made, and what etcd said of it: src/bbolt/golden/make.sh. */
function golden(name: string): Buffer {
  return gunzipSync(readFileSync(new URL(`../bbolt/golden/${name}.gz`, import.meta.url)));
}

function imported(path: string): Promise<MachineWorld> {
  return MachineWorld.make((engine) => importDatabase(path, engine, {}));
}

describe('a snapshot that a real etcd made', () => {
  let path: string;
  let said: Record<string, unknown>[];

  beforeAll(() => {
    path = fileOf(golden('etcd-3.4.db'));
    // Ids are beyond what a number can say.
    const text = golden('etcd-3.4.jsonl')
      .toString()
      .replace(/"(lease|id)":(\d+)/g, '"$1":"$2"');
    said = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  });

  test('has the status that etcdctl prints', async () => {
    expect(await isDatabaseFile(path)).toBe(true);
    const [status] = said;
    expect(await checkDatabaseFile(path)).toEqual({
      hash: status?.['hash'],
      revision: status?.['revision'],
      rows: status?.['totalKey'],
      bytes: status?.['totalSize'],
      compactRevision: 7,
      changes: 489,
      leases: 2,
      sha256: golden('etcd-3.4.db').subarray(-32).toString('hex'),
    });
  });

  test('has the keys that etcd had, at every revision that is left', async () => {
    await verifyForImport(path, {});
    const world = await imported(path);
    const shown = (bytes: Uint8Array) =>
      bytes.length === 9_000 ? '9000 x' : Buffer.from(bytes).toString('base64');
    // Answers of any type; these are to ranges, and a wrong one has no `kvs` to compare.
    const revisions = world.revisions() as unknown as { readonly kvs: readonly KeyValue[] }[];
    const found = revisions.map(({ kvs }) =>
      kvs.map(({ key, value, createRevision, modRevision, version, lease }) => ({
        key: shown(key),
        create_revision: createRevision,
        mod_revision: modRevision,
        version,
        value: shown(value),
        ...(lease === undefined ? {} : { lease: `${lease}` }),
      })),
    );
    const gets = said.filter((line) => 'kvs' in line);
    expect(gets).toHaveLength(10);
    expect(found).toEqual(gets.map((line) => line['kvs']));
    const ids = said.flatMap((line) => (line['leases'] ?? []) as { id: string }[]);
    expect(world.leases().map(String).sort()).toEqual(ids.map(({ id }) => id).sort());
    expect(world.machine.recomputeStateHash()).toBe(world.machine.stateHash());
  });

  test('has the hash over its keys that etcd had', async () => {
    const world = await imported(path);
    world.compactToTheEnd();
    const { revision, compactRevision } = world.machine;
    const member = {
      feed: { revision, compactRevision, compacting: false } as StateFeed,
      rows: () => new StateView(world.store),
    } as Partial<EtcdMember> as EtcdMember;
    const random = { uint32: () => 0, bytes: (length: number) => new Uint8Array(length) };
    const context = { member, clock: systemClock, random, limits: ETCD_LIMITS };
    const { hash } = await hashKeys(context, 0);
    // What etcdctl printed, as JSON; a wrong shape has no hash to compare.
    const [hashKv] = said[1] as unknown as { HashKV: { hash: number } }[];
    expect(hash).toBe(hashKv?.HashKV.hash);
  });
});

describe('a state that goes through a file of etcd', () => {
  test('is seen as before, and changes as the one that it was made from', async () => {
    for (let seed = SEED; seed < SEED + 5; seed++) {
      const prng = new Prng(seed);
      const world = await MachineWorld.make();
      for (let i = 0; i < 400; i++) world.apply(randomOperation(prng, world, i < 300));
      // Half of them are taken in the middle of a compaction.
      if (prng.below(2) === 0) world.compactToTheEnd();
      else world.apply({ type: 'compact', revision: world.machine.revision - 20 });
      const again = await imported(fileOf(await world.database()));
      const at = `QUORATE_TEST_SEED=${seed}`;
      expect(again.content(), at).toBe(world.content());
      for (let i = 0; i < 200; i++) {
        const operation = randomOperation(prng, world, true);
        expect(again.apply(operation), `${at}, operation ${i}`).toEqual(world.apply(operation));
      }
      again.compactToTheEnd();
      world.compactToTheEnd();
      expect(again.content(), at).toBe(world.content());
      expect(again.machine.recomputeStateHash(), at).toBe(again.machine.stateHash());
    }
  });

  test('is the same state, whoever imports it', async () => {
    const world = await MachineWorld.make();
    const prng = new Prng(3);
    for (let i = 0; i < 200; i++) world.apply(randomOperation(prng, world, true));
    const path = fileOf(await world.database());
    const [one, other] = [await imported(path), await imported(path)];
    expect(one.machine.position).toEqual(other.machine.position);
    expect(one.machine.position).toMatchObject({ index: 1, term: 1, logTimeMs: 0 });
  });

  test('gives every lease its whole time from the first entry on', async () => {
    const world = await MachineWorld.make();
    world.apply({ type: 'leaseGrant', lease: 5n, ttlMs: 8_400 });
    const again = await imported(fileOf(await world.database()));
    again.apply();
    // etcd counts in seconds: nobody loses a part of one.
    expect(again.machine.nextLeaseDeadlineMs).toBeGreaterThan(0);
    const query = { type: 'leaseTimeToLive', lease: 5n, keys: false } as const;
    const answer = again.machine.query({ serializable: true, query });
    const fresh = await MachineWorld.make();
    fresh.apply({ type: 'leaseGrant', lease: 5n, ttlMs: 9_000 });
    expect(answer).toEqual(fresh.machine.query({ serializable: true, query }));
  });
});

describe('a file is refused', () => {
  const row = (key: string, value: string) => ({
    key: Buffer.from(key),
    value: Buffer.from(value),
  });

  /** The error of an import, in one line that names the file. */
  async function refusal(bytes: Uint8Array): Promise<string> {
    const path = fileOf(bytes);
    const error = await imported(path).then(
      () => null,
      (cause: unknown) => cause,
    );
    if (!(error instanceof SnapshotError)) throw new Error('not refused', { cause: error });
    expect(error.message).toMatch(/^\S+\.db: (?!\/)[^\n]+$/);
    return error.message;
  }

  test('when its SHA-256 is wrong or missing, unless that is not asked for', async () => {
    const bytes = golden('etcd-3.4.db');
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
    for (const [file, said] of [
      [bytes, /SHA-256 is [0-9a-f]{64}, and it says/],
      [bytes.subarray(0, -32), /it has no SHA-256.*--skip-hash-check/],
    ] as const) {
      const path = fileOf(file);
      await expect(verifyForImport(path, {})).rejects.toThrow(said);
      await verifyForImport(path, { skipHashCheck: true });
      expect((await imported(path)).machine.revision).toBe(16);
    }
    await expect(checkDatabaseFile(fileOf(bytes))).rejects.toThrow('SHA-256 is');
    expect(await checkDatabaseFile(fileOf(bytes.subarray(0, -32)))).toMatchObject({ sha256: null });
  });

  test('when it is of something else than etcd, or rows are none of etcd', async () => {
    expect(await refusal(await databaseOf({ other: [] }))).toMatch("no bucket 'key'");
    expect(await refusal(await databaseOf({ key: [row('key', 'value')] }))).toMatch('no change');
    const wrong = row('00000000_00000000', '');
    expect(await refusal(await databaseOf({ key: [wrong] }))).toMatch('has no revision');
    const lease = row('12345678', 'x');
    expect(await refusal(await databaseOf({ key: [], lease: [lease] }))).toMatch(/ends|lease/);
    const meta = row('finishedCompactRev', 'x');
    expect(await refusal(await databaseOf({ key: [], meta: [meta] }))).toMatch('no revision');
  });

  test('when clients have to log in there', async () => {
    const auth = [row('authEnabled', '\x01')];
    expect(await refusal(await databaseOf({ auth, key: [] }))).toMatch('etcdctl auth disable');
    const off = await databaseOf({ auth: [row('authEnabled', '\x00')], key: [] });
    expect((await imported(fileOf(off))).machine.revision).toBe(1);
  });

  test('when a key or a value is longer than ours may be', async () => {
    for (const [keyBytes, valueBytes] of [
      [1_537, 0],
      [1, 1.5 * 1024 * 1024 + 1],
    ] as const) {
      const change = changeRow({ revision: 2, keyBytes, valueBytes });
      expect(await refusal(await databaseOf({ key: [change] }))).toMatch(/'k+' has \d+ bytes/);
    }
    const longest = changeRow({ revision: 2, keyBytes: 1_536, valueBytes: 1.5 * 1024 * 1024 });
    const world = await imported(fileOf(await databaseOf({ key: [longest] })));
    expect(world.machine.revision).toBe(2);
  });

  test('in one line, or makes a sound state, whatever its rows are', async () => {
    const world = await MachineWorld.make();
    const source = new Prng(5);
    for (let i = 0; i < 25; i++) world.apply(randomOperation(source, world, true));
    const sound = (await world.database()).subarray(0, -32);
    const prng = new Prng(SEED);
    let refused = 0;
    for (let n = 0; n < 150; n++) {
      const bytes = Buffer.from(sound);
      // The rows are at the beginning of pages; the rest of a page is empty.
      for (let i = 1 + prng.below(3); i > 0; i--) {
        const page = 2 + prng.below(bytes.length / 4096 - 3);
        bytes.writeUInt8(prng.below(256), page * 4096 + 16 + prng.below(1_000));
      }
      const path = fileOf(bytes);
      const made = await imported(path).catch((error: unknown) => {
        if (!(error instanceof SnapshotError)) throw error;
        expect(error.message).toMatch(/^\S+\.db: (?!\/)[^\n]+$/);
        expect(error.message).not.toMatch('invariant');
        return null;
      });
      rmSync(path);
      if (made === null) refused++;
      else expectSound(made, `file ${n}: QUORATE_TEST_SEED=${SEED}`);
    }
    expect(refused).toBeGreaterThan(10);
    expect(refused).toBeLessThan(140);
  });

  test('when it is left by the signal', async () => {
    const signal = AbortSignal.abort(new Error('called off'));
    const path = fileOf(golden('etcd-3.4.db'));
    await expect(verifyForImport(path, { signal })).rejects.toThrow('called off');
    await expect(checkDatabaseFile(path, { signal })).rejects.toThrow('called off');
    const taken = MachineWorld.make((engine) => importDatabase(path, engine, { signal }));
    await expect(taken).rejects.toThrow('called off');
  });
});

/** A state that can be worked with, and that knows its own hash. */
function expectSound(world: MachineWorld, at: string): void {
  const operations = [
    { type: 'put', key: Buffer.from('a'), value: Buffer.from('b'), prevKv: false },
    { type: 'leaseRevoke', lease: 1n },
    { type: 'delete', range: { from: new Uint8Array(0), to: null }, prevKv: true },
    { type: 'compact', revision: world.machine.revision },
  ] as const;
  for (const operation of operations) world.apply(operation);
  world.compactToTheEnd();
  expect(world.machine.recomputeStateHash(), at).toBe(world.machine.stateHash());
}

/** A put of a key of k's, with the KeyValue spelt out. */
function changeRow(sizes: { revision: number; keyBytes: number; valueBytes: number }) {
  const { revision, keyBytes, valueBytes } = sizes;
  const key = Buffer.alloc(17);
  key.writeBigUInt64BE(BigInt(revision), 0);
  key.write('_', 8);
  const bytes = (field: number, content: Buffer): Buffer => {
    const length: number[] = [];
    for (let rest = content.length; ; rest >>>= 7) {
      if (rest < 0x80) return Buffer.concat([Buffer.from([field, ...length, rest]), content]);
      length.push((rest & 0x7f) | 0x80);
    }
  };
  const numbers = Buffer.from([0x10, revision, 0x18, revision, 0x20, 1]);
  const parts = [bytes(0x0a, Buffer.alloc(keyBytes, 'k')), numbers];
  return { key, value: Buffer.concat([...parts, bytes(0x2a, Buffer.alloc(valueBytes))]) };
}

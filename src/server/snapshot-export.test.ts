import { expect, test } from 'vitest';
import { BoltReader, bytesSource } from '../bbolt/index.ts';
import { pageUse, tablesIn } from '../bbolt/testing/tables.ts';
import { databaseBuckets } from '../etcd/index.ts';
import { type Clock, memoryDisk, systemClock } from '../io/index.ts';
import { StateView } from '../kv/index.ts';
import { Prng, utf8Bytes } from '../lib/index.ts';
import { exportDatabase } from './snapshot-export.ts';
import { MachineWorld, randomOperation } from './testing/database.ts';

const MEMBERS = [
  {
    memberId: 0xfedc_ba98_7654_3210n,
    name: 'm1',
    peerUrls: ['http://10.0.0.1:2380'],
    clientUrls: ['http://10.0.0.1:2379'],
    isLearner: false,
  },
];

const INDEX_7 = '\0\0\0\0\0\0\0\x07';
const REVISION_3 = '\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\0';

/** What an export stands on. */
function parts(world: MachineWorld, options: { clock?: Clock; signal?: AbortSignal } = {}) {
  const disk = memoryDisk();
  const { clock = systemClock, signal = new AbortController().signal } = options;
  const view = world.engine.view();
  return { disk, clock, directory: '/data', view, members: MEMBERS, signal };
}

function put(key: string, bytes: number) {
  const value = new Uint8Array(bytes).fill(0x76);
  return { type: 'put', key: utf8Bytes(key), value, prevKv: false } as const;
}

test('the file has the buckets of an etcd, row by row', async () => {
  const world = await MachineWorld.make();
  world.apply({ type: 'leaseGrant', lease: 2n ** 63n - 1n, ttlMs: 60_000 });
  world.apply({ ...put('a', 1), lease: 2n ** 63n - 1n }, put('b', 2));
  world.apply({ type: 'delete', range: { from: utf8Bytes('b'), to: null }, prevKv: false });
  world.apply({ type: 'txn', compares: [], success: [put('c', 1), put('d', 1)], failure: [] });
  world.apply({ type: 'compact', revision: 3 });
  world.compactToTheEnd();
  while (world.machine.position.index < 7) world.apply();
  const file = (await world.database()).subarray(0, -32);
  const lease = '\x7f\xff\xff\xff\xff\xff\xff\xff';
  const ID = `${'\xff'.repeat(8)}\x7f`;
  expect(tablesIn(new BoltReader(bytesSource(file)))).toEqual({
    alarm: [],
    auth: [],
    authRoles: [],
    authUsers: [],
    cluster: [['clusterVersion', '3.4.0']],
    key: [
      ['\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0', `\n\x01a\x10\x02\x18\x02 \x01*\x01v0${ID}`],
      ['\0\0\0\0\0\0\0\x03_\0\0\0\0\0\0\0\0', '\n\x01b\x10\x03\x18\x03 \x01*\x02vv'],
      ['\0\0\0\0\0\0\0\x04_\0\0\0\0\0\0\0\0t', '\n\x01b'],
      ['\0\0\0\0\0\0\0\x05_\0\0\0\0\0\0\0\0', '\n\x01c\x10\x05\x18\x05 \x01*\x01v'],
      ['\0\0\0\0\0\0\0\x05_\0\0\0\0\0\0\0\x01', '\n\x01d\x10\x05\x18\x05 \x01*\x01v'],
    ],
    lease: [[lease, `\b${ID}\x10<`]],
    members: [],
    members_removed: [],
    meta: [
      ['consistent_index', INDEX_7],
      ['finishedCompactRev', REVISION_3],
      ['scheduledCompactRev', REVISION_3],
    ],
  });
  expect(pageUse(file).uses.every((times) => times === 1)).toBe(true);
});

test('a compaction that is not done is only scheduled in the file', async () => {
  const world = await MachineWorld.make();
  for (let i = 0; i < 2_000; i++) world.apply(put('a', 1));
  world.apply({ type: 'compact', revision: 1_999 });
  expect(world.machine.compacting).toBe(true);
  const reader = new BoltReader(bytesSource((await world.database()).subarray(0, -32)));
  const { meta, key } = tablesIn(reader);
  expect(meta?.map(([name]) => name)).toEqual(['consistent_index', 'scheduledCompactRev']);
  expect(key?.length).toBeGreaterThan(1_000);
});

test('members are told as etcd does it, with the whole of their ids', async () => {
  const world = await MachineWorld.make();
  const made = parts(world);
  const file = await exportDatabase(made);
  const reader = new BoltReader(bytesSource(await file.read({ offset: 0, length: file.bytes })));
  expect(tablesIn(reader)['members']).toEqual([
    [
      'fedcba9876543210',
      '{"id":18364758544493064720,"peerURLs":["http://10.0.0.1:2380"],"name":"m1",' +
        '"clientURLs":["http://10.0.0.1:2379"]}',
    ],
  ]);
});

test('what is written meanwhile is not in the file, and no turn takes long', async () => {
  const world = await MachineWorld.make();
  for (let i = 0; i < 40; i++) world.apply(...Array.from({ length: 50 }, () => put(`k${i}`, 9)));
  await world.flush();
  const { revision } = world.machine;
  let turns = 0;
  const clock: Clock = {
    ...systemClock,
    defer(run) {
      turns++;
      world.apply(put('later', 100));
      systemClock.defer(run);
    },
  };
  const file = await exportDatabase(parts(world, { clock }));
  const reader = new BoltReader(bytesSource(await file.read({ offset: 0, length: file.bytes })));
  const { key } = tablesIn(reader);
  expect(key).toHaveLength(2_000);
  expect(key?.at(-1)?.[0].charCodeAt(7)).toBe(revision & 0xff);
  // 2,000 rows, 256 at a time.
  expect(turns).toBeGreaterThanOrEqual(8);
});

test('a state of 64 MiB comes whole, and no turn makes much of it', async () => {
  const world = await MachineWorld.make();
  const MIB = 1024 * 1024;
  // Some large values, and many small ones.
  for (let i = 0; i < 48; i++) world.apply(put(`large-${i}`, MIB));
  const few = Array.from({ length: 128 }, (_, i) => put(`small-${i}`, 1_000));
  for (let i = 0; i < 128; i++) {
    world.apply({ type: 'txn', compares: [], success: few, failure: [] });
  }
  await world.flush();
  let [largest, most] = [0, 0];
  const view = world.engine.view();
  const state = { rows: new StateView(view), index: 1, members: [] };
  for (const { batches } of databaseBuckets(state)) {
    for (const batch of batches) {
      const bytes = batch.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
      largest = Math.max(largest, bytes);
      most = Math.max(most, batch.length);
    }
  }
  view.close();
  // One value that is larger than a batch has one for itself, or ends it.
  expect(largest).toBeLessThan(MIB + 128 * 1024);
  expect(most).toBeLessThanOrEqual(256);
  const file = await exportDatabase(parts(world));
  expect(file.bytes).toBeGreaterThan(64 * MIB);
  const reader = new BoltReader(bytesSource(await file.read({ offset: 0, length: file.bytes })));
  expect(tablesIn(reader)['key']).toHaveLength(48 + 128 * 128);
  await file.close();
});

test('the file has no name, and goes when it is closed or not wanted any more', async () => {
  const world = await MachineWorld.make();
  const prng = new Prng(1);
  for (let i = 0; i < 100; i++) world.apply(randomOperation(prng, world, true));
  await world.flush();
  const made = parts(world);
  const file = await exportDatabase(made);
  expect(made.disk.paths()).toEqual([]);
  expect(() => [...made.view.rows()]).toThrow('closed');
  await file.close();
  await file.close();

  const over = new AbortController();
  const clock: Clock = {
    ...systemClock,
    defer(run) {
      over.abort(new Error('the client is gone'));
      systemClock.defer(run);
    },
  };
  const left = parts(world, { clock, signal: over.signal });
  const closed: string[] = [];
  left.disk.intercept = ({ kind }) => {
    if (kind === 'close') closed.push(kind);
    return 'run';
  };
  await expect(exportDatabase(left)).rejects.toThrow('the client is gone');
  expect(closed).toEqual(['close']);
  expect(() => [...left.view.rows()]).toThrow('closed');
});

import { expect, test } from 'vitest';
import { utf8Bytes } from '../lib/index.ts';
import { hashKeys, type KeysHash } from './hash-kv.ts';
import type { EtcdLimits } from './limits.ts';
import { WatchWorld } from './testing/world.ts';

const put = (key: string, value: string) =>
  ({ type: 'put', key: utf8Bytes(key), value: utf8Bytes(value), prevKv: false }) as const;
const remove = (key: string) =>
  ({
    type: 'delete',
    range: { from: utf8Bytes(key), to: utf8Bytes(`${key}\0`) },
    prevKv: false,
  }) as const;

/** Forty changes of ten keys, at the revisions 2 … 41, two of them deletions. */
function filled(limits: Partial<EtcdLimits> = {}): WatchWorld {
  const world = new WatchWorld(limits);
  for (let i = 0; i < 40; i++) {
    const key = `k${i % 10}`;
    world.apply(i % 15 === 14 ? remove(key) : put(key, `${i}`));
  }
  return world;
}

/** Lets turns pass, and calls `between` in each, until the hash is there. */
async function hashed(
  world: WatchWorld,
  revision: number,
  between: () => void = () => {},
): Promise<KeysHash> {
  let end: (() => KeysHash) | null = null;
  hashKeys(world.context, revision).then(
    (hash) => {
      end = () => hash;
    },
    (error: Error) => {
      end = () => {
        throw error;
      };
    },
  );
  while (end === null) {
    between();
    world.clock.pass(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (end as () => KeysHash)();
}

test('the hash is the one that etcd 3.4.23 has after the same command', async () => {
  const world = new WatchWorld();
  world.apply(put('a', '1'));
  expect(await hashed(world, 0)).toEqual({ hash: 2_587_454_935, revision: 2, compactRevision: 0 });
});

test('the hash of a revision stays the same while the store goes on', async () => {
  const world = filled({ hashPageBytesMax: 1 });
  const { hash } = await hashed(filled(), 0);
  let turns = 0;
  const later = await hashed(world, 41, () => {
    turns++;
    world.apply(put('k1', `${turns}`), put('other', ''));
  });
  expect(later.hash).toBe(hash);
  expect(turns).toBeGreaterThan(20);
  expect((await hashed(world, 40)).hash).not.toBe(hash);
});

test('a compaction changes the hash, and begins it again if it comes in between', async () => {
  const compacted = filled();
  compacted.apply({ type: 'compact', revision: 20 });
  const expected = await hashed(compacted, 30);
  expect(expected).toMatchObject({ compactRevision: 20, revision: 41 });
  expect(expected.hash).not.toBe((await hashed(filled(), 30)).hash);

  const world = filled({ hashPageBytesMax: 1 });
  let turn = 0;
  const hash = await hashed(world, 30, () => {
    if (++turn === 5) world.apply({ type: 'compact', revision: 20 });
  });
  expect(hash).toEqual(expected);
});

test('revisions are refused that are compacted, also in between, or in the future', async () => {
  const world = filled({ hashPageBytesMax: 1 });
  await expect(hashed(world, 42)).rejects.toThrow('required revision is a future revision');
  world.apply({ type: 'compact', revision: 20 });
  await expect(hashed(world, 20)).rejects.toThrow('required revision has been compacted');
  let turn = 0;
  const overtaken = hashed(world, 25, () => {
    if (++turn === 5) world.apply({ type: 'compact', revision: 26 });
  });
  await expect(overtaken).rejects.toThrow('required revision has been compacted');
});

test('it waits for the end of a compaction, and gives up if there is none', async () => {
  const world = new WatchWorld();
  for (let i = 0; i < 600; i++) world.apply(put(`k${i}`, ''));
  world.apply({ type: 'compact', revision: 500 });
  expect(world.machine.compacting).toBe(true);
  const late = hashed(world, 0, () => world.clock.pass(world.context.limits.compactionWaitMs));
  await expect(late).rejects.toThrow('request timed out');
  expect(world.listeners).toBe(0);
  const { compactRevision } = await hashed(world, 0, () => world.apply({ type: 'skip' }));
  expect(compactRevision).toBe(500);

  const busy = filled({ hashPageBytesMax: 1 });
  let revision = 1;
  const never = hashed(busy, 0, () => {
    if (busy.machine.compacting) return;
    busy.apply(put('k', ''), { type: 'compact', revision: ++revision });
  });
  await expect(never).rejects.toThrow('request timed out');
});

test('a member that is closed says so', async () => {
  const world = filled();
  const member = { ...world.context.member, rows: () => null };
  await expect(hashKeys({ ...world.context, member }, 0)).rejects.toThrow('server stopped');
});

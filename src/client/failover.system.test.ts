import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ProcessCluster } from '../cli/cluster/index.ts';
import { eventually, quorateCommand } from '../cli/testing/process.ts';
import { Clerk } from './clerk.ts';

/* Watches, locks and leases on three real members, whose leader is killed in between. */

/** Elections take their time where many tests share two cores. */
const TIMEOUT_MS = 60_000;

let directory: string;
let cluster: ProcessCluster;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-failover-'));
  const command = [...quorateCommand(), 'serve'];
  cluster = await ProcessCluster.start({ command, directory, members: 3 });
});

afterAll(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true });
});

function connect(): Promise<Clerk> {
  return Clerk.connect({ endpoints: cluster.endpoints, requestTimeoutMs: 20_000 });
}

/** Kills whoever leads, and starts it again when another one does. */
async function failOver(): Promise<void> {
  const leader = await eventually('a leader', 10_000, () => cluster.leader());
  await cluster.kill(leader);
  await eventually('another leader', 15_000, async () => {
    const now = await cluster.leader();
    return now !== null && now !== leader ? now : null;
  });
  await cluster.restart(leader);
}

describe('while leaders are killed', () => {
  test(
    'a watch sees every change once and in order',
    async () => {
      await using writer = await connect();
      await using watcher = await connect();
      const expected = Array.from({ length: 300 }, (_, i) => String(i));
      const watch = await watcher.watch({ prefix: 'n/' });
      const seen: { value: string; revision: number }[] = [];
      const watching = (async () => {
        for await (const { events } of watch) {
          for (const event of events) {
            if (event.type !== 'put') throw new Error('nobody deletes');
            seen.push({ value: event.entry.value, revision: event.entry.modRevision });
          }
          if (seen.length >= expected.length) return;
        }
      })();
      for (const value of expected) {
        if (value === '100' || value === '200') await failOver();
        await writer.put(`n/${Number(value) % 3}`, value);
      }
      await watching;
      expect(seen.map(({ value }) => value)).toEqual(expected);
      const revisions = seen.map(({ revision }) => revision);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    },
    TIMEOUT_MS,
  );

  test(
    'a lock stays exclusive: no increment is lost, and its tokens rise',
    async () => {
      await using a = await connect();
      await using b = await connect();
      const tokens: number[] = [];
      const work = [a, b].map(async (clerk) => {
        for (let i = 0; i < 25; i++) {
          await using lock = await clerk.lock('counting', { ttlMs: 60_000 });
          tokens.push(lock.fencingToken);
          const before = Number((await clerk.get('counter')) ?? 0);
          await clerk.put('counter', String(before + 1));
        }
      });
      const disturbance = (async () => {
        for (const count of [10, 30]) {
          await eventually('some increments', 20_000, () => (tokens.length >= count ? true : null));
          await failOver();
        }
      })();
      await Promise.all([...work, disturbance]);
      expect(await a.get('counter')).toBe('50');
      expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
      expect(new Set(tokens).size).toBe(50);
    },
    TIMEOUT_MS,
  );

  test(
    'a held lease is not lost',
    async () => {
      await using clerk = await connect();
      const lease = await clerk.lease({ ttlMs: 30_000 });
      await clerk.put('held', '', { lease: lease.id });
      await failOver();
      expect(lease.signal.aborted).toBe(false);
      expect((await clerk.getEntry('held'))?.lease).toBe(lease.id);
      await lease.revoke();
      expect(await clerk.getEntry('held')).toBeNull();
    },
    TIMEOUT_MS,
  );
});

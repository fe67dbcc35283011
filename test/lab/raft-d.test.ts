import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from './lab.ts';

/*
 * The lab's Raft part D, snapshots, on real processes: rounds in which one member is away, cut off
 * or killed, for longer than the log reaches, and comes back on a snapshot. Every third victim is
 * the leader. (On virtual time: test/virtual/raft-d-snapshots.test.ts.)
 */
const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const ROUNDS = FULL ? 30 : 2;
const SEED = Number(process.env['SEED'] ?? 1);
const MEBIBYTE = 1024 * 1024;
/** The smallest that a server takes. */
const LOG_BYTES_MAX = 8 * MEBIBYTE;
const SEGMENT_BYTES = 16 * MEBIBYTE;
const SNAPSHOT_COUNT = 10;
const FLAGS = [
  '--snapshot-count',
  String(SNAPSHOT_COUNT),
  '--max-log-bytes',
  String(LOG_BYTES_MAX),
];
/** More than the log keeps for a member that is away; and time for a flush, behind which it is cut. */
const PUTS_AWAY = 2 * SNAPSHOT_COUNT + 5;
const AWAY_MS = 200;

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.start(3, SEED, FLAGS);
}, 30_000);
afterEach(() => lab.renew(SEED));
afterAll(() => lab.close(), 30_000);

/** The mildest and the hardest in every run, all of the lab's at full scale. */
const INSTALLS = [
  { title: 'SnapshotInstall', crash: false, unreliable: false, always: true },
  { title: 'SnapshotInstallUnreliable', crash: false, unreliable: true, always: false },
  { title: 'SnapshotInstallCrash', crash: true, unreliable: false, always: false },
  { title: 'SnapshotInstallUnCrash', crash: true, unreliable: true, always: true },
];

describe('lab 3D, on real processes', () => {
  test.each(INSTALLS.filter(({ always }) => FULL || always))(
    '$title: whoever comes back goes on from a snapshot',
    { timeout: 30_000 * ROUNDS },
    async ({ title, crash, unreliable }) => {
      const clerk = await lab.clerk('c');
      let puts = 0;
      const put = (): Promise<unknown> => clerk.put(title, String(++puts));
      if (unreliable) lab.setUnreliable(true, { clients: false });
      for (let round = 0; round < ROUNDS; round++) {
        const leader = await lab.leader();
        const followers = lab.members.filter((name) => name !== leader);
        const victim =
          round % 3 === 1 ? leader : (followers[lab.prng.below(followers.length)] ?? leader);
        const others = lab.members.filter((name) => name !== victim);
        const stateBefore = newestState(victim);
        if (crash) await lab.cluster.kill(victim);
        else lab.cluster.links.partition([others, [victim]]);
        const endMs = performance.now() + AWAY_MS;
        for (let n = 0; n < PUTS_AWAY || performance.now() < endMs; n++) await put();
        await expectShortLogs(others);
        if (crash) await lab.cluster.restart(victim);
        else {
          lab.loseUnderWay(victim);
          lab.cluster.links.heal();
        }
        await put();
        await lab.agreement();
        expect(newestState(victim), `round ${round}: no snapshot came`).toBeGreaterThan(
          stateBefore,
        );
        expect(await clerk.get(title)).toBe(String(puts));
      }
      await expectShortLogs(lab.members);
    },
  );

  test('SnapshotAllCrash: all killed at once, after more entries than the log keeps', {
    timeout: 30_000 * ROUNDS,
  }, async () => {
    const clerk = await lab.clerk('c');
    let puts = 0;
    for (let round = 0; round < (FULL ? 5 : 1); round++) {
      const count = 5 + lab.prng.below(10);
      for (let n = 0; n < count; n++) await clerk.put('all', String(++puts));
      const before = await appliedByAll();
      await lab.crashAll(lab.prng.below(200));
      expect(await clerk.get('all')).toBe(String(puts));
      await clerk.put('all', String(++puts));
      expect(await appliedByAll()).toBeGreaterThan(before);
    }
  });

  test('SnapshotInit: killed again before anything new is in a snapshot', {
    timeout: 60_000,
  }, async () => {
    const clerk = await lab.clerk('c');
    for (let n = 1; n <= SNAPSHOT_COUNT + 1; n++) await clerk.put('init', String(n));
    for (const value of ['first', 'second']) {
      await lab.crashAll(0);
      await clerk.put('init', value);
    }
    expect(await clerk.get('init')).toBe('second');
    const { version } = (await clerk.getEntry('init')) ?? {};
    expect(version).toBe(SNAPSHOT_COUNT + 3);
    await lab.agreement();
  });
});

/** The generation of a member's state: each snapshot that it installs is a new one. */
function newestState(member: string): number {
  const names = readdirSync(join(lab.dataDirectory(member), 'state'));
  const generations = names.filter((name) => name.endsWith('.lmdb')).map(Number.parseFloat);
  return Math.max(...generations);
}

async function expectShortLogs(members: readonly string[]): Promise<void> {
  const statuses = await lab.cluster.statuses();
  for (const name of members) {
    // Segments are removed as a whole.
    const bytes = statuses.get(name)?.logBytes;
    expect(bytes, `log of ${name}`).toBeLessThanOrEqual(2 * LOG_BYTES_MAX + SEGMENT_BYTES);
  }
}

/** The index that all members have applied, as soon as it is the same one. */
async function appliedByAll(): Promise<number> {
  await lab.agreement();
  const statuses = [...(await lab.cluster.statuses()).values()];
  return Math.max(...statuses.map(({ appliedIndex }) => appliedIndex));
}

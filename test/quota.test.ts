import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clerk } from '../src/client/index.ts';
import { Members } from './members.ts';

const MIB = 1024 * 1024;
const QUOTA_BYTES = 2 * MIB;
const VALUE = new Uint8Array(64 * 1024).fill(0x76);
/** So many values are more than the quota, however little the tables take besides. */
const PUTS_MAX = QUOTA_BYTES / VALUE.length;

let members: Members;
let clerk: Clerk;
beforeEach(async () => {
  // Flushed after every entry or two: what is used is known at once.
  members = await Members.start(3, { quotaBackendBytes: QUOTA_BYTES, snapshotCount: 4 });
  clerk = await members.clerk();
});
afterEach(async () => {
  await clerk.close();
  await members.close();
});

/** Puts until one is refused; how many were taken. */
async function fill(): Promise<number> {
  for (let taken = 0; taken <= PUTS_MAX; taken++) {
    try {
      await clerk.put(`key-${taken}`, VALUE);
    } catch (error) {
      expect(error).toMatchObject({ code: 'NO_SPACE', outcome: 'notApplied' });
      return taken;
    }
  }
  throw new Error('more was taken than the quota allows');
}

async function takesAgain(): Promise<void> {
  await expect
    .poll(
      () =>
        clerk.put('again', 'v').then(
          () => 'taken',
          (error: { code?: string }) => error.code,
        ),
      { timeout: 10_000 },
    )
    .toBe('taken');
}

describe('a state at its quota', () => {
  test('takes no writes, and everything that reads or makes room; then writes again', async () => {
    const taken = await fill();
    expect(taken).toBeGreaterThan(PUTS_MAX / 4);
    await expect(clerk.append('key-0', 'more')).rejects.toMatchObject({ code: 'NO_SPACE' });
    const put = { put: 'key-0', value: 'v' } as const;
    await expect(clerk.txn({ success: [put] })).rejects.toMatchObject({ code: 'NO_SPACE' });
    // What was refused has not happened; reading goes on.
    expect(await clerk.get('key-0', { as: 'bytes' })).toEqual(VALUE);
    expect(await clerk.get(`key-${taken}`)).toBeNull();
    for (let n = 0; n < taken; n++) await clerk.delete(`key-${n}`);
    // A deletion makes no room while the history is kept: that takes a compaction.
    await expect(clerk.put('key-0', VALUE)).rejects.toMatchObject({ code: 'NO_SPACE' });
    const { revision } = await clerk.status();
    await clerk.compact(revision);
    await takesAgain();
    expect(members.lines).toContainEqual(expect.stringMatching(/there is space again/));
    expect(await fill()).toBeGreaterThan(PUTS_MAX / 4);
  });

  test('is still at its quota after all members were started again', async () => {
    await fill();
    await clerk.close();
    for (const name of ['m1', 'm2', 'm3']) await members.stop(name);
    await Promise.all(['m1', 'm2', 'm3'].map((name) => members.start(name)));
    clerk = await members.clerk();
    await expect(clerk.put('more', VALUE)).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(await clerk.get('key-0', { as: 'bytes' })).toEqual(VALUE);
  });
});

import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import type { ProposeOutcome } from './index.ts';
import { converge, LIVE_BYTES_MAX, TIGHT } from './testing/catch-up.ts';
import { Group, type Pending, type TestMember } from './testing/group.ts';

const SEEDS = process.env['QUORATE_TEST_SCALE'] === 'full' ? 1_000 : 40;
const STEPS = 150;

/** Faults and load at random; then everything is mended, and the members must agree. */
class Storm {
  readonly group: Group;
  readonly #prng: Prng;
  readonly #calls = new Map<string, Pending<ProposeOutcome>>();
  readonly reached = { installed: 0, reset: 0, lostPower: 0 };

  constructor(seed: number) {
    this.#prng = new Prng(seed + 1_000_000);
    this.group = new Group({
      size: this.#prng.chance(0.7) ? 3 : 5,
      seed,
      compaction: TIGHT,
      snapshotLimits: { windowBytesMax: 200, resendMs: 100, resendsMax: 3, retryMs: 50 },
      chunkBytesMax: 20 + this.#prng.below(200),
      lossy: this.#prng.chance(0.5),
    });
  }

  #any(): TestMember {
    return this.group.members[this.#prng.below(this.group.members.length)] as TestMember;
  }

  step(): void {
    const { group } = this;
    const member = this.#any();
    const dice = this.#prng.below(100);
    if (dice < 60) this.#propose();
    else if (dice < 68) group.isolate(member);
    else if (dice < 78) group.heal();
    else if (dice < 84) this.#crash(member);
    else if (dice < 90) this.#startAll();
    else if (dice < 94) member.storage.stalled = !member.storage.stalled;
    else if (dice < 96) member.wal.syncMs = this.#prng.below(30);
    else member.storage.writeMs = this.#prng.below(50);
    group.clock.advance(this.#prng.chance(0.3) ? 2 : this.#prng.below(40));
  }

  #propose(): void {
    for (const member of this.group.members) {
      if (!member.life.alive || member.replica.status().role !== 'leader') continue;
      const text = `p${this.#calls.size}`;
      this.#calls.set(text, this.group.propose(member, text));
    }
    if (!this.#prng.chance(0.1)) return;
    this.group.clock.advance(1);
    this.#crash(this.#any());
  }

  #crash(member: TestMember): void {
    if (!member.life.alive) return;
    if (member.wal.unsynced > 0) this.reached.lostPower++;
    this.group.crash(member);
  }

  #startAll(): void {
    for (const member of this.group.members) {
      if (member.life.alive) continue;
      this.group.start(member);
      if (member.wal.recovery.reset) this.reached.reset++;
    }
  }

  calm(): void {
    const { group } = this;
    group.heal();
    group.lossy = false;
    this.#startAll();
    for (const { storage } of group.members) {
      storage.writeMs = 2;
      storage.resume();
    }
    group.commit('calm', group.members.length);
    expect(converge(group), 'the members converge').toBe(true);
    for (const { id, life, logBytesMax } of group.members) {
      expect(life.failure, `member ${id}`).toBeNull();
      expect(logBytesMax, `live log of member ${id}`).toBeLessThanOrEqual(LIVE_BYTES_MAX + 100);
    }
    const applied = new Set(group.leader().machine.applied);
    for (const [text, { outcome }] of this.#calls) {
      if (outcome?.type === 'applied') expect(applied, 'an acknowledged write').toContain(text);
      if (outcome?.type === 'notLeader') expect(applied).not.toContain(text);
      if (outcome?.type === 'overloaded') expect(applied).not.toContain(text);
    }
    expect(applied.size).toBe(group.leader().machine.applied.length);
    this.reached.installed = group.bulk.filter(
      (message) => 'status' in message && message.status === 'installed',
    ).length;
  }
}

describe('storms: power cuts, cut links, stalled disks, lost messages', () => {
  const reached = { installed: 0, reset: 0, lostPower: 0 };

  test.each(Array.from({ length: SEEDS }, (_, seed) => seed))(
    'seed %i: acknowledged writes stay, everybody ends in the same state',
    (seed) => {
      const storm = new Storm(seed);
      try {
        for (let i = 0; i < STEPS; i++) storm.step();
        storm.calm();
      } finally {
        storm.group.close();
      }
      reached.installed += storm.reached.installed;
      reached.reset += storm.reached.reset;
      reached.lostPower += storm.reached.lostPower;
    },
  );

  test('they come into the corners that matter', () => {
    expect(reached.installed).toBeGreaterThan(SEEDS / 2);
    expect(reached.reset).toBeGreaterThan(0);
    expect(reached.lostPower).toBeGreaterThan(SEEDS / 2);
  });
});

import { Group, type GroupOptions, type TestMember } from './group.ts';

/** Bounds so small that a few commands overstep them. */
export const TIGHT = { bytesMax: 300, entriesMax: 1_000, unflushedBytesMax: 10_000 };

/** The live log never exceeds twice its bound (the lab's Part D asks the same of its 1,000). */
export const LIVE_BYTES_MAX = 2 * TIGHT.bytesMax;

/** A group in which one follower was away for so long that only a snapshot helps it. */
export interface Lagging {
  readonly group: Group;
  readonly leader: TestMember;
  readonly laggard: TestMember;
}

/** Commits one command after the other, so that each makes an entry. */
export function load(group: Group, from: number, count: number, on: number): void {
  for (let i = from; i < from + count; i++) group.commit(`c${i}`, on);
}

/** The links of the laggard are still cut. */
export function lagging(options: Partial<GroupOptions> & { seed: number }): Lagging {
  const group = new Group({ size: 3, compaction: TIGHT, ...options });
  load(group, 0, 3, group.members.length);
  const leader = group.leader();
  const [laggard = leader] = group.followers();
  group.isolate(laggard);
  load(group, 3, 30, group.members.length - 1);
  group.clock.advance(100);
  const { firstIndex } = leader.replica.status();
  if (firstIndex <= laggard.replica.status().lastIndex + 1) throw new Error('no snapshot needed');
  return { group, leader, laggard };
}

/** Runs until everybody who is up has applied the same; false when that takes too long. */
export function converge(group: Group, limitMs = 60_000): boolean {
  const same = (): boolean => {
    const up = group.members.filter((member) => member.life.alive);
    if (up.some((member) => member.replica.status().snapshotReceiving)) return false;
    if (new Set(up.map((member) => member.machine.records.length)).size > 1) return false;
    return new Set(up.map((member) => member.machine.applied.join())).size === 1;
  };
  return group.clock.advanceUntil(same, limitMs);
}

import { KvLab, type KvLabOptions } from './kv-lab.ts';
import { onSeeds } from './seeds.ts';

const SEEDS = 10;

/** A test whose body lives in virtual time. */
export function inLab(
  title: string,
  { members, seeds = SEEDS, ...options }: { members: number; seeds?: number } & KvLabOptions,
  body: (lab: KvLab) => Promise<void>,
): void {
  onSeeds(title, seeds, async (seed) => {
    const lab = new KvLab(members, seed, options);
    await lab.drive(body(lab));
  });
}

/** Watches a call that is left pending. */
export function watch<T>(promise: Promise<T>): { promise: Promise<T>; ended: boolean } {
  const watched = { promise, ended: false };
  const end = (): void => {
    watched.ended = true;
  };
  promise.then(end, end);
  return watched;
}

/** The numbers of all members but these. */
export function others(lab: KvLab, ...without: readonly number[]): number[] {
  return lab.all.filter((i) => !without.includes(i));
}

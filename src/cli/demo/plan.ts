import { Prng } from '../../lib/index.ts';

/** What goes wrong, and for which clerk (0 … clerks − 1). */
export type Fault =
  /** SIGKILL to the leader while the replies to one clerk are being lost. */
  | { readonly type: 'killLeader'; readonly clerk: number }
  /** SIGSTOP to the leader, SIGCONT later. */
  | { readonly type: 'freezeLeader' }
  /** Commands of one clerk arrive and run, and their answers are lost. */
  | { readonly type: 'dropReplies'; readonly clerk: number; readonly lastsMs: number }
  /** One clerk disappears with commands in doubt; a new one opens its session. */
  | { readonly type: 'replaceClerk'; readonly clerk: number };

/** A fault and when it is due, milliseconds after the load began. */
export interface PlannedFault {
  readonly atMs: number;
  readonly fault: Fault;
}

/** Leaders killed in every run. */
export const KILLS = 5;

/** Largest shift of a fault against the even rhythm, as a part of one beat. */
const JITTER = 0.2;

/**
 * Five kills in an even rhythm with seeded jitter, one other fault after each: the clerk is
 * replaced in the middle, the freeze and the lost replies come in seeded order around it.
 */
export function planFaults(options: {
  readonly seed: number;
  readonly loadMs: number;
  readonly clerks: number;
}): PlannedFault[] {
  const prng = new Prng(options.seed);
  const clerk = (): number => prng.below(options.clerks);
  const drop = (): Fault => ({
    type: 'dropReplies',
    clerk: clerk(),
    lastsMs: 300 + prng.below(500),
  });
  const others: Fault[] = [drop(), drop(), drop()];
  others.splice(prng.below(4), 0, { type: 'freezeLeader' });
  others.splice(2, 0, { type: 'replaceClerk', clerk: clerk() });
  const faults = others.flatMap((other): Fault[] => [
    { type: 'killLeader', clerk: clerk() },
    other,
  ]);
  const beatMs = options.loadMs / (faults.length + 1);
  return faults.map((fault, at) => {
    const shift = (prng.below(1_000) / 1_000 - 0.5) * 2 * JITTER;
    return { atMs: Math.round((at + 0.5 + shift) * beatMs), fault };
  });
}

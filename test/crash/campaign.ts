import type { Prng } from '../../src/lib/index.ts';
import type { CutLimits } from '../../src/wal/testing/crash-states.ts';
import type { Life } from './life.ts';
import { digest, type Left } from './machine.ts';
import { SEED } from './scale.ts';

/** Who lives and dies; `K`: what it had promised when it died. */
export interface Subject<K> {
  /** A whole life on a new machine, up to step `dieAt`. */
  live(dieAt: number): Promise<{ readonly life: Life; readonly known: K }>;
  /** Only what it does by itself at a start. */
  restart(left: Left, dieAt: number): Promise<Life>;
  /** @throws when something that was promised is not there. */
  recover(left: Left, known: K): Promise<void>;
}

/** Crashes in a row: of the life, then of the recoveries. */
const DEPTH = 3;
const ALL: CutLimits = { singlesMax: Number.POSITIVE_INFINITY, randomSubsets: 16 };
const FEW: CutLimits = { singlesMax: 1, randomSubsets: 1 };
/**
 * Of the states after one and two crashes: where recovery is crashed too, when not in full. Those
 * in which a snapshot was on its way are all tried.
 */
const SAMPLED = [0.015, 0.03];

interface Found<K> {
  readonly left: Left;
  readonly known: K;
  /** Crashes so far. */
  readonly crashes: number;
}

/**
 * Crashes a life at every step, tries what the power may have left, and crashes the recovery from
 * it in the same way. Every state that differs from all before it is judged once. `midInstall`:
 * states with a second engine, in which a snapshot was on its way.
 */
export async function campaign<K>(
  subject: Subject<K>,
  { full, random }: { full: boolean; random: Prng },
): Promise<{ steps: number; states: number; midInstall: number }> {
  const cuts = full ? ALL : FEW;
  const seen = new Set<string>();
  const waiting: Found<K>[] = [];
  let midInstall = 0;
  const visit = async ({ left, known, crashes }: Found<K>): Promise<void> => {
    const key = `${JSON.stringify(known)} ${digest(left)}`;
    if (seen.has(key)) return;
    seen.add(key);
    if (left.engines.length > 1) midInstall++;
    await subject.recover(left, known).catch((cause: unknown) => {
      throw new Error(`SEED=${SEED}: ${left.name}`, { cause });
    });
    waiting.push({ left, known, crashes });
  };
  const { steps } = (await subject.live(Number.POSITIVE_INFINITY)).life.machine;
  for (let dieAt = 1; dieAt <= steps + 1; dieAt++) {
    const { life, known } = await subject.live(dieAt);
    for (const left of life.machine.left(cuts, random)) await visit({ left, known, crashes: 1 });
  }
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { left, known, crashes } = next;
    if (crashes === DEPTH) continue;
    const isMidInstall = left.engines.length > 1 && crashes === 1;
    if (!full && !isMidInstall && !random.chance(SAMPLED[crashes - 1] ?? 0)) continue;
    const whole = await subject.restart(left, Number.POSITIVE_INFINITY);
    for (let dieAt = 1; dieAt <= whole.machine.steps; dieAt++) {
      const { machine } = await subject.restart(left, dieAt);
      for (const again of machine.left(full ? ALL : FEW, random)) {
        const name = `${left.name}; recovery ${again.name}`;
        await visit({ left: { ...again, name }, known, crashes: crashes + 1 });
      }
    }
  }
  return { steps, states: seen.size, midInstall };
}

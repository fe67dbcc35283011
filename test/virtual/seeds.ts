import { relative } from 'node:path';
import { expect, test } from 'vitest';

/** `QUORATE_TEST_SCALE=full`: all seeds, and scenarios of the lab's full length. */
export const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';

/** Without it, one seed in so many. */
const SEEDS_SHARE = 4;

/** Real time a test may take for each of its seeds. */
const LIMIT_MS_PER_SEED = 60_000;

/**
 * A test that runs on seeds 1 … `count`, one after the other (on the first quarter of them unless
 * the scale is full), and tells how to replay the one that fails. `SEED=n` runs seed n alone,
 * `SEEDS=n` the seeds 1 … n.
 */
export function onSeeds(
  title: string,
  count: number,
  run: (seed: number) => void | Promise<void>,
): void {
  const seeds = chosenSeeds(count);
  test(title, { timeout: seeds.length * LIMIT_MS_PER_SEED }, async () => {
    for (const seed of seeds) {
      try {
        await run(seed);
      } catch (cause) {
        throw new Error(`seed ${seed} failed: ${replay(title, seed)}\n${String(cause)}`, { cause });
      }
    }
  });
}

function chosenSeeds(count: number): number[] {
  const { SEED: only, SEEDS: first } = process.env;
  if (only !== undefined) return [positive('SEED', only)];
  const share = FULL ? count : Math.ceil(count / SEEDS_SHARE);
  const last = first === undefined ? share : positive('SEEDS', first);
  return Array.from({ length: last }, (_, i) => i + 1);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new Error(`${name}: expected a positive whole number, got '${text}'`);
}

function replay(title: string, seed: number): string {
  const file = relative(process.cwd(), expect.getState().testPath ?? '');
  const [name] = title.split(':');
  return `SEED=${seed} npx vitest run ${file} -t '${name}:'`;
}

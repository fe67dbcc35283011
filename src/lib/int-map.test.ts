import { describe, expect, test } from 'vitest';
import { IntMap, InvariantViolation, Prng } from './index.ts';

describe('IntMap', () => {
  for (const [what, keyOf] of [
    ['keys that follow each other', (n: number) => n],
    ['the odd ids of streams', (n: number) => 2 * n + 1],
    ['keys that meet in one slot', (n: number) => n * 2 ** 32],
    ['the largest keys', (n: number) => Number.MAX_SAFE_INTEGER - n],
  ] as const) {
    test(`behaves as a Map does: ${what}`, () => {
      const prng = new Prng(20_261_123);
      const map = new IntMap<number>();
      const model = new Map<number, number>();
      for (let step = 0; step < 20_000; step++) {
        // The window moves on, as that of streams does, and is wide at times.
        const key = keyOf(Math.floor(step / 50) + prng.below(step % 2000 < 300 ? 200 : 20));
        if (prng.chance(0.5)) {
          map.set(key, step);
          model.set(key, step);
        } else {
          expect(map.delete(key), `step ${step}`).toBe(model.delete(key));
        }
        const other = keyOf(prng.below(400));
        expect(map.get(other), `step ${step}`).toBe(model.get(other));
        expect(map.size).toBe(model.size);
      }
      const ascending = [...model].sort(([a], [b]) => a - b);
      expect(map.values()).toEqual(ascending.map(([, value]) => value));
      expect(model.size).toBeGreaterThan(0);
      map.clear();
      expect([map.size, map.get(ascending[0]?.[0] ?? 0), map.values()]).toEqual([0, undefined, []]);
    });
  }

  test('refuses keys that are no whole numbers', () => {
    for (const key of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => new IntMap<string>().set(key, '')).toThrow(InvariantViolation);
    }
  });
});

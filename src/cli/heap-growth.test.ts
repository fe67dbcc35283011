import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, inject, test } from 'vitest';
import { growthPercent, isGrowthFlag, isOtherGrowth } from './heap-growth.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

describe('the heap grows by 256 MiB between two collections', () => {
  test.each<[number, number]>([
    [17, 1506],
    [32, 800],
    [64, 400],
    [100, 256],
    [255, 100],
  ])('%i MiB are let grow by %i percent, 1500 at most', (usedMib, percent) => {
    const found = growthPercent({ usedBytes: usedMib * MIB, limitBytes: 4 * GIB });
    expect(found).toBe(Math.min(percent, 1500));
  });

  test('by 1500 percent when it is small, also when nothing was used', () => {
    expect(growthPercent({ usedBytes: 5 * MIB, limitBytes: 4 * GIB })).toBe(1500);
    expect(growthPercent({ usedBytes: 0, limitBytes: 4 * GIB })).toBe(1500);
  });

  test('as V8 thinks right from 256 MiB on', () => {
    expect(growthPercent({ usedBytes: 256 * MIB, limitBytes: 16 * GIB })).toBe(0);
    expect(growthPercent({ usedBytes: 3 * GIB, limitBytes: 16 * GIB })).toBe(0);
  });

  test('as V8 thinks right where that would be more than a quarter of its limit', () => {
    expect(growthPercent({ usedBytes: 64 * MIB, limitBytes: 4 * 320 * MIB })).toBe(400);
    expect(growthPercent({ usedBytes: 64 * MIB, limitBytes: 4 * 320 * MIB - 1 })).toBe(0);
    expect(growthPercent({ usedBytes: 5 * MIB, limitBytes: 128 * MIB })).toBe(0);
  });
});

test('a percentage is set anew when it changed by half, or from or to none', () => {
  expect(isOtherGrowth(0, 1500)).toBe(true);
  expect(isOtherGrowth(1500, 0)).toBe(true);
  expect(isOtherGrowth(0, 0)).toBe(false);
  expect(isOtherGrowth(400, 599)).toBe(false);
  expect(isOtherGrowth(400, 600)).toBe(true);
  expect(isOtherGrowth(600, 401)).toBe(false);
  expect(isOtherGrowth(600, 400)).toBe(true);
});

test('the flag is known in both of its spellings, and no other is taken for it', () => {
  expect(isGrowthFlag('--heap-growing-percent=20')).toBe(true);
  expect(isGrowthFlag('--heap_growing_percent')).toBe(true);
  expect(isGrowthFlag('--max-old-space-size=4096')).toBe(false);
});

/** How often all of its heap was collected while a process made 2000 large arrays and kept 40. */
async function collections(setUp: string, flags: string[] = []): Promise<number> {
  const folder = pathToFileURL(`${dirname(inject('quorateMain'))}/`).href;
  const source = `
    import { constants, PerformanceObserver } from 'node:perf_hooks';
    let count = 0;
    const isFull = ({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
    const observer = new PerformanceObserver((list) => {
      count += list.getEntries().filter(isFull).length;
    });
    observer.observe({ entryTypes: ['gc'] });
    const { letHeapGrow } = await import(${JSON.stringify(folder)} + 'heap-growth.js');
    ${setUp}
    const kept = [];
    for (let i = 0; i < 2000; i++) {
      kept[i % 40] = new Array(100_000).fill(i);
      await new Promise(setImmediate);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(count);`;
  const args = [...flags, '--input-type=module', '-e', source];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  expect(stderr).toBe('');
  return Number(stdout);
}

test('a process collects its heap less often, unless it was given the flag, and ends', async () => {
  const [usual, grown, asked] = await Promise.all([
    collections(''),
    collections('letHeapGrow();'),
    collections('letHeapGrow();', ['--heap-growing-percent=10']),
  ]);
  expect(grown).toBeLessThan(usual);
  expect(asked).toBeGreaterThan(usual);
});

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, inject, test, vi } from 'vitest';
import { BUGS, type Bug, type Caught, hunt, patched, runHere } from './index.ts';

/** Runs take processor time, and a machine may have little to spare. */
vi.setConfig({ testTimeout: 120_000 });

/** Those that need more are left to `npm run sim -- --planted`. */
const SEEDS_MAX = 5;
const NAMES = [
  'a failed sync is tried again, and the second one believed',
  'the name of a new segment is not synced',
  'a vote that comes twice counts twice',
  'an entry is damaged on its way',
  'the vote is not persisted',
  'votes go to candidates whose log is behind',
  'an entry is skipped when it is applied',
  'a client that was replaced is not fenced',
  'answers are dropped before the client has them',
  'a command is acknowledged although its leader was deposed',
  'a client retries under a new number',
];
/** The compiled sources: bugs within functions are planted in a copy of them. */
const COMPILED = dirname(dirname(inject('quorateMain')));

async function caughtBy(bugs: readonly Bug[], seedsMax = SEEDS_MAX): Promise<Caught[]> {
  return await hunt({
    bugs,
    seedsMax,
    runners: [runHere],
    worker: join(COMPILED, 'sim', 'worker.js'),
    isOver: () => false,
    onCaught() {},
  });
}

test('bugs have names of their own', () => {
  expect(new Set(BUGS.map(({ name }) => name)).size).toBe(BUGS.length);
});

test.each(BUGS.filter(({ patches }) => patches !== undefined))(
  'fits the code: $name',
  ({ patches = [] }) => {
    const files = new Map<string, string>();
    for (const patch of patches) {
      const text = files.get(patch.file) ?? readFileSync(join(COMPILED, patch.file), 'utf8');
      files.set(patch.file, patched(text, patch));
    }
    expect(files.size).toBeGreaterThan(0);
  },
);

test('a patch that finds no place, or two, is refused', () => {
  const patch = { file: 'x.js', find: 'b', put: 'c' };
  expect(patched('abd', patch)).toBe('acd');
  expect(() => patched('ad', patch)).toThrow('a planted bug does not fit x.js any more: "b"');
  expect(() => patched('abbd', patch)).toThrow('does not fit');
});

test.each(NAMES)('found: %s', async (name) => {
  const caught = await caughtBy(BUGS.filter((bug) => bug.name === name));
  expect(caught.map(({ violation }) => violation?.promise)).toEqual([expect.any(String)]);
});

test('found in a process of its own: who waits hears nothing of lost leadership', async () => {
  const bugs = BUGS.filter(({ name }) => name.startsWith('who waits is told nothing'));
  const [caught] = await caughtBy(bugs, 100);
  expect(caught?.violation?.promise).toBe('who waits is answered');
});

test('without a bug the same seeds break nothing', async () => {
  const [caught] = await caughtBy([{ name: 'none', planted: {} }]);
  expect(caught).toMatchObject({ seeds: SEEDS_MAX, violation: null });
});

import { expect, test } from 'vitest';
import { BUGS, hunt } from './index.ts';

/** Those that need more are left to `npm run sim -- --planted`. */
const SEEDS_MAX = 10;
const NAMES = [
  'a failed sync is tried again, and the second one believed',
  'the name of a new segment is not synced',
  'a vote that comes twice counts twice',
  'an entry is damaged on its way',
  'the vote is not persisted',
  'entries that were overwritten stay on disk',
  'votes go to candidates whose log is behind',
  'an entry is skipped when it is applied',
  'a client that was replaced is not fenced',
  'answers are dropped before the client has them',
  'a command is acknowledged although its leader was deposed',
  'a client retries under a new number',
];

test('bugs have names of their own', () => {
  expect(new Set(BUGS.map(({ name }) => name)).size).toBe(BUGS.length);
});

test.each(NAMES)('found: %s', async (name) => {
  const bugs = BUGS.filter((bug) => bug.name === name);
  const caught = await hunt({ bugs, seedsMax: SEEDS_MAX, isOver: () => false, onCaught() {} });
  expect(caught.map(({ violation }) => violation?.name)).toEqual(['Violation']);
});

test('without a bug the same seeds break nothing', async () => {
  const bugs = [{ name: 'none', planted: {} }];
  const [caught] = await hunt({ bugs, seedsMax: SEEDS_MAX, isOver: () => false, onCaught() {} });
  expect(caught).toMatchObject({ seeds: SEEDS_MAX, violation: null });
});

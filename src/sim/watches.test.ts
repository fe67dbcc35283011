import { expect, test } from 'vitest';
import { WATCH_BUGS } from './bugs/watches.ts';
import { hunt, runHere, simulate } from './index.ts';

test('watches meet faults, compactions and slow readers, and none is wrong', async () => {
  let lifecycles = 0;
  const seen = new Set<string>();
  for (let seed = 1; seed <= 3; seed++) {
    const options = { safetyMs: 8_000, members: 3, watchers: 3 };
    const { failure, counters } = await simulate(seed, options);
    expect(failure, `seed ${seed} with ${JSON.stringify(options)}`).toBeNull();
    lifecycles += counters.get('watch: lifecycles');
    for (const [name] of counters.entries()) seen.add(name);
  }
  expect(lifecycles).toBeGreaterThan(200);
  for (const what of [
    'across a change of leader',
    'begun in the future',
    'begun in what was compacted',
    'gone on with by another clerk',
    'left while it waited',
    'read slowly',
  ]) {
    expect(seen, 'seeds 1 to 3').toContain(`sometimes: watch ${what}`);
  }
});

test('a run without watchers has no watches', async () => {
  const { failure, counters } = await simulate(1, { safetyMs: 3_000, members: 1, watchers: 0 });
  expect(failure).toBeNull();
  expect(counters.total('watch: ')).toBe(0);
});

/** The others need more seeds, or a process of their own: `npm run sim -- --planted watch`. */
const NAMES = [
  'a watch of what is compacted goes on with what is left',
  'what a key was before is what it was made',
  'deletions are not told',
  'a watch begins where its member is, and not where the cluster is',
];

test.each(NAMES)('found: %s', async (name) => {
  const [caught] = await hunt({
    bugs: WATCH_BUGS.filter((bug) => bug.name === name),
    seedsMax: 5,
    runners: [runHere],
    isOver: () => false,
    onCaught() {},
  });
  expect(caught?.violation?.promise).toContain('watch');
});

import { expect, test } from 'vitest';
import { Recording, runPage, simulate } from '../index.ts';

test('a run is drawn with its members, faults and calls, in one page', async () => {
  const recording = new Recording();
  const options = { members: 3, safetyMs: 10_000, faults: ['kill', 'isolate'] as const };
  const result = await simulate(5, { ...options, recording });
  const page = runPage({ ...result, failure: new Error('<b>&') }, recording);
  expect(page).toContain('seed 5: <b>failed</b>');
  expect(page).toContain('<p>&#60;b&#62;&#38;</p>');
  expect(page).not.toMatch(/src=|href=|url\(/);
  const json = /<script id="data" type="application\/json">(?<json>.*)<\/script>/.exec(page);
  const data = JSON.parse(json?.groups?.['json'] ?? '') as {
    end: number;
    lanes: { name: string; kind: string; bars: { from: number; to: number; short: string }[] }[];
  };
  expect(data.end).toBe(result.virtualMs);
  const named = (kind: string) => data.lanes.filter((lane) => lane.kind === kind);
  expect(named('member').map(({ name }) => name)).toEqual(['m1', 'm2', 'm3']);
  expect(named('fault').flatMap(({ bars }) => bars)).toHaveLength(result.faults.length);
  expect(named('clerk').flatMap(({ bars }) => bars)).toHaveLength(result.calls);
  const roles = named('member').flatMap(({ bars }) => bars.map(({ short }) => short));
  expect(roles.some((short) => /^leader \d+$/.test(short))).toBe(true);
  expect(roles, 'seed 5').toContain('down');
  for (const { bars } of data.lanes) for (const { from, to } of bars) expect(from <= to).toBe(true);
});

test('listening for a picture changes nothing', async () => {
  const options = { members: 3, safetyMs: 3_000 };
  const drawn = await simulate(6, { ...options, recording: new Recording() });
  expect((await simulate(6, options)).traceHash).toBe(drawn.traceHash);
});

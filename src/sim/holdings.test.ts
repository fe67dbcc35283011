import { expect, test } from 'vitest';
import { Holdings, holdingClock } from './holdings.ts';
import { World } from './world.ts';

test('a timer is held until it has run or was cancelled', async () => {
  const world = new World(1, null);
  const holdings = new Holdings();
  const { clock } = world.process('m', { offsetMs: 0, rate: 1 });
  const held = holdingClock(clock, holdings);
  let runs = 0;
  held.setTimer(10, () => runs++);
  const cancelled = held.setTimer(20, () => runs++);
  held.setTimer(30, () => runs++);
  expect(holdings.left).toEqual(['a timer of 10 ms', 'a timer of 20 ms', 'a timer of 30 ms']);
  await world.run(15);
  expect(holdings.left).toEqual(['a timer of 20 ms', 'a timer of 30 ms']);
  cancelled.cancel();
  expect(holdings.left).toEqual(['a timer of 30 ms']);
  await world.run(20);
  expect([runs, holdings.left]).toEqual([2, []]);
});

test('what is given back twice is given back once', () => {
  const holdings = new Holdings();
  const first = holdings.hold('a file');
  holdings.hold('a file');
  first();
  first();
  expect(holdings.left).toEqual(['a file']);
});

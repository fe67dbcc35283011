import { expect, test } from 'vitest';
import { Meter } from './meter.ts';

test('the longest pause counts from the last acknowledgement before a restart', () => {
  const meter = new Meter(0);
  for (const nowMs of [500, 510, 520]) meter.acknowledge(nowMs);
  expect(meter.longestPauseMs(530)).toBe(500);
  meter.restart();
  expect(meter.longestPauseMs(560)).toBe(40);
  meter.acknowledge(700);
  meter.acknowledge(710);
  expect(meter.longestPauseMs(720)).toBe(180);
  expect(meter.acknowledged).toBe(5);
});

test('a pause that lasts still counts', () => {
  const meter = new Meter(0);
  meter.acknowledge(10);
  expect(meter.longestPauseMs(1_000)).toBe(990);
});

import { expect, test } from 'vitest';
import { FakeClock, RecordingLog } from '../transport/testing/index.ts';
import { RepeatGate } from './repeat-gate.ts';

function gated() {
  const clock = new FakeClock();
  const log = new RecordingLog();
  return { clock, log, gate: new RepeatGate(log, clock) };
}

test('the same trouble is logged once a minute, another one at once', () => {
  const { clock, log, gate } = gated();
  for (const ms of [0, 59_999, 1]) {
    clock.advance(ms);
    gate.warn('a', 'a', {});
    gate.error('b', 'b', {});
  }
  expect(log.troubles).toEqual(['a', 'b', 'a', 'b']);
});

test('a trouble that was over is logged again when it comes back', () => {
  const { log, gate } = gated();
  gate.warn('a', 'a', {});
  gate.forget('a');
  gate.warn('a', 'a', {});
  expect(log.troubles).toEqual(['a', 'a']);
});

test('at most 256 troubles are remembered: the next one forgets them', () => {
  const { log, gate } = gated();
  for (let i = 0; i < 256; i++) gate.warn(`${i}`, 'many', {});
  gate.warn('0', 'known', {});
  expect(log.troubles.includes('known')).toBe(false);
  gate.warn('256', 'one more', {});
  gate.warn('0', 'forgotten', {});
  expect(log.troubles.slice(256)).toEqual(['one more', 'forgotten']);
});

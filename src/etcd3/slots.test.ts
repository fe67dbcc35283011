import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Slots } from './slots.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('slots go to who came first', async () => {
  const slots = new Slots(1);
  const order: string[] = [];
  const take = async (name: string): Promise<void> => {
    if (await slots.take(1_000)) order.push(name);
  };
  const all = ['a', 'b', 'c'].map(take);
  await all[0];
  expect(order).toEqual(['a']);
  slots.give();
  await all[1];
  slots.give();
  await all[2];
  expect(order).toEqual(['a', 'b', 'c']);
});

test('who waits for too long gets none, and takes none from others', async () => {
  const slots = new Slots(1);
  expect(await slots.take(1_000)).toBe(true);
  const [impatient, patient] = [slots.take(1_000), slots.take(5_000)];
  vi.advanceTimersByTime(1_000);
  expect(await impatient).toBe(false);
  slots.give();
  expect(await patient).toBe(true);
  slots.give();
  expect(await slots.take(0)).toBe(true);
});

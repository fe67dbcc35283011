import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { type Event, EventQueue } from './event-queue.ts';
import { World } from './world.ts';

const NO_SKEW = { offsetMs: 0, rate: 1 };

function event(atUs: number, order: number): Event {
  const run = (): void => {};
  return { atUs, order, kind: 'io', process: null, label: '', run, cancelled: false };
}

test('the queue gives events in order of time, those of one instant in order of asking', () => {
  const prng = new Prng(5);
  const queue = new EventQueue();
  const events = Array.from({ length: 2_000 }, (_, order) => event(prng.below(300), order));
  for (const each of events) queue.push(each);
  const sorted = [...events].sort((a, b) => a.atUs - b.atUs || a.order - b.order);
  expect(sorted.map(() => queue.pop())).toEqual(sorted);
  expect(queue.pop()).toBeNull();
});

describe('the world', () => {
  test('settles all promises that an event moved before the next event', async () => {
    const world = new World(1, null);
    const log: string[] = [];
    world.after(1, '', () => {
      world.movePromises();
      const chain = async (): Promise<void> => {
        for (let i = 0; i < 100; i++) await Promise.resolve();
        log.push('chain');
      };
      chain().catch(() => log.push('broken'));
    });
    world.after(1, '', () => log.push('next'));
    await world.run(2);
    expect(log).toEqual(['chain', 'next']);
  });

  test('ends the run with what an event throws', async () => {
    const world = new World(1, null);
    world.after(1, '', () => {
      throw new Error('broken');
    });
    await expect(world.run(2)).rejects.toThrow('broken');
  });

  test('streams of different names are independent of each other', () => {
    const [a, b] = [new World(9, null), new World(9, null)];
    a.stream('network').uint32();
    expect(a.stream('disk').uint32()).toBe(b.stream('disk').uint32());
    expect(a.stream('disk').uint32()).not.toBe(a.stream('network').uint32());
    expect(a.stream('disk').uint32()).not.toBe(new World(10, null).stream('disk').uint32());
  });
});

describe('a process', () => {
  test('takes everything that it asked for into its grave', async () => {
    const world = new World(1, null);
    const process = world.process('p', NO_SKEW);
    const log: string[] = [];
    process.clock.setTimer(5, () => log.push('timer'));
    world.after(2, '', () => {
      process.clock.defer(() => log.push('deferred'));
      process.kill();
    });
    world.after(3, '', () => process.clock.setTimer(1, () => log.push('after death')));
    await world.run(10);
    expect(log).toEqual([]);
  });

  test.each([
    ['ioFirst', ['socket', 'timer', 'deferred']],
    ['timersFirst', ['timer', 'socket', 'deferred']],
  ] as const)('that was paused gets what it slept through: %s', async (order, expected) => {
    const world = new World(1, null);
    const process = world.process('p', NO_SKEW);
    const log: string[] = [];
    process.clock.setTimer(1, () => {
      log.push('timer');
      process.clock.defer(() => log.push('deferred'));
    });
    const when = { kind: 'io', delayUs: 2_000, label: '' } as const;
    world.schedule(process, when, () => log.push('socket'));
    process.pause();
    await world.run(10);
    expect(log).toEqual([]);
    process.resume(order);
    await world.run(0);
    expect(log).toEqual(expected);
  });

  test('has a clock of its own: offset, and fast or slow', async () => {
    const world = new World(1, null);
    const slow = world.process('slow', { offsetMs: 500, rate: 0.5 });
    const firedAtMs: number[] = [];
    slow.clock.setTimer(10, () => firedAtMs.push(world.nowMs));
    await world.run(100);
    expect(slow.clock.nowMs()).toBe(550);
    expect(firedAtMs).toEqual([20]);
  });
});

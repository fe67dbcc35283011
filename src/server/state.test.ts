import { expect, test } from 'vitest';
import { memoryDisk, silentLog } from '../io/index.ts';
import type { CommandBatch, SnapshotWriter } from '../replica/index.ts';
import { type MemoryEngines, memoryEngines } from '../store/index.ts';
import { MemberState } from './state.ts';

/** Commits that wait until the test lets them happen, oldest first. */
class SlowEngines {
  readonly #commits: (() => void)[] = [];
  #waits = false;
  readonly engines: MemoryEngines = memoryEngines({
    defer: (run) => {
      if (this.#waits) this.#commits.push(run);
      else queueMicrotask(run);
    },
  });

  hold(): void {
    this.#waits = true;
  }

  get waiting(): number {
    return this.#commits.length;
  }

  async next(): Promise<void> {
    this.#commits.shift()?.();
    await turn();
  }

  async release(): Promise<void> {
    this.#waits = false;
    while (this.#commits.length > 0) await this.next();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function batch(index: number): CommandBatch {
  return { index, term: 1, timeMs: 1_000, commands: [], confState: null };
}

async function open(slow: SlowEngines): Promise<MemberState> {
  const { engines } = slow;
  const options = { disk: memoryDisk(), engines, log: silentLog, directory: 'd', clusterId: 5n };
  return await MemberState.open(options);
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

/** The state of another member, on its way into this one, complete but for the installation. */
async function received(from: MemberState, into: MemberState): Promise<SnapshotWriter> {
  const writer = await new Promise<SnapshotWriter>((resolve, reject) => {
    into.receiveSnapshot((error, made) => (made === null ? reject(error) : resolve(made)));
  });
  const reader = from.readRows();
  for (let chunk = reader.next(); chunk !== null; chunk = reader.next()) {
    const bytes = chunk;
    await settled((done) => writer.write(bytes, done));
  }
  reader.close();
  await settled((done) => writer.finish(done));
  return writer;
}

test('flushes asked for at once follow one another, each with what there was', async () => {
  const slow = new SlowEngines();
  const state = await open(slow);
  slow.hold();
  const durable: number[] = [];
  const flush = (): void => state.flush(() => durable.push(state.durable.index));
  state.apply(batch(1));
  flush();
  state.apply(batch(2));
  flush();
  flush();
  expect(slow.waiting).toBe(1);
  await slow.next();
  expect(durable).toEqual([1]);
  await slow.release();
  expect(durable).toEqual([1, 2, 2]);
  await state.close();
});

test('a state is not replaced during a flush, and not flushed while it is replaced', async () => {
  const source = await open(new SlowEngines());
  for (let index = 1; index <= 9; index++) source.apply(batch(index));
  await settled((done) => source.flush(done));
  const slow = new SlowEngines();
  const state = await open(slow);
  const writer = await received(source, state);
  state.apply(batch(1));
  slow.hold();
  const events: string[] = [];
  state.flush(() => events.push(`flushed ${state.durable.index}`));
  writer.install(() => events.push(`installed ${state.durable.index}`));
  state.flush(() => events.push(`flushed ${state.durable.index}`));
  await turn();
  expect(events).toEqual([]);
  await slow.release();
  await expect.poll(() => events).toHaveLength(3);
  expect(events).toEqual(['flushed 1', 'installed 9', 'flushed 9']);
  await state.close();
  await source.close();
});

test('a flush that comes too late is an error, not a crash', async () => {
  const state = await open(new SlowEngines());
  await state.close();
  await expect(settled((done) => state.flush(done))).rejects.toThrow('the state is closed');
});

test('flushes and snapshots are timed from their beginning to their end, once each', async () => {
  const slow = new SlowEngines();
  const state = await open(slow);
  const heard: string[] = [];
  const timer = (name: string) => () => {
    heard.push(name);
    return () => void heard.push(`end of ${name}`);
  };
  state.timers = { flush: timer('flush'), snapshot: timer('snapshot') };
  slow.hold();
  state.apply(batch(1));
  const flushed = settled((done) => state.flush(done));
  await turn();
  expect(heard).toEqual(['flush']);
  await slow.release();
  await flushed;
  const reader = state.readRows();
  expect(heard).toEqual(['flush', 'end of flush', 'snapshot']);
  reader.close();
  reader.close();
  expect(heard.slice(3)).toEqual(['end of snapshot']);
  await state.close();
});

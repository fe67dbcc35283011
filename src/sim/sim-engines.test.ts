import { describe, expect, test } from 'vitest';
import { type Engine, StoreError } from '../store/index.ts';
import type { Process } from './process.ts';
import { Device } from './sim-disk.ts';
import { type CommitFault, StateDevice } from './sim-engines.ts';
import { World } from './world.ts';

const PATH = '/data/state/1.lmdb';
const KEY = Uint8Array.of(1);

class Bench {
  readonly world = new World(1, null);
  readonly device = new Device(this.world, 'd', { baseMs: 1, jitterMs: 0 });
  readonly state = new StateDevice(this.world, 'd', this.device);
  readonly crashes: string[] = [];
  #processes = 0;

  process(): Process {
    return this.world.process(`p${++this.#processes}`, { offsetMs: 0, rate: 1 });
  }

  /** What is at the path, as a new process finds it. */
  async open(process = this.process(), create = false): Promise<Engine> {
    const engines = this.state.open(process, (kind) => {
      this.crashes.push(kind);
      process.kill();
    });
    let engine: Engine | null = null;
    const opening = engines.open(PATH, { create });
    this.world.movePromises();
    opening.then(
      (opened) => {
        engine = opened;
      },
      () => null,
    );
    await this.world.run(1_000);
    return engine ?? (await opening);
  }

  /** Commits one value; how that ended: 'nothing' when nobody was told. */
  async commit(engine: Engine, value: number): Promise<string> {
    let end = 'nothing';
    engine.commit([{ table: 't', key: KEY, value: Uint8Array.of(value) }], (error) => {
      end = error === null ? 'done' : error instanceof StoreError ? error.code : 'another error';
    });
    await this.world.run(1_000);
    return end;
  }
}

async function benchWith(value: number): Promise<{ bench: Bench; engine: Engine }> {
  const bench = new Bench();
  const engine = await bench.open(bench.process(), true);
  expect(await bench.commit(engine, value)).toBe('done');
  return { bench, engine };
}

describe('a commit of the state', () => {
  test.each<[CommitFault, string, number]>([
    ['EIO', 'IO', 1],
    ['ENOSPC', 'FULL', 1],
    ['crashBefore', 'nothing', 1],
    // What a dead process is told reaches nobody else.
    ['crashAfter', 'done', 2],
  ])('that meets %s ends with %s, and a new process finds %d', async (fault, end, found) => {
    const { bench, engine } = await benchWith(1);
    bench.state.failAfter(fault, 0);
    expect(await bench.commit(engine, 2)).toBe(end);
    expect(bench.crashes).toEqual(fault.startsWith('crash') ? [fault] : []);
    expect((await bench.open()).get('t', KEY)).toEqual(Uint8Array.of(found));
  });

  test('waits while the disk stands still, and dies with its process', async () => {
    const { bench, engine } = await benchWith(1);
    bench.device.stall(3_000);
    expect(await bench.commit(engine, 2)).toBe('nothing');
    expect((await bench.open()).get('t', KEY)).toEqual(Uint8Array.of(1));
    await bench.world.run(3_000);
    expect((await bench.open()).get('t', KEY)).toEqual(Uint8Array.of(2));
  });
});

describe('the state of a machine', () => {
  test('with a damaged row is refused when that is read, until it is removed', async () => {
    const { bench } = await benchWith(1);
    expect(bench.state.damage('row')).toContain('t in /data/state/1.lmdb');
    expect(bench.state.isDamaged).toBe(true);
    const engine = await bench.open();
    expect(() => engine.get('t', KEY)).toThrow(StoreError);
    await bench.state.open(bench.process(), () => {}).remove(PATH);
    expect(bench.state.isDamaged).toBe(false);
  });

  test('can be taken away, and be what it was', async () => {
    const { bench, engine } = await benchWith(1);
    const copy = bench.state.copy();
    await bench.commit(engine, 2);
    bench.state.replace();
    await expect(bench.open()).rejects.toThrow('missing');
    bench.state.replace(copy);
    expect((await bench.open()).get('t', KEY)).toEqual(Uint8Array.of(1));
  });
});

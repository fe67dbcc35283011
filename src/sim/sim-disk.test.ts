import { describe, expect, test } from 'vitest';
import type { DiskFile } from '../io/index.ts';
import type { Process } from './process.ts';
import { Device, openDevice } from './sim-disk.ts';
import { World } from './world.ts';

const SPEED = { baseMs: 2, jitterMs: 0 };

interface Bench {
  readonly world: World;
  readonly device: Device;
  readonly process: Process;
  readonly file: DiskFile;
  readonly durable: number[];
}

async function bench(): Promise<Bench> {
  const world = new World(1, null);
  const device = new Device(world, 'd', SPEED);
  const process = world.process('p', { offsetMs: 0, rate: 1 });
  const durable: number[] = [];
  const disk = openDevice(world, device, process, {
    onDurable: (_, bytes) => durable.push(bytes.length),
    onRename() {},
    onRemove() {},
    onCrashAtStep: () => process.kill(),
    onOpen: () => () => {},
  });
  const opening = (async (): Promise<DiskFile> => {
    await disk.makeDirectory('/d');
    const file = await disk.open('/d/f', { create: true });
    await disk.syncDirectory('/d');
    return file;
  })();
  await world.run(10);
  return { world, device, process, file: await opening, durable };
}

/** What a durable write was answered with; 'nothing' while it was not. */
function writing({ world, file }: Bench): { outcome: string } {
  const result = { outcome: 'nothing' };
  world.after(0, '', () => {
    file.writeDurably(0, new Uint8Array(1_024).fill(7), (error) => {
      result.outcome = error?.code ?? 'done';
    });
  });
  return result;
}

describe('a durable write', () => {
  test('takes its time, and is durable when it says so', async () => {
    const b = await bench();
    const result = writing(b);
    await b.world.run(1);
    expect(result.outcome).toBe('nothing');
    expect(b.durable).toEqual([]);
    await b.world.run(2);
    expect(result.outcome).toBe('done');
    expect(b.durable).toEqual([1_024]);
    b.device.afterPowerCut(0);
    expect(b.device.image.peek('/d/f')).toEqual(new Uint8Array(1_024).fill(7));
  });

  test('is lost, whole or in part, when the power goes before it is done', async () => {
    for (const [keep, kept] of [
      [0, 0],
      [1, 1_024],
    ] as const) {
      const b = await bench();
      writing(b);
      await b.world.run(1);
      b.process.kill();
      expect(b.device.afterPowerCut(keep)).toBeGreaterThan(0);
      expect(b.device.image.peek('/d/f').length).toBe(kept);
      expect(b.durable).toEqual([]);
    }
  });

  test.each(['EIO', 'ENOSPC'] as const)('fails with %s', async (code) => {
    const b = await bench();
    b.device.failAfter(code, 1);
    const result = writing(b);
    await b.world.run(10);
    expect(result.outcome).toBe(code);
    expect(b.durable).toEqual([]);
  });

  test('waits while the disk stalls, and goes on when that ends', async () => {
    const b = await bench();
    b.device.stall(1_000);
    const result = writing(b);
    await b.world.run(900);
    expect(result.outcome).toBe('nothing');
    await b.world.run(200);
    expect(result.outcome).toBe('done');
  });

  test('may be the last thing that its process does', async () => {
    const b = await bench();
    b.device.failAfter('crash', 0);
    const result = writing(b);
    await b.world.run(10);
    expect(b.process.alive).toBe(false);
    expect(result.outcome).toBe('nothing');
  });
});

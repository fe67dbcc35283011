import { expect, test } from 'vitest';
import type { KvService, Reply } from '../api/index.ts';
import { watched } from './patience.ts';
import { World } from './world.ts';

const TIMEOUT_MS = 1_000;
const COMMAND = new Uint8Array();

/** A service that keeps the replies which it is asked for, and a watch over it. */
function watchedService() {
  const world = new World(1, null);
  const process = world.process('m1', { offsetMs: 0, rate: 1 });
  const replies: Reply[] = [];
  const silences: number[] = [];
  const answers: Uint8Array[] = [];
  const silent: Pick<KvService, 'execute' | 'read'> = {
    execute: (_, reply) => void replies.push(reply),
    read: (_, reply) => void replies.push(reply),
  };
  const service = watched(silent as KvService, {
    process,
    timeoutMs: TIMEOUT_MS,
    onSilence: () => silences.push(world.nowMs),
    onCommand: () => (answer) => answers.push(answer),
  });
  return { world, process, replies, silences, answers, service };
}

test.each(['execute', 'read'] as const)('%s that is never answered is noticed', async (call) => {
  const { world, silences, service } = watchedService();
  const unheard = (): void => expect.unreachable('nobody answers');
  if (call === 'execute') service.execute(COMMAND, unheard);
  else
    service.read(
      { serializable: false, query: { type: 'resolve', sessionId: 1, seq: 1 } },
      unheard,
    );
  await world.run(3 * TIMEOUT_MS);
  expect(silences).toEqual([]);
  await world.run(3 * TIMEOUT_MS);
  expect(silences[0]).toBeGreaterThan(3 * TIMEOUT_MS);
});

test('one that is answered is not, and its caller gets the answer', async () => {
  const { world, replies, silences, service } = watchedService();
  const answers: Uint8Array[] = [];
  service.execute(COMMAND, (answer) => answers.push(answer));
  await world.run(TIMEOUT_MS);
  replies[0]?.(Uint8Array.of(7));
  await world.run(10 * TIMEOUT_MS);
  expect([answers, silences]).toEqual([[Uint8Array.of(7)], []]);
});

test('a process that sleeps need not answer', async () => {
  const { world, process, silences, service } = watchedService();
  service.execute(COMMAND, () => expect.unreachable('nobody answers'));
  process.pause();
  await world.run(100 * TIMEOUT_MS);
  process.resume('timersFirst');
  await world.run(2 * TIMEOUT_MS);
  expect(silences).toEqual([]);
});

import { expect, test } from 'vitest';
import { Counters } from './counters.ts';
import { PeerNetwork } from './peer-network.ts';
import { World } from './world.ts';

const MEMBERS = new Map([
  [1n, 'm1'],
  [2n, 'm2'],
]);

test('what a clogged link held back counts as sent before', async () => {
  const world = new World(1, null);
  const quality = {
    ...{ latencyMs: 1, jitterMs: 0, loss: 0, duplicate: 0, late: 0, lateMs: 0 },
    survivesRestart: false,
  };
  const network = new PeerNetwork({
    ...{ world, members: MEMBERS, quality, counters: new Counters() },
  });
  let arrived = 0;
  const handlers = { onMessage: () => arrived++, onBulk() {}, onUnreachable() {} };
  const [sender, receiver] = [...MEMBERS].map(([id, name]) => {
    const endpoint = { process: world.process(name, { offsetMs: 0, rate: 1 }), handlers };
    network.attach(id, endpoint);
    return network.transport(id, endpoint, () => ({ name, clientUrls: [] }));
  });
  const heartbeat = { type: 'heartbeat', from: 1n, to: 2n, term: 1 } as const;
  const message = { ...heartbeat, commitIndex: 0, readAttempt: null };
  network.clog(1n, 2n, 100);
  sender?.send([message, message, message]);
  await world.run(50);
  network.countAnew();
  sender?.send([message]);
  receiver?.send([{ ...message, from: 2n, to: 1n }]);
  await world.run(100);
  expect(arrived).toBe(5);
  expect(network.countsOf(1n, 2n)).toMatchObject({ sent: 1, stragglers: 3 });
  expect(network.countsOf(2n, 1n)).toMatchObject({ sent: 1, stragglers: 0 });
});

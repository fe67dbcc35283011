import { createServer, Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { deferred } from '../lib/index.ts';
import type { Connection } from './network.ts';
import { systemNetwork } from './system-network.ts';
import { connectPair, LOCAL, networkSuite, watch } from './testing/network-suite.ts';

networkSuite('TCP', () => systemNetwork);

const cleanups: (() => unknown)[] = [];
afterEach(() => vi.restoreAllMocks());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test('the other side ending its half ends the connection', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const near = watch(systemNetwork.connect({ host: '127.0.0.1', port: address.port }));
  expect(await near.closed).toBe(null);
});

test('a reset arrives at onClose', async () => {
  const accepted = deferred<Connection>();
  const listener = await systemNetwork.listen(LOCAL, accepted.resolve);
  cleanups.push(() => listener.close());
  const raw = new Socket().connect(listener.address.port, '127.0.0.1');
  const far = watch(await accepted.promise);
  raw.resetAndDestroy();
  expect(await far.closed).toMatchObject({ code: 'ECONNRESET' });
});

test('small writes leave at once: Nagle is off on the side that dials, too', async () => {
  const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
  const { far, near, listener } = await connectPair(systemNetwork);
  cleanups.push(() => listener.close());
  near.connection.write(Uint8Array.of(1));
  await far.take(1);
  expect(setNoDelay).toHaveBeenCalledWith(true);
  near.connection.destroy();
});

test('no host has to be proved', async () => {
  const { near, far, listener } = await connectPair(systemNetwork);
  cleanups.push(() => listener.close());
  expect([near, far].map(({ connection }) => connection.provesHost('any'))).toEqual([true, true]);
  near.connection.destroy();
});

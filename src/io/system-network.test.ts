import { createServer, Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { deferred } from '../lib/index.ts';
import type { Connection } from './network.ts';
import { systemNetwork } from './system-network.ts';

const LOCAL = { host: '127.0.0.1', port: 0 };

const cleanups: (() => unknown)[] = [];
afterEach(() => vi.restoreAllMocks());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A connection whose events can be waited for. */
function watch(connection: Connection) {
  const opened = deferred<void>();
  const closed = deferred<Error | null>();
  const drained = deferred<void>();
  const chunks: Uint8Array[] = [];
  let closes = 0;
  let wanted = { bytes: 0, arrived: deferred<void>() };
  const received = () => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  connection.start({
    onOpen: opened.resolve,
    onData(bytes) {
      chunks.push(bytes);
      if (received() >= wanted.bytes) wanted.arrived.resolve();
    },
    onDrain: drained.resolve,
    onClose(error) {
      closes++;
      closed.resolve(error);
    },
  });
  const take = async (bytes: number) => {
    wanted = { bytes, arrived: deferred<void>() };
    if (received() < bytes) await wanted.arrived.promise;
    return Buffer.concat(chunks);
  };
  return {
    connection,
    opened: opened.promise,
    closed: closed.promise,
    drained: drained.promise,
    take,
    chunks,
    closes: () => closes,
  };
}

/** Both ends of one connection over the loopback. */
async function pair() {
  const accepted = deferred<Connection>();
  const listener = await systemNetwork.listen(LOCAL, accepted.resolve);
  cleanups.push(() => listener.close());
  const near = watch(systemNetwork.connect(listener.address));
  await near.opened;
  const far = watch(await accepted.promise);
  cleanups.push(() => near.connection.destroy());
  cleanups.push(() => far.connection.destroy());
  return { near, far, listener };
}

test('port 0 is replaced by the port that the system picked', async () => {
  const listener = await systemNetwork.listen(LOCAL, () => {});
  cleanups.push(() => listener.close());
  expect(listener.address.host).toBe('127.0.0.1');
  expect(listener.address.port).toBeGreaterThan(0);
});

test('bytes travel in both directions, as plain arrays that a slice copies', async () => {
  const { near, far } = await pair();
  near.connection.write(Uint8Array.of(1, 2, 3));
  far.connection.write(Uint8Array.of(4, 5));
  expect([...(await far.take(3))]).toEqual([1, 2, 3]);
  expect([...(await near.take(2))]).toEqual([4, 5]);
  for (const chunk of [...near.chunks, ...far.chunks]) {
    expect(Object.getPrototypeOf(chunk)).toBe(Uint8Array.prototype);
  }
});

test('write says when to wait, and onDrain when to go on; nothing is lost', async () => {
  const { near, far } = await pair();
  const big = new Uint8Array(8 * 1024 * 1024).fill(7);
  expect(near.connection.write(big)).toBe(false);
  await near.drained;
  expect(near.connection.bufferedBytes).toBe(0);
  expect((await far.take(big.length)).length).toBe(big.length);
});

test('destroy ends both sides with one onClose each', async () => {
  const { near, far } = await pair();
  near.connection.destroy();
  near.connection.destroy();
  expect(await near.closed).toBe(null);
  expect(await far.closed).toBe(null);
  expect([near.closes(), far.closes()]).toEqual([1, 1]);
  expect(near.connection.write(Uint8Array.of(1))).toBe(false);
});

test('what was written before destroy arrives', async () => {
  const { near, far } = await pair();
  near.connection.write(Uint8Array.of(9));
  near.connection.destroy();
  expect([...(await far.take(1))]).toEqual([9]);
});

test('a connection that ended before start still tells so', async () => {
  const accepted = deferred<Connection>();
  const listener = await systemNetwork.listen(LOCAL, accepted.resolve);
  cleanups.push(() => listener.close());
  const near = watch(systemNetwork.connect(listener.address));
  await near.opened;
  const late = await accepted.promise;
  late.destroy();
  await near.closed;
  expect(await watch(late).closed).toBe(null);
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

describe('errors arrive at onClose:', () => {
  test('nobody listens', async () => {
    const listener = await systemNetwork.listen(LOCAL, () => {});
    await listener.close();
    const near = watch(systemNetwork.connect(listener.address));
    expect(await near.closed).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a port that is none', async () => {
    const near = watch(systemNetwork.connect({ host: '127.0.0.1', port: 70_000 }));
    expect(await near.closed).toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' });
  });

  test('a reset', async () => {
    const accepted = deferred<Connection>();
    const listener = await systemNetwork.listen(LOCAL, accepted.resolve);
    cleanups.push(() => listener.close());
    const raw = new Socket().connect(listener.address.port, '127.0.0.1');
    const far = watch(await accepted.promise);
    raw.resetAndDestroy();
    expect(await far.closed).toMatchObject({ code: 'ECONNRESET' });
  });
});

test('an address in use, or a port that is none, rejects with its code', async () => {
  const listener = await systemNetwork.listen(LOCAL, () => {});
  cleanups.push(() => listener.close());
  const again = systemNetwork.listen(listener.address, () => {});
  await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
  const none = systemNetwork.listen({ host: '127.0.0.1', port: -1 }, () => {});
  await expect(none).rejects.toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' });
});

test('closing a listener frees the port at once and leaves open connections alone', async () => {
  const { near, far, listener } = await pair();
  await listener.close();
  await listener.close();
  const next = await systemNetwork.listen(listener.address, () => {});
  cleanups.push(() => next.close());
  near.connection.write(Uint8Array.of(1));
  expect((await far.take(1)).length).toBe(1);
});

test('small writes leave at once: Nagle is off on the side that dials, too', async () => {
  const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
  const { far, near } = await pair();
  near.connection.write(Uint8Array.of(1));
  await far.take(1);
  expect(setNoDelay).toHaveBeenCalledWith(true);
});

test('a name is looked up', async () => {
  const listener = await systemNetwork.listen({ host: 'localhost', port: 0 }, () => {});
  cleanups.push(() => listener.close());
  const { port } = listener.address;
  const near = watch(systemNetwork.connect({ host: 'localhost', port }));
  await near.opened;
  near.connection.destroy();
});

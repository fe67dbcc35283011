import { afterEach, describe, expect, test } from 'vitest';
import { deferred } from '../../lib/index.ts';
import type { Connection, Listener, Network } from '../network.ts';

export const LOCAL = { host: '127.0.0.1', port: 0 };

/** A connection whose events can be waited for. */
export interface Watched {
  readonly connection: Connection;
  readonly opened: Promise<void>;
  readonly closed: Promise<Error | null>;
  readonly drained: Promise<void>;
  readonly chunks: readonly Uint8Array[];
  /** Waits for that many bytes; returns all that came. */
  take(bytes: number): Promise<Buffer>;
  /** How often `onClose` was called. */
  closes(): number;
}

export function watch(connection: Connection): Watched {
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
  return {
    connection,
    opened: opened.promise,
    closed: closed.promise,
    drained: drained.promise,
    async take(bytes) {
      wanted = { bytes, arrived: deferred<void>() };
      if (received() < bytes) await wanted.arrived.promise;
      return Buffer.concat(chunks);
    },
    chunks,
    closes: () => closes,
  };
}

/** Both ends of a connection. */
export interface Pair {
  readonly near: Watched;
  readonly far: Watched;
  readonly listener: Listener;
}

/** Connects over the loopback; whoever calls closes. */
export async function connectPair(network: Network, dialling = network): Promise<Pair> {
  const accepted = deferred<Connection>();
  const listener = await network.listen(LOCAL, accepted.resolve);
  const near = watch(dialling.connect(listener.address));
  await near.opened;
  return { near, far: watch(await accepted.promise), listener };
}

/** What every network of the machine promises. `network` is called when the tests run. */
export function networkSuite(name: string, network: () => Network): void {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  const listen = async (onConnection: (connection: Connection) => void = () => {}) => {
    const listener = await network().listen(LOCAL, onConnection);
    cleanups.push(() => listener.close());
    return listener;
  };
  const pair = async () => {
    const both = await connectPair(network());
    cleanups.push(() => both.listener.close());
    for (const end of [both.near, both.far]) cleanups.push(() => end.connection.destroy());
    return both;
  };

  describe(`${name}:`, () => {
    delivers(pair);
    ends(pair, network, listen);
    refuses(network, listen);
  });
}

function delivers(pair: () => Promise<Pair>): void {
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
}

function ends(
  pair: () => Promise<Pair>,
  network: () => Network,
  listen: (onConnection?: (connection: Connection) => void) => Promise<Listener>,
): void {
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
    const listener = await listen(accepted.resolve);
    const near = watch(network().connect(listener.address));
    await near.opened;
    const late = await accepted.promise;
    late.destroy();
    await near.closed;
    expect(await watch(late).closed).toBe(null);
  });

  test('closing a listener frees the port at once and leaves open connections alone', async () => {
    const { near, far, listener } = await pair();
    await listener.close();
    await listener.close();
    const next = await network().listen(listener.address, () => {});
    near.connection.write(Uint8Array.of(1));
    expect((await far.take(1)).length).toBe(1);
    await next.close();
  });
}

function refuses(
  network: () => Network,
  listen: (onConnection?: (connection: Connection) => void) => Promise<Listener>,
): void {
  test('port 0 is replaced by the port that the system picked', async () => {
    const listener = await listen();
    expect(listener.address.host).toBe('127.0.0.1');
    expect(listener.address.port).toBeGreaterThan(0);
  });

  test('that nobody listens arrives at onClose', async () => {
    const listener = await listen();
    await listener.close();
    const near = watch(network().connect(listener.address));
    expect(await near.closed).toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('that a port is none arrives at onClose', async () => {
    const near = watch(network().connect({ host: '127.0.0.1', port: 70_000 }));
    expect(await near.closed).toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' });
  });

  test('an address in use, or a port that is none, rejects with its code', async () => {
    const listener = await listen();
    const again = network().listen(listener.address, () => {});
    await expect(again).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const none = network().listen({ host: '127.0.0.1', port: -1 }, () => {});
    await expect(none).rejects.toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' });
  });

  test('a name is looked up', async () => {
    const listener = await network().listen({ host: 'localhost', port: 0 }, () => {});
    const { port } = listener.address;
    const near = watch(network().connect({ host: 'localhost', port }));
    await near.opened;
    near.connection.destroy();
    await listener.close();
  });
}

import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { type Address, silentLog, systemClock, systemNetwork, systemRandom } from '../io/index.ts';
import { equalBytes } from '../lib/index.ts';
import type { Message } from '../raft/index.ts';
import { decodeFrame, FrameReader, FrameWriter } from './frame.ts';
import type { Hello, Lane } from './handshake.ts';
import { append, CLUSTER, chunk, heartbeat, kept, question } from './testing/index.ts';
import { openTransport } from './transport.ts';
import type { BulkMessage, Peer, PeerMessage, PeerTransport, SnapshotChunk } from './types.ts';

/*
 * The same transport over real sockets on the loopback. What depends on time is tested with a fake
 * clock elsewhere; here nothing waits for more than an event.
 */

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Member {
  readonly transport: PeerTransport;
  readonly received: Message[];
  readonly bulk: BulkMessage[];
  readonly peer: Peer;
}

async function start(
  id: bigint,
  peers: readonly Peer[],
  listen: Address = { host: '127.0.0.1', port: 0 },
): Promise<Member> {
  const received: Message[] = [];
  const bulk: BulkMessage[] = [];
  const transport = await openTransport({
    network: systemNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    listen,
    self: {
      clusterId: CLUSTER,
      memberId: id,
      incarnation: new DataView(systemRandom.bytes(8).buffer).getBigUint64(0),
      info: { name: `n${id}`, clientUrls: [] },
    },
    peers,
    handlers: {
      onMessage: (message) => received.push(message),
      onBulk: (message) => bulk.push(kept(message)),
      onUnreachable: () => {},
    },
  });
  closers.push(() => transport.close());
  return { transport, received, bulk, peer: { memberId: id, address: transport.address } };
}

/** Waits for what must become true; fails after ten seconds. */
function until(check: () => boolean): Promise<void> {
  return vi.waitFor(() => expect(check()).toBe(true), { timeout: 10_000, interval: 5 });
}

async function pair(): Promise<[Member, Member]> {
  const one = await start(1n, []);
  const two = await start(2n, [one.peer]);
  one.transport.setPeers([two.peer]);
  await until(() => one.transport.connectedPeers().length === 1);
  await until(() => two.transport.connectedPeers().length === 1);
  // Two lanes each way, seen from both ends.
  for (const { transport } of [one, two]) {
    await until(() => transport.metrics.handshakesCompleted === 4);
  }
  return [one, two];
}

test('messages of every size arrive in both directions', async () => {
  const [one, two] = await pair();
  const sizes = [0, 1, 1000, 70_000, 1024 * 1024, 8 * 1024 * 1024];
  const there = sizes.map((bytes, i) => append(1n, 2n, i + 1, bytes));
  one.transport.send(there);
  two.transport.send([question(2n, 1n, 5)]);
  await until(() => two.received.length === sizes.length && one.received.length === 1);
  const lengths = two.received.map((message) => {
    const entry = message.type === 'appendEntries' ? message.entries[0] : undefined;
    return entry?.kind === 'command' ? entry.data.length : null;
  });
  expect(lengths).toEqual(sizes);
  expect(one.received).toEqual([question(2n, 1n, 5)]);
});

test('a snapshot in chunks arrives on a connection of its own', async () => {
  const [one, two] = await pair();
  const handshakes = two.transport.metrics.handshakesCompleted;
  const sizes = [0, 1, 256 * 1024, 1024 * 1024];
  const chunks = sizes.map((bytes, i) => chunk(1n, 2n, i, bytes));
  for (const [i, message] of chunks.entries()) {
    expect(one.transport.sendBulk(message)).toBe(true);
    await until(() => two.bulk.length === i + 1);
    const head = { from: 2n, to: 1n, transferId: 1, nextSequence: i + 1 } as const;
    two.transport.sendBulk({ type: 'snapshotChunkReply', ...head, status: 'more' });
    await until(() => one.bulk.length === i + 1);
  }
  for (const [i, received] of two.bulk.entries()) {
    const { data, ...rest } = received as SnapshotChunk;
    const { data: sent, ...sentRest } = chunks[i] as SnapshotChunk;
    expect(rest).toEqual(sentRest);
    expect(equalBytes(data, sent)).toBe(true);
  }
  expect(two.transport.metrics.handshakesCompleted).toBe(handshakes + 1);
});

test('a peer that is killed and started again on its address is found again', async () => {
  const [one, two] = await pair();
  await two.transport.close();
  await until(() => one.transport.connectedPeers().length === 0);
  const again = await start(2n, [one.peer], two.peer.address);
  await until(() => one.transport.connectedPeers().length === 1);
  one.transport.send([question(1n, 2n, 1)]);
  await until(() => again.received.length === 1);
});

test('an HTTP request and garbage on the peer port are cut off, and peers go on', async () => {
  const [one, two] = await pair();
  for (const bytes of ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', '\0'.repeat(100)]) {
    const socket = connect(one.peer.address.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => socket.destroy());
    socket.write(bytes);
    await closed;
  }
  expect(one.transport.metrics.badFrames).toBe(2);
  two.transport.send([question(2n, 1n, 1)]);
  await until(() => one.received.length === 1);
});

/** A peer made by hand that welcomes everybody and does not read one lane. */
async function deafOn(deafLane: Lane): Promise<{
  server: Server;
  address: Address;
  heard: PeerMessage[];
}> {
  const heard: PeerMessage[] = [];
  const sockets = new Set<Socket>();
  const writer = new FrameWriter();
  const server = createServer((socket) => {
    const reader = new FrameReader(1024 * 1024);
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      reader.push(chunk);
      for (let payload = reader.next(); payload !== null; payload = reader.next()) {
        const frame = decodeFrame(payload);
        if (frame.kind === 'message') heard.push(frame.message);
        if (frame.kind === 'hello') greet(socket, frame);
      }
    });
  });
  const greet = (socket: Socket, { from, to, lane, clusterId }: Hello) => {
    const info = { name: 'deaf', clientUrls: [] };
    const ids = { clusterId, from: to, to: from, incarnation: 1n };
    socket.write(writer.handshake({ kind: 'welcome', version: 1, ...ids, info }));
    if (lane === deafLane) socket.pause();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return { server, address: { host: '127.0.0.1', port: bound.port }, heard };
}

test('heartbeats arrive while the append lane is full to its limit', async () => {
  const deaf = await deafOn('append');
  const one = await start(1n, [{ memberId: 2n, address: deaf.address }]);
  await until(() => one.transport.connectedPeers().length === 1);
  const { metrics } = one.transport;
  // 64 MiB wait, and a few more MiB are in the sockets' buffers.
  for (let i = 1; i <= 100 && metrics.droppedQueueFull === 0; i++) {
    one.transport.send([append(1n, 2n, i, 1024 * 1024)]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(metrics.droppedQueueFull).toBeGreaterThan(0);
  one.transport.send([heartbeat(1n, 2n, 42)]);
  await until(() => deaf.heard.length === 1);
  expect(deaf.heard).toEqual([heartbeat(1n, 2n, 42)]);
});

test('heartbeats and entries arrive while the bulk lane is full to its limit', async () => {
  const deaf = await deafOn('bulk');
  const one = await start(1n, [{ memberId: 2n, address: deaf.address }]);
  await until(() => one.transport.connectedPeers().length === 1);
  const { metrics } = one.transport;
  // Four chunks wait, and a few MiB are in the sockets' buffers.
  for (let i = 1; i <= 100 && metrics.droppedQueueFull === 0; i++) {
    one.transport.sendBulk(chunk(1n, 2n, i, 1024 * 1024));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(metrics.droppedQueueFull).toBeGreaterThan(0);
  one.transport.send([heartbeat(1n, 2n, 42), append(1n, 2n)]);
  await until(() => deaf.heard.length === 2);
  expect(deaf.heard).toContainEqual(heartbeat(1n, 2n, 42));
  expect(deaf.heard).toContainEqual(append(1n, 2n));
});

test('close gives back every socket and timer', async () => {
  const resources = () => {
    const counted = ['TCPSocketWrap', 'TCPServerWrap', 'Timeout', 'TCPConnectWrap'];
    return process.getActiveResourcesInfo().filter((name) => counted.includes(name)).length;
  };
  const before = resources();
  const [one, two] = await pair();
  one.transport.send([append(1n, 2n, 1, 1024 * 1024)]);
  await Promise.all([one.transport.close(), two.transport.close(), one.transport.close()]);
  await until(() => resources() <= before);
});

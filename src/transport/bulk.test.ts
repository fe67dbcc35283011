import { describe, expect, test } from 'vitest';
import { TRANSPORT_LIMITS as LIMITS, type TransportLimits, WIRE_LIMITS } from './limits.ts';
import { append, chunk, heartbeat, host, question, World } from './testing/index.ts';
import type { SnapshotChunkReply } from './types.ts';

function reply(from: bigint, to: bigint, nextSequence: number): SnapshotChunkReply {
  return { type: 'snapshotChunkReply', from, to, transferId: 1, nextSequence, status: 'more' };
}

/** A pair whose bulk lane from 1 to 2 is open; `lane` is member 2's end of it. */
async function bulkPair(limits: Partial<TransportLimits> = {}) {
  const world = new World();
  const [one, two] = await world.pair({ linkTimeoutMs: 60_000, ...limits });
  const before = new Set(world.ends(2n, 1n));
  one.transport.sendBulk(chunk(1n, 2n, 0));
  world.clock.advance(10);
  const [lane] = world.ends(2n, 1n).filter((end) => !before.has(end));
  if (lane === undefined) throw new Error('no bulk connection');
  two.bulk.length = 0;
  return { world, one, two, lane };
}

describe('the bulk lane', () => {
  test('is not connected until the first chunk is sent, which arrives', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    world.clock.advance(30_000);
    expect(world.network.endsAt(host(1n)).length).toBe(4);
    expect(one.transport.sendBulk(chunk(1n, 2n, 0))).toBe(true);
    world.clock.advance(10);
    expect(two.bulk).toEqual([chunk(1n, 2n, 0)]);
    expect(world.network.endsAt(host(1n)).length).toBe(5);
    await world.close(one, two);
  });

  test('takes chunks in order; what the receiver says comes on the control lane', async () => {
    const { world, one, two } = await bulkPair();
    const chunks = [1, 2, 3].map((i) => chunk(1n, 2n, i, 1000));
    for (const message of chunks) expect(one.transport.sendBulk(message)).toBe(true);
    world.clock.advance(10);
    expect(two.bulk).toEqual(chunks);
    const connections = world.network.openEnds;
    expect(two.transport.sendBulk(reply(2n, 1n, 4))).toBe(true);
    world.clock.advance(10);
    expect(one.bulk).toEqual([reply(2n, 1n, 4)]);
    expect(world.network.openEnds).toBe(connections);
    expect([one.received, two.received]).toEqual([[], []]);
    await world.close(one, two);
  });

  test('is closed after 10 s without a chunk, and opened again by the next', async () => {
    const { world, one, two } = await bulkPair();
    world.log.lines.length = 0;
    world.clock.advance(LIMITS.bulkIdleMs - 2 * LIMITS.keepAliveMs);
    expect(world.network.endsAt(host(1n)).length).toBe(5);
    world.clock.advance(3 * LIMITS.keepAliveMs);
    expect(world.network.endsAt(host(1n)).length).toBe(4);
    world.clock.advance(5000);
    expect(one.transport.sendBulk(chunk(1n, 2n, 1))).toBe(true);
    world.clock.advance(10);
    expect(two.bulk).toEqual([chunk(1n, 2n, 1)]);
    expect(world.log.troubles).toEqual([]);
    expect([one.unreachable, two.unreachable]).toEqual([[], []]);
    await world.close(one, two);
  });

  test('is kept while a chunk crawls, however long that takes', async () => {
    const { world, one, two, lane } = await bulkPair();
    const { handshakesCompleted } = one.transport.metrics;
    lane.paused = true;
    one.transport.sendBulk(chunk(1n, 2n, 1, 1024 * 1024));
    // 32 KiB a second.
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1000);
      lane.trickle(32 * 1024);
    }
    lane.paused = false;
    lane.deliver();
    world.clock.advance(10);
    expect(two.bulk).toMatchObject([{ type: 'snapshotChunk', sequence: 1 }]);
    expect(one.transport.sendBulk(chunk(1n, 2n, 2))).toBe(true);
    world.clock.advance(10);
    expect(two.bulk.length).toBe(2);
    expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted);
    await world.close(one, two);
  });

  test('clogged to its limit holds up neither heartbeats nor entries', async () => {
    const { world, one, two, lane } = await bulkPair();
    lane.paused = true;
    while (one.transport.sendBulk(chunk(1n, 2n, 1, 1024 * 1024)));
    for (let i = 1; i <= 10; i++) {
      one.transport.send([question(1n, 2n, i), append(1n, 2n, i)]);
      world.clock.advance(5);
      expect(two.received.length).toBe(2 * i);
    }
    expect(two.bulk).toEqual([]);
    expect(one.unreachable).toEqual([]);
    await world.close(one, two);
  });

  test('queues as many chunks as it may; the next is refused until one has left', async () => {
    const { world, one, two, lane } = await bulkPair({ bulkQueueMessagesMax: 4 });
    lane.paused = true;
    const sent = Array.from({ length: 7 }, (_, i) =>
      one.transport.sendBulk(chunk(1n, 2n, i, WIRE_LIMITS.chunkBytesMax)),
    );
    // The first fills the connection, four wait.
    expect(sent).toEqual([true, true, true, true, true, false, false]);
    expect(one.transport.metrics.droppedQueueFull).toBe(2);
    lane.paused = false;
    lane.deliver();
    world.clock.advance(50);
    expect(two.bulk.length).toBe(5);
    expect(one.transport.sendBulk(chunk(1n, 2n, 5))).toBe(true);
    await world.close(one, two);
  });

  test('queues up to its limit of bytes, and always takes one chunk', async () => {
    const { world, one, two, lane } = await bulkPair({ bulkQueueBytesMax: 100_000 });
    lane.paused = true;
    const sent = [1, 2, 3].map((i) => one.transport.sendBulk(chunk(1n, 2n, i, 200_000)));
    expect(sent).toEqual([true, true, false]);
    await world.close(one, two);
  });

  test('counts chunks and the snapshot’s bytes at both ends', async () => {
    const { world, one, two } = await bulkPair();
    one.transport.sendBulk(chunk(1n, 2n, 1, 500));
    world.clock.advance(10);
    expect(one.transport.metrics).toMatchObject({ chunksSent: 2, chunkBytesSent: 510 });
    expect(two.transport.metrics).toMatchObject({ chunksReceived: 2, chunkBytesReceived: 510 });
    await world.close(one, two);
  });
});

describe('a chunk is refused', () => {
  test('for a member that is no peer, or only a guest', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const two = await world.start(2n, [1n]);
    world.clock.advance(10);
    expect(one.transport.sendBulk(chunk(1n, 2n))).toBe(false);
    expect(one.transport.sendBulk(chunk(1n, 9n))).toBe(false);
    expect(one.transport.metrics.droppedUnknownReceiver).toBe(2);
    await world.close(one, two);
  });

  test('while the connection waits to be dialled again', async () => {
    const world = new World();
    const one = await world.start(1n, [2n]);
    expect(one.transport.sendBulk(chunk(1n, 2n))).toBe(true);
    world.clock.advance(10);
    expect(one.transport.sendBulk(chunk(1n, 2n))).toBe(false);
    world.clock.advance(1);
    expect(one.unreachable).toEqual([2n]);
    await world.close(one);
  });

  test('beyond 1 MiB of data, whatever the frame limit; that is logged', async () => {
    const { world, one, two } = await bulkPair({ bulkFrameBytesMax: 4 * 1024 * 1024 });
    const { chunkBytesMax } = WIRE_LIMITS;
    expect(one.transport.sendBulk(chunk(1n, 2n, 1, chunkBytesMax + 1))).toBe(false);
    expect(one.transport.sendBulk(chunk(1n, 2n, 2, chunkBytesMax))).toBe(true);
    world.clock.advance(50);
    expect(two.bulk.length).toBe(1);
    expect(world.log.troubles).toContain('message is larger than a frame may be');
    await world.close(one, two);
  });

  test('beyond the lane’s frame limit', async () => {
    const { world, one, two } = await bulkPair({ bulkFrameBytesMax: 1000 });
    expect(one.transport.sendBulk(chunk(1n, 2n, 1, 1000))).toBe(false);
    expect(one.transport.sendBulk(chunk(1n, 2n, 2, 850))).toBe(true);
    expect(one.transport.metrics.droppedOversized).toBe(1);
    await world.close(one, two);
  });

  test('after close', async () => {
    const { world, one, two } = await bulkPair();
    await world.close(one, two);
    expect(one.transport.sendBulk(chunk(1n, 2n))).toBe(false);
    expect(world.clock.timers).toBe(0);
    expect(world.network.openEnds).toBe(0);
  });
});

test('a guest’s chunks are taken, and it hears about them on its control connection', async () => {
  const world = new World();
  const one = await world.start(1n, []);
  const two = await world.start(2n, [1n]);
  world.clock.advance(10);
  expect(two.transport.sendBulk(chunk(2n, 1n))).toBe(true);
  world.clock.advance(10);
  expect(one.bulk).toEqual([chunk(2n, 1n)]);
  expect(one.transport.sendBulk(reply(1n, 2n, 1))).toBe(true);
  world.clock.advance(10);
  expect(two.bulk).toEqual([reply(1n, 2n, 1)]);
  await world.close(one, two);
});

test('chunks lost with their connection are reported, and the next chunk dials again', async () => {
  const { world, one, two, lane } = await bulkPair();
  lane.paused = true;
  for (let i = 1; i <= 3; i++) one.transport.sendBulk(chunk(1n, 2n, i, 200_000));
  lane.destroy();
  world.clock.advance(10);
  expect(one.unreachable).toEqual([2n]);
  expect(two.bulk).toEqual([]);
  world.clock.advance(LIMITS.backoffMaxMs);
  // Nobody dials for nothing.
  expect(world.network.endsAt(host(1n)).length).toBe(4);
  expect(one.transport.sendBulk(chunk(1n, 2n, 1))).toBe(true);
  world.clock.advance(10);
  expect(two.bulk).toEqual([chunk(1n, 2n, 1)]);
  await world.close(one, two);
});

test('a restarted peer gets the next chunk, and nothing of the transfer before', async () => {
  const { world, one, two } = await bulkPair();
  world.network.powerOff(host(2n));
  one.transport.sendBulk(chunk(1n, 2n, 1));
  const again = await world.start(2n, [1n]);
  world.clock.advance(50);
  expect(again.bulk).toEqual([]);
  expect(one.transport.sendBulk(chunk(1n, 2n, 2))).toBe(true);
  world.clock.advance(50);
  expect(again.bulk).toEqual([chunk(1n, 2n, 2)]);
  await world.close(one, again);
  expect(two.bulk).toEqual([]);
});

test('a damaged chunk costs the bulk connection only', async () => {
  const { world, one, two } = await bulkPair();
  const { tamper } = world.network;
  world.network.tamper = (bytes) => bytes.map((byte, i) => (i === 200 ? byte ^ 1 : byte));
  one.transport.sendBulk(chunk(1n, 2n, 1, 1000));
  world.network.tamper = tamper;
  world.clock.advance(10);
  expect(two.transport.metrics.badFrames).toBe(1);
  expect(two.bulk).toEqual([]);
  expect([one.transport.connectedPeers(), two.transport.connectedPeers()]).toEqual([[2n], [1n]]);
  expect(world.network.endsAt(host(1n)).length).toBe(4);
  one.transport.send([heartbeat(1n, 2n, 3)]);
  world.clock.advance(10);
  expect(two.received).toEqual([heartbeat(1n, 2n, 3)]);
  await world.close(one, two);
});

test.each(['control', 'append'] as const)('a chunk on the %s lane closes it', async (lane) => {
  const world = new World();
  const one = await world.start(1n, [2n]);
  const caller = world.call(1n);
  world.clock.advance(5);
  caller.hello({ lane });
  world.clock.advance(5);
  caller.send(chunk(2n, 1n));
  world.clock.advance(5);
  expect(caller.closed).toBe(true);
  expect(one.bulk).toEqual([]);
  expect(one.transport.metrics.badFrames).toBe(1);
  await world.close(one);
});

test('a reply or a heartbeat on the bulk lane closes it', async () => {
  const world = new World();
  const one = await world.start(1n, [2n]);
  for (const message of [reply(2n, 1n, 1), heartbeat(2n, 1n)]) {
    const caller = world.call(1n);
    world.clock.advance(5);
    caller.hello({ lane: 'bulk' });
    world.clock.advance(5);
    caller.send(message);
    world.clock.advance(5);
    expect(caller.closed).toBe(true);
  }
  expect([one.bulk, one.received]).toEqual([[], []]);
  await world.close(one);
});

test('a chunk of somebody else, or for somebody else, is dropped and counted', async () => {
  const world = new World();
  const one = await world.start(1n, [2n]);
  const caller = world.call(1n);
  world.clock.advance(5);
  caller.hello({ lane: 'bulk' });
  world.clock.advance(5);
  caller.send(chunk(3n, 1n), chunk(2n, 3n), chunk(2n, 1n));
  world.clock.advance(5);
  expect(one.bulk).toEqual([chunk(2n, 1n)]);
  expect(one.transport.metrics.droppedMisaddressed).toBe(2);
  await world.close(one);
});

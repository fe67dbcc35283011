import { describe, expect, test } from 'vitest';
import type { AppendEntries, Message } from '../raft/index.ts';
import { TRANSPORT_LIMITS as LIMITS, type TransportLimits } from './limits.ts';
import { append, heartbeat, host, type Member, question, World } from './testing/index.ts';

/** The ids that each of two members is connected to. */
function connected(one: Member, two: Member): (readonly bigint[])[] {
  return [one.transport.connectedPeers(), two.transport.connectedPeers()];
}

const BOTH = [[2n], [1n]];

describe('a lost peer', () => {
  test('is called again with growing pauses of at most one second', async () => {
    const world = new World();
    const one = await world.start(1n, [2n]);
    const calls: number[] = [];
    await world.network.host(host(2n)).listen(world.address(2n), (connection) => {
      calls.push(world.clock.nowMs());
      connection.start({ onData: () => connection.destroy(), onClose: () => {} });
    });
    world.clock.advance(20_000);
    const lane = calls.filter((_, i) => i % 2 === 0);
    const pauses = lane.slice(1).map((ms, i) => ms - (lane[i] as number));
    expect(pauses[0]).toBeLessThan(120);
    expect(Math.max(...pauses)).toBeLessThan(LIMITS.backoffMaxMs + 100);
    // Spread by chance, so that members that lost the same peer do not call it in step.
    const late = pauses.slice(6);
    expect(Math.min(...late)).toBeLessThan(0.75 * LIMITS.backoffMaxMs);
    expect(Math.max(...late)).toBeGreaterThan(0.75 * LIMITS.backoffMaxMs);
    // Two lanes, pauses of 0.5 to 1 s after the first few.
    expect(calls.length).toBeGreaterThan(40);
    expect(calls.length).toBeLessThan(100);
    await world.close(one);
  });

  test('is connected again soon after its return, and the trouble was logged once', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    await world.close(two);
    world.log.lines.length = 0;
    world.clock.advance(30_000);
    expect(one.transport.connectedPeers()).toEqual([]);
    const troubles = world.log.troubles.filter((line) => line.startsWith('peer cannot'));
    expect(troubles).toEqual(['peer cannot be reached; trying again']);
    const again = await world.start(2n, [1n]);
    world.clock.advance(50);
    expect(connected(one, again)).toEqual(BOTH);
    one.transport.send([heartbeat(1n, 2n, 8)]);
    world.clock.advance(10);
    expect(again.received).toEqual([heartbeat(1n, 2n, 8)]);
    await world.close(one, again);
  });

  test('that only listens is connected again within a second of its return', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    await world.close(two);
    world.clock.advance(30_000);
    const silent = await world.start(2n, []);
    world.clock.advance(LIMITS.backoffMaxMs + 10);
    expect(one.transport.connectedPeers()).toEqual([2n]);
    await world.close(one, silent);
  });

  test('is reported unreachable once a second at most, and after the last loss', async () => {
    const world = new World();
    const reports: number[] = [];
    const one = await world.start(1n, [2n], {
      handlers: { onUnreachable: () => reports.push(world.clock.nowMs()) },
    });
    for (let i = 0; i < 50; i++) {
      const before = reports.length;
      one.transport.send([heartbeat(1n, 2n)]);
      expect(reports.length, 'never from inside send').toBe(before);
      world.clock.advance(100);
    }
    const endMs = world.clock.nowMs();
    world.clock.advance(3000);
    const gaps = reports.slice(1).map((ms, i) => ms - (reports[i] as number));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(LIMITS.unreachableIntervalMs);
    expect(reports.length).toBeGreaterThanOrEqual(4);
    expect(reports.at(-1)).toBeGreaterThan(endMs - 200);
    await world.close(one);
  });
});

describe('a dead link', () => {
  const FOUND_MS = LIMITS.linkTimeoutMs + 2 * LIMITS.keepAliveMs;

  test('an idle connection is kept', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const { handshakesCompleted } = one.transport.metrics;
    world.clock.advance(60_000);
    expect(connected(one, two)).toEqual(BOTH);
    expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted);
    // Four connections, each with a keep-alive a tick from either end.
    const perSecond = one.transport.metrics.framesSent / 60;
    expect(perSecond).toBeLessThan(20);
    await world.close(one, two);
  });

  test('a peer without power is noticed by both lanes when nothing is sent', async () => {
    const world = new World();
    const [one] = await world.pair();
    world.network.powerOff(host(2n));
    world.clock.advance(FOUND_MS);
    expect(one.transport.connectedPeers()).toEqual([]);
    expect(one.unreachable).toEqual([2n]);
    await world.close(one);
    world.clock.advance(10);
    expect(world.network.openEnds).toBe(0);
  });

  test.each([
    ['both directions', ['m1>m2', 'm2>m1']],
    ['the way there', ['m1>m2']],
    ['the way back', ['m2>m1']],
  ])('a partition of %s is noticed, and healed within a second', async (_name, cuts) => {
    const world = new World();
    const [one, two] = await world.pair();
    for (const cut of cuts) world.network.cut(...(cut.split('>') as [string, string]));
    world.clock.advance(FOUND_MS + 10);
    expect(connected(one, two)).toEqual([[], []]);
    world.clock.advance(10_000);
    for (const cut of cuts) world.network.heal(...(cut.split('>') as [string, string]));
    world.clock.advance(LIMITS.backoffMaxMs + 50);
    expect(connected(one, two)).toEqual(BOTH);
    one.transport.send([heartbeat(1n, 2n, 3)]);
    world.clock.advance(10);
    expect(two.received).toEqual([heartbeat(1n, 2n, 3)]);
    await world.close(one, two);
  });

  test('a process that was itself suspended does not blame its peers', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const { handshakesCompleted } = one.transport.metrics;
    world.clock.stall(60_000);
    world.clock.advance(5000);
    expect(connected(one, two)).toEqual(BOTH);
    expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted);
    await world.close(one, two);
  });

  test('a connection over which bulk crawls is not dead', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const lane = world.ends(2n, 1n)[appendEnd(world, one)];
    expect(lane).toBeDefined();
    if (lane === undefined) return;
    two.received.length = 0;
    lane.paused = true;
    one.transport.send([append(1n, 2n, 1, 1024 * 1024)]);
    const { timeouts } = two.transport.metrics;
    // The receiver takes a piece now and then: slow, and alive.
    for (let i = 0; i < 10; i++) {
      world.clock.advance(900);
      lane.trickle(64 * 1024);
    }
    expect(two.transport.metrics.timeouts).toBe(timeouts);
    expect(two.received).toEqual([]);
    lane.paused = false;
    lane.deliver();
    expect(two.received.length).toBe(1);
    await world.close(one, two);
  });
});

/** Which of member 2's ends of connections with member 1 takes member 1's entries. */
function appendEnd(world: World, one: Member): number {
  const ends = world.ends(2n, 1n);
  for (const end of ends) end.paused = true;
  one.transport.send([append(1n, 2n, 1, 1)]);
  world.clock.advance(2);
  const at = ends.findIndex((end) => end.incomingBytes > 0);
  for (const end of ends) {
    end.paused = false;
    end.deliver();
  }
  return at;
}

describe('a restarted peer', () => {
  test('is called anew on every lane as soon as it says hello', async () => {
    const world = new World();
    const [one] = await world.pair();
    // No FIN and no RST: the old connections look alive.
    world.network.powerOff(host(2n));
    const again = await world.start(2n, [1n]);
    world.clock.advance(12);
    expect(connected(one, again)).toEqual(BOTH);
    expect(one.transport.metrics.timeouts).toBe(0);
    one.transport.send([question(1n, 2n, 1), append(1n, 2n)]);
    world.clock.advance(5);
    expect(again.received.map(({ type }) => type).sort()).toEqual(['appendEntries', 'readIndex']);
    expect(world.network.endsAt(host(1n)).length).toBe(4);
    await world.close(one, again);
  });

  test('two processes that claim one id do not make the others spin', async () => {
    const world = new World();
    const one = await world.start(1n, [2n]);
    const two = await world.start(2n, [1n]);
    const twin = await world.start(3n, [1n], { self: { memberId: 2n } });
    world.clock.advance(60_000);
    // A handful a second; without backoff it would be hundreds.
    expect(one.transport.metrics.handshakesCompleted).toBeLessThan(60 * 20);
    await world.close(one, two, twin);
  });
});

test('a damaged frame on the way costs the connection, and it comes back', async () => {
  const world = new World();
  const [one, two] = await world.pair();
  world.clock.advance(2000);
  const { tamper } = world.network;
  world.network.tamper = (bytes) => bytes.map((byte, i) => (i === 14 ? byte ^ 1 : byte));
  one.transport.send([question(1n, 2n, 1)]);
  world.network.tamper = tamper;
  world.clock.advance(200);
  expect(two.transport.metrics.badFrames).toBe(1);
  expect(one.unreachable).toEqual([2n]);
  one.transport.send([question(1n, 2n, 2)]);
  world.clock.advance(10);
  expect(two.received).toEqual([question(1n, 2n, 2)]);
  await world.close(one, two);
});

describe('a clogged lane', () => {
  /** A pair whose append lane from 1 to 2 does not move. */
  async function clogged(limits: Partial<TransportLimits> = {}) {
    const world = new World();
    const [one, two] = await world.pair({ linkTimeoutMs: 60_000, ...limits });
    const lane = world.ends(2n, 1n)[appendEnd(world, one)];
    if (lane === undefined) throw new Error('no append lane');
    two.received.length = 0;
    lane.paused = true;
    return { world, one, two, lane };
  }

  test('does not hold up heartbeats', async () => {
    const { world, one, two, lane } = await clogged();
    for (let i = 2; i < 100; i++) one.transport.send([append(1n, 2n, i, 100_000)]);
    for (let i = 0; i < 10; i++) {
      one.transport.send([heartbeat(1n, 2n, i)]);
      world.clock.advance(5);
      expect(two.received).toHaveLength(i + 1);
    }
    lane.paused = false;
    lane.deliver();
    world.clock.advance(100);
    const appends = two.received.filter(({ type }) => type === 'appendEntries');
    const prevs = appends.map((message) => (message as AppendEntries).prevLogIndex);
    expect(prevs).toEqual(Array.from({ length: 98 }, (_, i) => i + 1));
    await world.close(one, two);
  });

  test('queues up to its limit of messages; what is above is dropped and reported', async () => {
    const { world, one, two } = await clogged({ appendQueueMessagesMax: 10 });
    // The first fills the connection, ten wait, nine drop.
    for (let i = 1; i <= 20; i++) one.transport.send([append(1n, 2n, i, 100_000)]);
    expect(one.transport.metrics.droppedQueueFull).toBe(9);
    world.clock.advance(1);
    expect(one.unreachable).toEqual([2n]);
    await world.close(one, two);
  });

  test('queues up to its limit of bytes, and always takes one message', async () => {
    const { world, one, two } = await clogged({ appendQueueBytesMax: 100_000 });
    for (let i = 1; i <= 3; i++) one.transport.send([append(1n, 2n, i, 200_000)]);
    expect(one.transport.metrics.droppedQueueFull).toBe(1);
    await world.close(one, two);
  });

  test('has its full room again whenever it has drained', async () => {
    const { world, one, two, lane } = await clogged({ appendQueueBytesMax: 500_000 });
    for (let round = 0; round < 5; round++) {
      lane.paused = true;
      // One fills the connection, four wait.
      for (let i = 1; i <= 5; i++) one.transport.send([append(1n, 2n, i, 100_000)]);
      lane.paused = false;
      lane.deliver();
      world.clock.advance(50);
    }
    expect(one.transport.metrics.droppedQueueFull).toBe(0);
    expect(two.received.length).toBe(25);
    await world.close(one, two);
  });

  test('a heartbeat that waits gives way to a newer one, unless it confirms a read', async () => {
    const world = new World();
    const [one, two] = await world.pair({ linkTimeoutMs: 60_000 });
    const ends = world.ends(2n, 1n);
    for (const end of ends) end.paused = true;
    const read = { ...heartbeat(1n, 2n, 500), readAttempt: 9 } as const;
    for (let i = 0; i < 3000; i++) one.transport.send([question(1n, 2n, i)]);
    one.transport.send([read, heartbeat(1n, 2n, 501)]);
    one.transport.send([heartbeat(1n, 2n, 502)]);
    for (const end of ends) {
      end.paused = false;
      end.deliver();
    }
    world.clock.advance(100);
    const beats = two.received.filter(({ type }) => type === 'heartbeat');
    expect(beats).toEqual([read, heartbeat(1n, 2n, 502)]);
    expect(two.received.length).toBe(3002);
    expect(one.transport.metrics.superseded).toBe(1);
    await world.close(one, two);
  });
});

test('an AppendEntries of 65,536 entries is sent, and one of 65,537 is dropped', async () => {
  const world = new World();
  const [one, two] = await world.pair();
  const entries = Array.from({ length: 65_537 }, (_, i) => {
    return { kind: 'empty', index: i + 1, term: 1 } as const;
  });
  const most = { ...append(1n, 2n), entries: entries.slice(0, -1) } as Message;
  one.transport.send([{ ...append(1n, 2n), entries } as Message, most]);
  world.clock.advance(50);
  expect(one.transport.metrics.droppedOversized).toBe(1);
  expect(two.transport.metrics.badFrames).toBe(0);
  expect(two.received.map((message) => (message as AppendEntries).entries.length)).toEqual([
    65_536,
  ]);
  await world.close(one, two);
});

test('a message larger than a frame may be is dropped, reported and logged', async () => {
  const world = new World();
  const [one, two] = await world.pair({ appendFrameBytesMax: 1000 });
  world.log.lines.length = 0;
  one.transport.send([append(1n, 2n, 1, 2000), append(1n, 2n, 1, 500)]);
  world.clock.advance(10);
  expect(two.received).toEqual([append(1n, 2n, 1, 500)]);
  expect(one.transport.metrics.droppedOversized).toBe(1);
  expect(one.unreachable).toEqual([2n]);
  expect(world.log.troubles).toEqual(['message is larger than a frame may be']);
  await world.close(one, two);
});

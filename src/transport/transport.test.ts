import { describe, expect, test } from 'vitest';
import type { Message } from '../raft/index.ts';
import { append, heartbeat, host, question, World } from './testing/index.ts';

describe('delivery', () => {
  test('messages arrive in both directions, in order within a lane', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const there = [1, 2, 3].flatMap((i) => [append(1n, 2n, i), question(1n, 2n, i)]);
    one.transport.send(there);
    const back: Message[] = [
      { type: 'appendEntriesReply', from: 2n, to: 1n, term: 1, accepted: true, matchIndex: 3 },
    ];
    two.transport.send(back);
    world.clock.advance(10);
    const of = (type: string) => (message: Message) => message.type === type;
    for (const type of ['appendEntries', 'readIndex']) {
      expect(two.received.filter(of(type))).toEqual(there.filter(of(type)));
    }
    expect(one.received).toEqual(back);
    await world.close(one, two);
  });

  test('all messages of one send go out in one write per peer and lane', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const writes: number[] = [];
    world.network.tamper = (bytes) => {
      writes.push(bytes.length);
      return bytes;
    };
    one.transport.send([1, 2, 3].flatMap((i) => [append(1n, 2n, i), question(1n, 2n, i)]));
    expect(writes.length).toBe(2);
    world.clock.advance(10);
    expect(two.received.length).toBe(6);
    await world.close(one, two);
  });

  test('messages sent while the first connection is under way arrive with it', async () => {
    const world = new World();
    const two = await world.start(2n, [1n]);
    const one = await world.start(1n, [2n]);
    one.transport.send([heartbeat(1n, 2n, 9), append(1n, 2n)]);
    world.clock.advance(10);
    expect(two.received).toHaveLength(2);
    expect(one.transport.metrics.droppedUnconnected).toBe(0);
    await world.close(one, two);
  });

  test('messages to ourselves and to unknown members are dropped and counted', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    one.transport.send([heartbeat(1n, 1n), heartbeat(1n, 9n)]);
    world.clock.advance(2000);
    expect(one.transport.metrics.droppedUnknownReceiver).toBe(2);
    expect([one.received, two.received, one.unreachable]).toEqual([[], [], []]);
    await world.close(one, two);
  });

  test('peers learn each other’s name and client URLs', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    expect(one.transport.peerInfo(2n)).toEqual({ name: 'n2', clientUrls: ['http://m2'] });
    expect(two.transport.peerInfo(1n)).toEqual({ name: 'n1', clientUrls: ['http://m1'] });
    expect(one.transport.peerInfo(3n)).toBe(null);
    expect(one.transport.connectedPeers()).toEqual([2n]);
    await world.close(one, two);
  });

  test('a handler may send, change peers and close from inside onMessage', async () => {
    const world = new World();
    const two = await world.start(2n, [1n], {
      handlers: {
        onMessage: () => {
          two.transport.send([heartbeat(2n, 1n)]);
          two.transport.setPeers([]);
          void two.transport.close();
        },
      },
    });
    const one = await world.start(1n, [2n]);
    world.clock.advance(100);
    one.transport.send([heartbeat(1n, 2n, 1), heartbeat(1n, 2n, 2)]);
    world.clock.advance(10);
    expect(one.received).toEqual([heartbeat(2n, 1n)]);
    await world.close(one, two);
  });
});

describe('setPeers', () => {
  test('in any order: connected peers are told ascending', async () => {
    const world = new World();
    const others = await Promise.all([2n, 3n, 4n].map((id) => world.start(id, [])));
    const one = await world.start(1n, [4n, 2n, 3n]);
    world.clock.advance(10);
    expect(one.transport.connectedPeers()).toEqual([2n, 3n, 4n]);
    await world.close(one, ...others);
  });

  test('connects new peers and cuts missing ones', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const three = await world.start(3n, [1n]);
    one.transport.setPeers([{ memberId: 3n, address: world.address(3n) }]);
    world.clock.advance(100);
    expect(one.transport.connectedPeers()).toEqual([3n]);
    one.transport.send([heartbeat(1n, 3n), heartbeat(1n, 2n)]);
    world.clock.advance(10);
    expect(three.received.length).toBe(1);
    expect(two.received.length).toBe(0);
    await world.close(one, two, three);
  });

  test('a removed member is told so when it calls, and is welcome as a peer again', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    one.transport.setPeers([]);
    world.clock.advance(3000);
    expect(two.transport.connectedPeers()).toEqual([]);
    expect(world.log.troubles).toContain('peer rejected the handshake: removedMember');
    one.transport.setPeers([{ memberId: 2n, address: world.address(2n) }]);
    world.clock.advance(2000);
    expect(two.transport.connectedPeers()).toEqual([1n]);
    await world.close(one, two);
  });

  test('the 1024 members removed last are remembered; one removed before is a guest', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const ids = Array.from({ length: 1025 }, (_, i) => BigInt(i + 2));
    one.transport.setPeers(ids.map((id) => ({ memberId: id, address: world.address(id) })));
    one.transport.setPeers([]);
    const answer = (from: bigint) => {
      const caller = world.call(1n);
      world.clock.advance(5);
      caller.hello({ from });
      world.clock.advance(5);
      return caller.frames[0]?.kind;
    };
    expect([2n, 3n, 1026n].map(answer)).toEqual(['welcome', 'reject', 'reject']);
    await world.close(one);
  });

  test('a peer with a new address is called there', async () => {
    const world = new World();
    const one = await world.start(1n, [2n]);
    const two = await world.start(3n, [], { self: { memberId: 2n } });
    world.clock.advance(500);
    expect(one.transport.connectedPeers()).toEqual([]);
    one.transport.setPeers([{ memberId: 2n, address: world.address(3n) }]);
    world.clock.advance(10);
    expect(one.transport.connectedPeers()).toEqual([2n]);
    await world.close(one, two);
  });

  test('the same peers again change nothing', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const before = world.network.openEnds;
    const { handshakesCompleted } = one.transport.metrics;
    one.transport.setPeers([1n, 2n].map((id) => ({ memberId: id, address: world.address(id) })));
    world.clock.advance(1000);
    expect(world.network.openEnds).toBe(before);
    expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted);
    await world.close(one, two);
  });

  test('a peer named twice or with id 0 is refused', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    const peer = { memberId: 2n, address: world.address(2n) };
    expect(() => one.transport.setPeers([peer, peer])).toThrow('peer named twice');
    expect(() => one.transport.setPeers([{ ...peer, memberId: 0n }])).toThrow('id 0');
    await world.close(one, two);
  });
});

describe('guests', () => {
  test('a member that we do not know is heard, and answered on its own connection', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const two = await world.start(2n, [1n]);
    world.clock.advance(10);
    two.transport.send([heartbeat(2n, 1n, 5)]);
    world.clock.advance(10);
    expect(one.received).toEqual([heartbeat(2n, 1n, 5)]);
    const answer: Message = { type: 'timeoutNow', from: 1n, to: 2n, term: 1 };
    one.transport.send([answer]);
    world.clock.advance(10);
    expect(two.received).toEqual([answer]);
    expect(one.transport.connectedPeers()).toEqual([]);
    await world.close(one, two);
  });

  test('answers that a guest is slow to take wait for it', async () => {
    const world = new World();
    const one = await world.start(1n, [], { limits: { linkTimeoutMs: 60_000 } });
    const two = await world.start(2n, [1n], { limits: { linkTimeoutMs: 60_000 } });
    world.clock.advance(10);
    const ends = world.ends(2n, 1n);
    for (const end of ends) end.paused = true;
    for (let i = 0; i < 3000; i++) one.transport.send([question(1n, 2n, i)]);
    for (const end of ends) {
      end.paused = false;
      end.deliver();
    }
    world.clock.advance(100);
    expect(two.received).toEqual(Array.from({ length: 3000 }, (_, i) => question(1n, 2n, i)));
    await world.close(one, two);
  });

  test('a guest that restarts is still answered', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const first = await world.start(2n, [1n]);
    world.clock.advance(10);
    world.network.powerOff(host(2n));
    const second = await world.start(2n, [1n]);
    world.clock.advance(10);
    one.transport.send([heartbeat(1n, 2n, 3)]);
    world.clock.advance(10);
    expect(second.received).toEqual([heartbeat(1n, 2n, 3)]);
    await world.close(one, second);
    expect(first.received).toEqual([]);
  });

  test('a guest that becomes a peer is called', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const two = await world.start(2n, [1n]);
    world.clock.advance(10);
    one.transport.setPeers([{ memberId: 2n, address: world.address(2n) }]);
    world.clock.advance(10);
    expect(one.transport.connectedPeers()).toEqual([2n]);
    one.transport.send([append(1n, 2n)]);
    world.clock.advance(10);
    expect(two.received.length).toBe(1);
    await world.close(one, two);
  });

  test('a guest that is gone is forgotten and makes room', async () => {
    const world = new World();
    const one = await world.start(1n, [], { limits: { guestsMax: 1 } });
    const two = await world.start(2n, [1n]);
    world.clock.advance(10);
    const three = await world.start(3n, [1n]);
    world.clock.advance(10);
    expect(three.transport.connectedPeers()).toEqual([]);
    expect(world.log.troubles).toContain('peer rejected the handshake: unknownMember');
    await world.close(two);
    world.clock.advance(2000);
    expect(three.transport.connectedPeers()).toEqual([1n]);
    expect(one.transport.peerInfo(2n)).toBe(null);
    await world.close(one, three);
  });
});

describe('close', () => {
  test('leaves no timer, no connection and no listener, and may be called twice', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    one.transport.send([append(1n, 2n), heartbeat(1n, 9n)]);
    world.call(1n);
    world.clock.advance(5);
    await world.close(one, one, two);
    expect(world.clock.timers).toBe(0);
    expect(world.network.openEnds).toBe(0);
    expect(world.network.listeners.size).toBe(0);
  });

  test('waits until the network has let go of every connection', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    let done = false;
    const closed = one.transport.close().then(() => {
      done = true;
    });
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect(done).toBe(false);
    world.clock.advance(0);
    await closed;
    expect(world.network.endsAt(host(1n))).toEqual([]);
    await world.close(two);
  });

  test('a connection accepted meanwhile is cut', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    const [accept] = world.network.listeners.values();
    await world.close(one);
    let destroyed = false;
    const destroy = () => {
      destroyed = true;
    };
    const late = { remote: 'late:1', bufferedBytes: 0, start() {}, provesHost: () => true };
    accept?.({ ...late, write: () => true, destroy });
    expect(destroyed).toBe(true);
  });

  test('nothing is reported and nothing is sent afterwards', async () => {
    const world = new World();
    const [one, two] = await world.pair();
    two.transport.send([heartbeat(2n, 1n)]);
    const closed = world.close(one);
    one.transport.send([heartbeat(1n, 2n)]);
    one.transport.setPeers([{ memberId: 3n, address: world.address(3n) }]);
    await closed;
    world.clock.advance(3000);
    expect(one.received).toEqual([]);
    expect(two.received).toEqual([]);
    expect(one.unreachable).toEqual([]);
    await world.close(two);
  });

  test('an address in use rejects with its code and leaves nothing behind', async () => {
    const world = new World();
    const one = await world.start(1n, []);
    await expect(world.start(1n, [2n])).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await world.close(one);
    world.clock.advance(1000);
    expect(world.clock.timers).toBe(0);
  });
});

describe('wrong options are refused:', () => {
  test.each([
    ['a limit of 0', { limits: { keepAliveMs: 0 } }],
    ['a limit that is no number', { limits: { guestsMax: Number.NaN } }],
    ['a link timeout below two keep-alives', { limits: { keepAliveMs: 600 } }],
    ['a minimum backoff above the maximum', { limits: { backoffMinMs: 2000 } }],
    ['a frame beyond what the wire allows', { limits: { appendFrameBytesMax: 2 ** 40 } }],
    ['member id 0', { self: { memberId: 0n } }],
    ['a name beyond 256 bytes', { self: { info: { name: 'x'.repeat(257), clientUrls: [] } } }],
  ])('%s', async (_name, changes) => {
    const world = new World();
    await expect(world.start(1n, [], changes)).rejects.toThrow();
    expect(world.network.listeners.size).toBe(0);
  });
});

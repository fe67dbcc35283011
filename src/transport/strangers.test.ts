import { describe, expect, test } from 'vitest';
import { concatBytes, Prng, utf8Bytes } from '../lib/index.ts';
import { FrameWriter, KEEP_ALIVE_FRAME } from './frame.ts';
import { guessProtocol } from './inbound.ts';
import { append, heartbeat, host, question, rawFrame, World } from './testing/index.ts';

/** A member that expects member 2, and whoever calls its port by hand. */
async function listening(limits = {}) {
  const world = new World();
  const one = await world.start(1n, [2n], { limits });
  const call = (from?: string) => {
    const caller = world.call(1n, from);
    world.clock.advance(5);
    return caller;
  };
  return { world, one, call, advance: (ms: number) => world.clock.advance(ms) };
}

/** What an operator reads about callers; that member 2 does not answer is another matter. */
function troublesWithCallers(world: World): string[] {
  return world.log.troubles.filter((message) => !message.startsWith('peer cannot be reached'));
}

describe('the handshake', () => {
  test('is answered with a welcome, and then messages are taken', async () => {
    const { world, one, call, advance } = await listening();
    const caller = call();
    caller.hello();
    advance(5);
    expect(caller.frames[0]).toMatchObject({ kind: 'welcome', version: 1, from: 1n, to: 2n });
    caller.send(heartbeat(2n, 1n));
    advance(5);
    expect(one.received).toEqual([heartbeat(2n, 1n)]);
    expect(troublesWithCallers(world)).toEqual([]);
    await world.close(one);
  });

  test.each([
    ['wrongCluster', { clusterId: 0xc2n }],
    ['wrongMember', { to: 3n }],
    ['wrongMember', { from: 1n }],
    ['version', { versionMin: 2, versionMax: 3 }],
  ] as const)('is rejected as %s for %o, logged once and counted', async (code, changes) => {
    const { world, one, call, advance } = await listening();
    for (let i = 0; i < 3; i++) {
      const caller = call();
      caller.hello(changes);
      advance(5);
      expect(caller.frames[0]).toMatchObject({ kind: 'reject', code });
      advance(2000);
      expect(caller.closed).toBe(true);
    }
    expect(troublesWithCallers(world)).toEqual([`handshake of a caller rejected: ${code}`]);
    expect(one.transport.metrics.rejectionsSent).toBe(3);
    await world.close(one);
  });

  test('is rejected as unknownMember when all places for guests are taken', async () => {
    const { world, one, call, advance } = await listening({ guestsMax: 2 });
    const answers = [5n, 6n, 7n].map((from) => {
      const caller = call();
      caller.hello({ from });
      return caller;
    });
    advance(5);
    const kinds = answers.map(({ frames }) => frames[0]?.kind);
    expect(kinds).toEqual(['welcome', 'welcome', 'reject']);
    expect(answers[2]?.frames[0]).toMatchObject({ code: 'unknownMember' });
    await world.close(one);
  });

  test('not complete after 5 s closes the connection, however slowly bytes trickle', async () => {
    const { world, one, call, advance } = await listening();
    const caller = call();
    for (let ms = 0; ms < 4500; ms += 500) {
      caller.write(Uint8Array.of(9));
      advance(500);
      expect(caller.closed).toBe(false);
    }
    advance(1000);
    expect(caller.closed).toBe(true);
    expect(one.transport.metrics.timeouts).toBeGreaterThan(0);
    expect(troublesWithCallers(world)).toEqual(['connection closed: no peer at the other end']);
    await world.close(one);
  });

  test('a message before it, and a second hello after it, close the connection', async () => {
    const { world, one, call, advance } = await listening();
    const early = call();
    early.send(heartbeat(2n, 1n));
    const twice = call();
    twice.hello();
    twice.hello();
    advance(5);
    expect([early.closed, twice.closed]).toEqual([true, true]);
    expect(one.received).toEqual([]);
    expect(one.transport.metrics.badFrames).toBe(2);
    await world.close(one);
  });

  test('a frame beyond 16 KiB before it is refused at its header', async () => {
    const { world, one, call, advance } = await listening();
    const caller = call();
    caller.write(rawFrame(new Uint8Array(16 * 1024 + 1)).subarray(0, 12));
    advance(5);
    expect(caller.closed).toBe(true);
    await world.close(one);
  });
});

describe('the dialler', () => {
  test('refuses a welcome from another member or cluster and keeps trying', async () => {
    for (const [code, self] of [
      ['wrongMember', { memberId: 3n }],
      ['wrongCluster', { clusterId: 0xc2n }],
    ] as const) {
      const world = new World();
      const one = await world.start(1n, [2n]);
      const wrong = await world.start(2n, [], { self });
      world.clock.advance(5000);
      expect(one.transport.connectedPeers()).toEqual([]);
      expect(world.log.troubles).toContain(`peer rejected the handshake: ${code}`);
      const tries = one.transport.metrics.rejectionsReceived;
      world.clock.advance(10_000);
      expect(one.transport.metrics.rejectionsReceived).toBeGreaterThan(tries + 10);
      expect(one.transport.metrics.rejectionsReceived).toBeLessThan(tries + 60);
      const lines = world.log.troubles.filter((line) => line.startsWith('peer rejected'));
      expect(lines.length).toBe(1);
      await world.close(wrong);
      const right = await world.start(2n, [1n]);
      world.clock.advance(2000);
      expect(one.transport.connectedPeers()).toEqual([2n]);
      await world.close(one, right);
    }
  });

  test('closes a connection on which a listener sends what belongs on the other lane', async () => {
    const world = new World();
    const writer = new FrameWriter();
    const info = { name: 'two', clientUrls: [] };
    const ids = { version: 1, clusterId: 0xc1n, from: 2n, to: 1n, incarnation: 1n } as const;
    await world.network.host(host(2n)).listen(world.address(2n), (connection) => {
      const greet = () => {
        connection.write(writer.handshake({ kind: 'welcome', ...ids, info }));
        connection.write(writer.messages([append(2n, 1n), question(2n, 1n)], 1000));
      };
      connection.start({ onData: greet, onClose: () => {} });
    });
    const one = await world.start(1n, [2n]);
    world.clock.advance(10);
    // The append connection delivers its append, the control connection nothing; both then close.
    expect(one.received).toEqual([append(2n, 1n)]);
    expect(one.transport.metrics.badFrames).toBe(2);
    await world.close(one);
  });

  test('checks the welcome itself: a listener that welcomes everybody does not pass', async () => {
    const world = new World();
    const writer = new FrameWriter();
    const info = { name: 'liar', clientUrls: [] };
    const lie = { version: 1, clusterId: 0xc1n, from: 3n, to: 1n, incarnation: 1n, info } as const;
    await world.network.host(host(2n)).listen(world.address(2n), (connection) => {
      connection.start({
        onData: () => connection.write(writer.handshake({ kind: 'welcome', ...lie })),
        onClose: () => {},
      });
    });
    const one = await world.start(1n, [2n]);
    world.clock.advance(100);
    expect(one.transport.connectedPeers()).toEqual([]);
    expect(one.transport.peerInfo(2n)).toBe(null);
    expect(world.log.troubles).toEqual(['peer rejected the handshake: wrongMember']);
    await world.close(one);
  });
});

describe('other protocols on the peer port', () => {
  const REQUEST = utf8Bytes('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');

  test.each([
    ['HTTP/1', REQUEST],
    ['HTTP/2', utf8Bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    ['TLS', Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 1, 0, 1, 0xfc, 3, 3, 0, 0)],
    ['SSH', utf8Bytes('SSH-2.0-OpenSSH_9.2\r\n')],
    ['unknown bytes', new Uint8Array(64)],
  ])('%s: closed at once, one line that names it, the server stays up', async (guess, bytes) => {
    const { world, one, call, advance } = await listening();
    for (let i = 0; i < 5; i++) {
      const caller = call('browser');
      caller.write(bytes);
      advance(5);
      expect(caller.closed).toBe(true);
    }
    const lines = world.log.lines.filter(({ message }) => message.startsWith('connection closed'));
    expect(lines.map(({ fields }) => fields['guess'])).toEqual([guess]);
    expect(one.transport.metrics.badFrames).toBe(5);
    const caller = call();
    caller.hello();
    advance(5);
    expect(caller.frames[0]?.kind).toBe('welcome');
    await world.close(one);
  });

  test('a probe that connects and leaves is not worth a line', async () => {
    const { world, one, call, advance } = await listening();
    const caller = call();
    caller.connection.destroy();
    advance(10);
    expect(troublesWithCallers(world)).toEqual([]);
    expect(guessProtocol(null)).toBe('nothing was sent');
    await world.close(one);
  });
});

test('at most 64 connections wait for their handshake, and a member still gets in', async () => {
  const { world, one, call, advance } = await listening();
  const flood = Array.from({ length: 200 }, () => world.call(1n));
  advance(5);
  expect(flood.filter(({ closed }) => !closed).length).toBe(64);
  expect(one.transport.metrics.pendingEvicted).toBe(136);
  const caller = call();
  caller.hello();
  advance(5);
  expect(caller.frames[0]?.kind).toBe('welcome');
  await world.close(one);
  world.clock.advance(10);
  expect(flood.every(({ closed }) => closed)).toBe(true);
});

describe('after the handshake', () => {
  test('a hello with a new incarnation cuts what the earlier process had opened', async () => {
    const { world, one, call, advance } = await listening();
    const old = call();
    old.hello({ lane: 'append', incarnation: 77n });
    const same = call();
    same.hello({ lane: 'control', incarnation: 77n });
    advance(5);
    expect([old.closed, same.closed]).toEqual([false, false]);
    const restarted = call();
    restarted.hello({ lane: 'control', incarnation: 78n });
    advance(5);
    expect([old.closed, same.closed, restarted.closed]).toEqual([true, true, false]);
    await world.close(one);
  });

  test('messages not from the member of the handshake, or not to us, are dropped', async () => {
    const { world, one, call, advance } = await listening();
    const caller = call();
    caller.hello();
    caller.send(heartbeat(3n, 1n), heartbeat(2n, 3n), heartbeat(2n, 1n, 4));
    advance(5);
    expect(one.received).toEqual([heartbeat(2n, 1n, 4)]);
    expect(one.transport.metrics.droppedMisaddressed).toBe(2);
    expect(caller.closed).toBe(false);
    await world.close(one);
  });

  test('a message on the wrong lane closes the connection', async () => {
    const { world, one, call, advance } = await listening();
    const control = call();
    control.hello({ lane: 'control' });
    control.send(append(2n, 1n));
    const bulk = call();
    bulk.hello({ lane: 'append' });
    bulk.send(question(2n, 1n));
    advance(5);
    expect([control.closed, bulk.closed]).toEqual([true, true]);
    expect(one.received).toEqual([]);
    await world.close(one);
  });

  test('each lane takes a frame of its limit and not one byte more', async () => {
    for (const [lane, bytes] of [
      ['control', 64 * 1024],
      ['append', 16 * 1024 * 1024],
    ] as const) {
      const { world, one, call, advance } = await listening();
      const caller = call();
      caller.hello({ lane });
      // Only the header: what counts is whether the length is believed.
      caller.write(rawFrame(new Uint8Array(bytes)).subarray(0, 12));
      advance(5);
      expect(caller.closed).toBe(false);
      const other = call();
      other.hello({ lane });
      other.write(rawFrame(new Uint8Array(bytes + 1)).subarray(0, 12));
      advance(5);
      expect(other.closed).toBe(true);
      await world.close(one);
    }
  });

  test('damaged bytes close the connection, are counted and logged, and never thrown', async () => {
    const prng = new Prng(11);
    for (let run = 0; run < 300; run++) {
      const { world, one, call, advance } = await listening();
      const caller = call();
      caller.hello();
      advance(5);
      const stream = concatBytes([
        new FrameWriter().messages([heartbeat(2n, 1n, 1), question(2n, 1n, 2)], 400),
        KEEP_ALIVE_FRAME,
      ]);
      const at = prng.below(stream.length);
      stream[at] = (stream[at] as number) ^ (1 + prng.below(255));
      caller.write(stream);
      advance(5);
      const replay = `run ${run} of seed 11, byte ${at}`;
      expect(caller.closed, replay).toBe(true);
      expect(one.transport.metrics.badFrames, replay).toBe(1);
      expect(troublesWithCallers(world), replay).toEqual(['peer sent a bad frame']);
      expect(one.received.length, replay).toBeLessThan(3);
      await world.close(one);
    }
  });

  test('payloads of random bytes in right frames never throw', async () => {
    const prng = new Prng(12);
    const { world, one, call, advance } = await listening();
    for (let run = 0; run < 1000; run++) {
      const caller = call();
      caller.hello({ lane: run % 2 === 0 ? 'control' : 'append' });
      advance(5);
      const payload = Uint8Array.from({ length: 1 + prng.below(80) }, () => prng.below(256));
      payload[0] = prng.below(20);
      caller.write(rawFrame(payload));
      advance(5);
    }
    expect(one.transport.metrics.badFrames).toBeGreaterThan(500);
    await world.close(one);
  });
});

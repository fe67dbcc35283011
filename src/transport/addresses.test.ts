import { expect, test } from 'vitest';
import { TRANSPORT_LIMITS as LIMITS } from './limits.ts';
import { heartbeat, host, World } from './testing/index.ts';

const SECOND = { host: 'm2', port: 8 };
const NOWHERE = { host: 'm2', port: 9 };

test('a member that listens at two addresses is reached at either', async () => {
  const world = new World();
  const two = await world.start(2n, [], { alsoListen: [SECOND] });
  const one = await world.start(1n, [2n]);
  const three = await world.start(3n, []);
  three.transport.setPeers([{ memberId: 2n, address: SECOND }]);
  world.clock.advance(10);
  expect(two.transport.address).toEqual(world.address(2n));
  expect(one.transport.connectedPeers()).toEqual([2n]);
  expect(three.transport.connectedPeers()).toEqual([2n]);
  await world.close(one, two, three);
  expect(world.network.listeners.size).toBe(0);
});

test('the addresses of a peer are tried in turn until one answers', async () => {
  const world = new World();
  const two = await world.start(2n, [], { alsoListen: [SECOND] });
  const one = await world.start(1n, []);
  const elsewhere = { ...NOWHERE, port: 10 };
  one.transport.setPeers([{ memberId: 2n, address: NOWHERE, alsoAt: [elsewhere, SECOND] }]);
  world.clock.advance(4 * LIMITS.backoffMinMs);
  expect(one.transport.connectedPeers()).toEqual([2n]);
  one.transport.send([heartbeat(1n, 2n, 5)]);
  world.clock.advance(10);
  expect(two.received).toEqual([heartbeat(1n, 2n, 5)]);
  await world.close(one, two);
});

test('the address that answered is called again after a loss', async () => {
  const world = new World();
  const one = await world.start(1n, []);
  one.transport.setPeers([{ memberId: 2n, address: NOWHERE, alsoAt: [world.address(2n)] }]);
  const two = await world.start(2n, []);
  world.clock.advance(LIMITS.backoffMinMs + LIMITS.backoffMaxMs);
  expect(one.transport.connectedPeers()).toEqual([2n]);
  for (const end of world.ends(2n, 1n)) end.destroy();
  // The first wait is 50 ms at most: there is no time for a second attempt.
  world.clock.advance(LIMITS.backoffMinMs + 10);
  expect(one.transport.connectedPeers()).toEqual([2n]);
  await world.close(one, two);
});

test('the same addresses again change nothing; another one more is called', async () => {
  const world = new World();
  const [one, two] = await world.pair();
  const { handshakesCompleted } = one.transport.metrics;
  one.transport.setPeers([{ memberId: 2n, address: world.address(2n), alsoAt: [] }]);
  world.clock.advance(100);
  expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted);
  one.transport.setPeers([{ memberId: 2n, address: world.address(2n), alsoAt: [SECOND] }]);
  world.clock.advance(100);
  expect(one.transport.metrics.handshakesCompleted).toBe(handshakesCompleted + 2);
  await world.close(one, two);
});

test('a caller may prove to be at any of the addresses', async () => {
  const world = new World();
  world.network.provesHost = (claimed, real) => claimed === real;
  const one = await world.start(1n, []);
  const alsoAt = [{ host: host(7n), port: 1 }];
  one.transport.setPeers([{ memberId: 2n, address: world.address(2n), alsoAt }]);
  const answer = (from: string) => {
    const caller = world.call(1n, from);
    world.clock.advance(5);
    caller.hello();
    world.clock.advance(5);
    return caller.frames[0]?.kind;
  };
  expect([host(2n), host(7n), host(8n)].map(answer)).toEqual(['welcome', 'welcome', 'reject']);
  await world.close(one);
});

test('an address that cannot be listened on leaves no other open', async () => {
  const world = new World();
  const twice = { alsoListen: [SECOND, SECOND] };
  await expect(world.start(2n, [1n], twice)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect(world.network.listeners.size).toBe(0);
  world.clock.advance(1000);
  expect(world.clock.timers).toBe(0);
});

import { expect, test } from 'vitest';
import { heartbeat, host, World } from './testing/index.ts';

/** A world where hosts prove who they are, and `m9` is a member's machine with its certificate. */
function provingWorld(): World {
  const world = new World();
  world.network.provesHost = (claimed, real) => claimed === real;
  return world;
}

test('a member at its own host is taken', async () => {
  const world = provingWorld();
  const [one, two] = await world.pair();
  two.transport.send([heartbeat(2n, 1n, 4)]);
  world.clock.advance(10);
  expect(one.received).toEqual([heartbeat(2n, 1n, 4)]);
  await world.close(one, two);
});

test('who claims to be a member of another host is rejected, and that is logged', async () => {
  const world = provingWorld();
  const one = await world.start(1n, [2n]);
  const impostor = world.call(1n, host(9n));
  world.clock.advance(5);
  impostor.hello({ from: 2n });
  impostor.send(heartbeat(2n, 1n));
  world.clock.advance(5);
  expect(impostor.frames[0]).toMatchObject({ kind: 'reject', code: 'wrongCertificate' });
  expect(one.received).toEqual([]);
  expect(world.log.troubles).toContain('handshake of a caller rejected: wrongCertificate');
  await world.close(one);
});

test('an impostor does not take the place of the member’s own connection', async () => {
  const world = provingWorld();
  const [one, two] = await world.pair();
  const impostor = world.call(1n, host(9n));
  world.clock.advance(5);
  impostor.hello({ from: 2n, incarnation: 99n });
  world.clock.advance(5);
  two.transport.send([heartbeat(2n, 1n, 4)]);
  world.clock.advance(10);
  expect(one.received).toEqual([heartbeat(2n, 1n, 4)]);
  expect(one.transport.connectedPeers()).toEqual([2n]);
  await world.close(one, two);
});

test('a guest has no address to prove', async () => {
  const world = provingWorld();
  const one = await world.start(1n, []);
  const two = await world.start(2n, [1n]);
  world.clock.advance(10);
  two.transport.send([heartbeat(2n, 1n, 4)]);
  world.clock.advance(10);
  expect(one.received).toEqual([heartbeat(2n, 1n, 4)]);
  await world.close(one, two);
});

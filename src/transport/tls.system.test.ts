import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { openTlsMaterial, systemClock, systemRandom, tlsNetwork } from '../io/index.ts';
import { Authority, type Wanted } from '../io/testing/authority.ts';
import { append, CLUSTER, chunk, kept, RecordingLog } from './testing/index.ts';
import { openTransport } from './transport.ts';
import type { Peer, PeerMessage, PeerTransport } from './types.ts';

const authority = new Authority();
afterAll(() => authority.remove());

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Member {
  readonly transport: PeerTransport;
  readonly received: PeerMessage[];
  readonly log: RecordingLog;
  readonly peer: Peer;
}

/** A member on the loopback, at 127.0.0.1 for all the others know. */
async function start(id: bigint, peers: readonly Peer[], wanted: Wanted = {}): Promise<Member> {
  const received: PeerMessage[] = [];
  const log = new RecordingLog();
  const files = authority.files(authority.issue(wanted));
  const material = await openTlsMaterial({ files, clock: systemClock, log });
  closers.push(() => material.close());
  const transport = await openTransport({
    network: tlsNetwork({ material, clock: systemClock, log }),
    clock: systemClock,
    random: systemRandom,
    log,
    listen: { host: '127.0.0.1', port: 0 },
    self: {
      clusterId: CLUSTER,
      memberId: id,
      incarnation: id,
      info: { name: `n${id}`, clientUrls: [] },
    },
    peers,
    handlers: {
      onMessage: (message) => received.push(message),
      onBulk: (message) => received.push(kept(message)),
      onUnreachable: () => {},
    },
  });
  closers.push(() => transport.close());
  return { transport, received, log, peer: { memberId: id, address: transport.address } };
}

function until(check: () => boolean): Promise<void> {
  return vi.waitFor(() => expect(check()).toBe(true), { timeout: 10_000, interval: 5 });
}

test('members with certificates for their hosts exchange messages and snapshots', async () => {
  const one = await start(1n, []);
  const two = await start(2n, [one.peer]);
  one.transport.setPeers([two.peer]);
  await until(() => one.transport.connectedPeers().length === 1);
  await until(() => two.transport.connectedPeers().length === 1);
  one.transport.send([append(1n, 2n, 1, 100_000)]);
  one.transport.sendBulk(chunk(1n, 2n, 0, 100_000));
  await until(() => two.received.length === 2);
  expect(two.received.map(({ type }) => type).sort()).toEqual(['appendEntries', 'snapshotChunk']);
});

test('a member whose certificate is for another host is neither called nor heard', async () => {
  const one = await start(1n, []);
  const two = await start(2n, [one.peer], { names: ['elsewhere'] });
  one.transport.setPeers([two.peer]);
  const says = (log: RecordingLog, text: string) =>
    log.lines.some((line) => JSON.stringify(line).includes(text));
  await until(() => says(one.log, "certificate does not cover '127.0.0.1': DNS:elsewhere"));
  await until(() => says(one.log, 'handshake of a caller rejected: wrongCertificate'));
  await until(() => says(two.log, 'peer rejected the handshake: wrongCertificate'));
  expect(one.transport.connectedPeers()).toEqual([]);
});

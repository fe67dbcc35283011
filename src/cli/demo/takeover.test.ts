import { afterEach, beforeEach, expect, test } from 'vitest';
import { Clerk } from '../../client/index.ts';
import { Prng } from '../../lib/index.ts';
import { type Server, startServer } from '../../server/index.ts';
import { LinkProxy } from '../cluster/index.ts';
import { readAll } from './collect.ts';
import { LoadClerk } from './load.ts';
import { replaceClerk } from './takeover.ts';
import { judge } from './verify.ts';

let server: Server;
let endpoint: string;
let acknowledged: number;
const closing: (() => Promise<void>)[] = [];

beforeEach(async () => {
  acknowledged = 0;
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  await server.ready;
  endpoint = server.clientUrls[0] ?? '';
  closing.push(() => server.close());
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(session: string, link: LinkProxy): Promise<Clerk> {
  const clerk = await Clerk.connect({ endpoints: link.url, session, discover: false });
  closing.push(() => clerk.close());
  return clerk;
}

async function openLink(): Promise<LinkProxy> {
  const { hostname: host, port } = new URL(endpoint);
  const link = await LinkProxy.open({ host, port: Number(port) });
  closing.push(() => link.close());
  return link;
}

async function loadOver(link: LinkProxy): Promise<LoadClerk> {
  return new LoadClerk({
    name: 'c1',
    group: 'g1',
    clerk: await open('c1', link),
    prng: new Prng(1),
    onAcknowledged: () => {
      acknowledged++;
    },
  });
}

test('a successor learns what ran of the commands in doubt and repeats the rest', async () => {
  const link = await openLink();
  const successorLink = await openLink();
  const witness = await Clerk.connect({ endpoints: endpoint });
  closing.push(() => witness.close());
  const load = await loadOver(link);
  load.start();
  const takeover = await replaceClerk(load, {
    links: link,
    witness,
    openSuccessor: () => open('c1', successorLink),
    signal: new AbortController().signal,
  });
  expect(takeover).toEqual({
    ...{ clerk: 'c1', inDoubt: 24, executed: 16, repeated: 8 },
    refusal: 'SESSION_FENCED',
  });
  const before = acknowledged;
  await expect.poll(() => acknowledged).toBeGreaterThan(before + 20);
  load.pause();
  await load.settled();

  const held = await readAll(witness);
  const { failures, ...counts } = judge({
    commands: load.commands,
    held,
    members: 1,
    replicas: [{ member: 'm1', appliedIndex: 1, stateHash: 'f0' }],
    faults: { kills: 5, freezes: 1, droppedReplyBytes: link.counts.droppedReplyBytes },
    takeovers: [takeover],
    anomalies: load.anomalies,
  });
  expect(failures).toEqual([]);
  expect(counts).toMatchObject({ acknowledged, missing: 0, repeated: 0, outOfOrder: 0 });
});

test('a clerk that is not refused, because nobody took its session over, is reported', async () => {
  const link = await openLink();
  const witness = await Clerk.connect({ endpoints: endpoint });
  closing.push(() => witness.close());
  const load = await loadOver(link);
  load.start();
  const other = await openLink();
  const takeover = await replaceClerk(load, {
    links: link,
    witness,
    openSuccessor: () => open('another name', other),
    signal: new AbortController().signal,
  });
  load.pause();
  expect(takeover.refusal).toBeNull();
  expect(load.anomalies).toContainEqual(expect.stringMatching(/^fence: the dropped c1 got an/));
});

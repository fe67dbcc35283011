import { afterEach, describe, expect, test } from 'vitest';
import { decodeAnswer, encodeCommand } from '../../src/api/index.ts';
import { checkAppends, type TokenAppend } from '../../src/checker/index.ts';
import {
  type Clerk,
  type ClerkChannel,
  grpcChannels,
  parseEndpoint,
} from '../../src/client/index.ts';
import { systemClock } from '../../src/io/index.ts';
import { Lab, sleep } from './lab.ts';

let lab: Lab;
afterEach(() => lab.close(), 30_000);

/** Watches a call that is left pending. */
function watch<T>(promise: Promise<T>): { promise: Promise<T>; ended: boolean } {
  const watched = { promise, ended: false };
  const end = (): void => {
    watched.ended = true;
  };
  promise.then(end, end);
  return watched;
}

async function appendTokens(clerk: Clerk, id: number, count: number): Promise<TokenAppend[]> {
  const done: TokenAppend[] = [];
  for (let n = 0; n < count; n++) {
    const token = `x ${id} ${n} y`;
    await clerk.append('k', token);
    done.push({ clerk: `c${id}`, token, outcome: 'acknowledged' });
  }
  return done;
}

describe('lab 3A, scripted', () => {
  test('Speed: 1,000 sequential appends to one key, in order, well below 33.3 ms each', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const clerk = await lab.clerk('c');
    await clerk.get('k');
    const startMs = performance.now();
    const appends = await appendTokens(clerk, 0, 1_000);
    const perOperationMs = (performance.now() - startMs) / 1_000;
    expect(checkAppends((await clerk.get('k')) ?? '', appends)).toEqual([]);
    expect(perOperationMs).toBeLessThan(100 / 3);
  });

  test('UnreliableOneKey: 5 clerks append 10 times each to one key, each token once and in order', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const clerks = await Promise.all([0, 1, 2, 3, 4].map((id) => lab.clerk(`c${id}`)));
    await clerks[0]?.put('k', '');
    lab.setUnreliable(true);
    const appends = await Promise.all(clerks.map((clerk, id) => appendTokens(clerk, id, 10)));
    lab.setUnreliable(false);
    const value = (await clerks[0]?.get('k')) ?? '';
    expect(checkAppends(value, appends.flat())).toEqual([]);
  });

  test('OnePartition: a majority goes on; what a minority parked runs once after the heal', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(5);
    const everywhere = await lab.clerk('all');
    await everywhere.put('1', '13');
    const leader = await lab.leader();
    const [companion = '', ...rest] = lab.members.filter((name) => name !== leader);
    const minority = [leader, companion];
    lab.cluster.links.partition([minority, rest]);

    const majorityClerk = await pinned('majority', minority);
    await majorityClerk.put('1', '14');
    expect(await majorityClerk.get('1')).toBe('14');

    const putter = await pinned('putter', rest);
    const getter = await pinned('getter', rest);
    const parkedPut = watch(putter.put('1', '15'));
    const parkedGet = watch(getter.get('1'));
    await sleep(1_000);
    expect({ put: parkedPut.ended, get: parkedGet.ended }).toEqual({ put: false, get: false });
    expect(await majorityClerk.get('1')).toBe('14');
    await majorityClerk.put('1', '16');
    expect(await majorityClerk.get('1')).toBe('16');

    const healMs = performance.now();
    lab.cluster.links.heal();
    const put = await parkedPut.promise;
    expect(performance.now() - healMs).toBeLessThan(3_000);
    expect(['16', '15']).toContain(await parkedGet.promise);
    expect(await everywhere.get('1')).toBe('15');
    const entry = await everywhere.getEntry('1');
    // Put 13, 14, 16, 15: the parked one is the last and ran once.
    expect(entry).toMatchObject({ version: 4, modRevision: put.revision });
    await lab.agreement();
  });
});

describe('discarded commands', () => {
  test('a leader cut off with 100 parked commands answers all within 1 s of losing leadership', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const leader = await lab.leader();
    const answers: { atMs: number; code: string }[] = [];
    const channel = await openChannel(await lab.linksOf('raw', [leader]), (answer) =>
      answers.push({ atMs: performance.now(), code: answer }),
    );
    for (const link of lab.cluster.links.around(leader)) link.cut('silent');
    channel.send(
      Array.from({ length: 100 }, (_, i) => ({
        id: i + 1,
        body: {
          type: 'command' as const,
          command: encodeCommand({
            type: 'operation',
            session: null,
            operation: { type: 'append', key: bytes('parked'), value: bytes(`<${i}>`) },
          }),
        },
      })),
    );
    const lostMs = await lab.until(async () => {
      const status = (await lab.cluster.statuses()).get(leader);
      return status === undefined || status.role === 'leader' ? null : performance.now();
    }, 'loss of leadership');
    await lab.until(async () => (answers.length === 100 ? true : null), 'answer to all 100');
    for (const { atMs } of answers) expect(atMs - lostMs).toBeLessThan(1_000);
    expect(new Set(answers.map((answer) => answer.code))).toEqual(new Set(['LEADERSHIP_LOST']));
    // The others decide something else at those indexes, and then the parked commands never run.
    const clerk = await pinned('after', [leader]);
    await clerk.put('x', 'y');
    lab.cluster.links.heal();
    expect(await clerk.get('parked')).toBeNull();
    await lab.agreement();
    channel.close();
  });
});

/** A clerk that sees every member but these, until the heal. */
async function pinned(name: string, unseen: readonly string[]): Promise<Clerk> {
  for (const link of await lab.linksOf(name, unseen)) link.cut('silent');
  return lab.clerk(name);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function openChannel(
  [link]: readonly { readonly url: string }[],
  onAnswer: (what: string) => void,
): Promise<ClerkChannel> {
  const endpoint = parseEndpoint(link?.url ?? '');
  return await new Promise((resolve, reject) => {
    const channel = grpcChannels(systemClock).open(endpoint, {
      onHello: () => resolve(channel),
      onReplies: (replies) => {
        for (const { answer } of replies) {
          const decoded = decodeAnswer(answer);
          onAnswer(decoded.type === 'error' ? decoded.code : decoded.type);
        }
      },
      onClose: reject,
    });
  });
}

import { afterEach, expect, test } from 'vitest';
import { decodeAnswer, encodeCommand } from '../api/index.ts';
import { BoltReader, bytesSource } from '../bbolt/index.ts';
import { tablesIn } from '../bbolt/testing/tables.ts';
import type { DatabaseFile } from '../etcd/index.ts';
import { memoryDisk, silentLog, systemClock, systemRandom } from '../io/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { memoryEngines } from '../store/index.ts';
import { resolveConfig } from './config.ts';
import { Member } from './member.ts';

/* A member that is asked for a file for etcd, without its doors. */

let close: () => Promise<void> = async () => {};

afterEach(() => close());

/** One member of a cluster of so many, of which the others do not exist. */
async function alone(members: number) {
  const initialCluster = Array.from({ length: members }, (_, i) => ({
    name: `m${i + 1}`,
    peerUrls: [`http://127.0.0.1:${i + 1}`],
  }));
  const timing = { heartbeatIntervalMs: 10, electionTimeoutMs: 50, requestTimeoutMs: 300 };
  const config = resolveConfig({ name: 'm1', initialCluster, ...timing });
  const engines = memoryEngines();
  const failures: Error[] = [];
  const io = {
    clock: systemClock,
    disk: memoryDisk(),
    log: silentLog,
    random: systemRandom,
  };
  const options = { config: { ...config, dataDir: '/d' }, engines, io, clientUrls: () => [] };
  const member = await Member.open(options, (error) => failures.push(error));
  close = () => member.close();
  if (members === 1) await member.ready;
  const signal = new AbortController().signal;
  return { member, engines, failures, ask: () => member.etcd.openDatabase({ signal }) };
}

function put(member: Member, key: string): Promise<string> {
  const operation = {
    type: 'put',
    key: utf8Bytes(key),
    value: utf8Bytes('v'),
    prevKv: false,
  } as const;
  const command = encodeCommand({ type: 'operation', session: null, operation });
  return new Promise((resolve) => {
    member.service.execute(command, (answer) => resolve(decodeAnswer(answer).type));
  });
}

async function keysIn(file: DatabaseFile): Promise<number | undefined> {
  const bytes = await file.read({ offset: 0, length: file.bytes });
  return tablesIn(new BoltReader(bytesSource(bytes)))['key']?.length;
}

test('what was acknowledged before is in the file, flushed or not', async () => {
  const { member, ask } = await alone(1);
  for (const key of ['a', 'b', 'c']) expect(await put(member, key)).toBe('put');
  expect(await keysIn(await ask())).toBe(3);
});

test('without a leader it is what the member has', async () => {
  const { ask } = await alone(3);
  expect(await keysIn(await ask())).toBe(0);
});

test('a damaged row is no part of a file: the member stops', async () => {
  const { member, engines, failures, ask } = await alone(1);
  // More than a block of the history: the next flush adds to the last one, and reads no other.
  for (let n = 0; n < 40; n++) await put(member, 'a');
  await (await ask()).close();
  const [path = ''] = await engines.list('/d/state');
  const history = engines.peek(path).find(({ table }) => table === 'history');
  engines.damage(path, 'history', history?.key ?? new Uint8Array(0));
  await put(member, 'b');
  await expect(ask()).rejects.toThrow(/^the state is damaged: .*checksum of the row/);
  expect(failures.map(({ message }) => message)).toEqual([
    expect.stringMatching('checksum of the row'),
  ]);
});

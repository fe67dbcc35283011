import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { utf8Bytes, utf8String } from '../src/lib/index.ts';
import { lmdbEngines } from '../src/store/index.ts';
import { Members } from './members.ts';

let members: Members;
afterEach(() => members.close());

async function put(count: number, text = 'v'): Promise<void> {
  const clerk = await members.clerk();
  for (let n = 0; n < count; n++) await clerk.put(`key-${n}`, text);
  await clerk.close();
}

/** The file with a member's state. */
async function stateFile(name: string): Promise<string> {
  const directory = join(members.directory(name), 'state');
  const names = await readdir(directory);
  return join(directory, names.find((each) => each.endsWith('.lmdb')) ?? '');
}

/** Changes a row behind the back of a member that is down, checksum and all. */
async function alter(name: string): Promise<void> {
  const engine = await lmdbEngines().open(await stateFile(name));
  const key = utf8Bytes('key-3');
  const value = engine.get('keys', key)?.slice();
  if (value === undefined) throw new Error('no such row');
  // The key's version, which is the last number of its row.
  value[value.length - 1] = (value[value.length - 1] as number) + 1;
  await new Promise<void>((resolve, reject) => {
    engine.commit([{ table: 'keys', key, value }], (error) =>
      error === null ? resolve() : reject(error),
    );
  });
  await engine.close();
}

/** Flips a bit of a value in the file of a member that is down. */
async function damage(name: string, value: string): Promise<void> {
  const path = await stateFile(name);
  const bytes = await readFile(path);
  const at = bytes.indexOf(value);
  if (at < 0) throw new Error('no such value');
  bytes[at] = (bytes[at] as number) ^ 1;
  await writeFile(path, bytes);
}

/** Resolves when all members have applied the same and their states are equal. */
async function agreed(): Promise<void> {
  const states = (): number => {
    const all = [...members.servers.values()].map((server) => server.status());
    return new Set(all.map((each) => `${each.appliedIndex} ${each.stateHash}`)).size;
  };
  await expect.poll(states, { timeout: 10_000 }).toBe(1);
}

/** What a client of etcd is told. */
async function alarmsOf(name: string): Promise<unknown> {
  const [url] = members.servers.get(name)?.clientUrls ?? [];
  const answer = await fetch(`${url}/v3/maintenance/alarm`, { method: 'POST', body: '{}' });
  const { alarms } = (await answer.json()) as { alarms?: readonly { alarm: string }[] };
  return alarms?.map(({ alarm }) => alarm);
}

function said(name: string, text: string): boolean {
  return members.lines.some((line) => line.startsWith(`${name}: `) && line.includes(text));
}

async function startedAgain(): Promise<void> {
  await members.stop('m3');
  await members.start('m3');
  await put(20, 'after');
  await agreed();
  expect(said('m3', 'coming back') || said('m3', 'the state is made again from the log')).toBe(
    true,
  );
  expect(members.servers.size).toBe(3);
}

describe('a member with another state than a majority', () => {
  test('stops within seconds, the others say so and go on, and it comes back well', async () => {
    members = await Members.start(3, { corruptCheckTimeMs: 0 });
    await put(20);
    await members.stop('m3');
    await alter('m3');
    const { stopped } = await members.start('m3');
    // The row counts when it is written over.
    await put(40);
    const error = await stopped;
    expect(error?.message).toMatch(/state at entry \d+ is not that of 2 others/);
    for (const name of ['m1', 'm2']) {
      const hasAlarm = (): boolean => said(name, 'alarm: a member holds another state');
      await expect.poll(hasAlarm, { message: name, timeout: 5_000 }).toBe(true);
      expect(await alarmsOf(name)).toEqual(['CORRUPT']);
    }
    await members.stop('m3');
    await put(20, 'meanwhile');
    await startedAgain();
  });

  test('stops before anybody reads it, when it walks over all that it has stored', async () => {
    members = await Members.start(3, { corruptCheckTimeMs: 100 });
    await put(20);
    await members.stop('m3');
    await alter('m3');
    const { stopped } = await members.start('m3');
    expect((await stopped)?.message).toMatch('rows are missing, or not what was written last');
    expect(said('m3', 'alarm: the stored state is damaged')).toBe(true);
    await startedAgain();
  });
});

describe('a sole member with a damaged row', () => {
  test('stops when it finds it, and makes its state again from the log when started', async () => {
    members = await Members.start(1, { corruptCheckTimeMs: 100 });
    await put(5, 'a value that can be found');
    await members.stop('m1');
    await damage('m1', 'a value that can be found');
    const { stopped } = await members.start('m1');
    expect(await stopped).toMatchObject({ code: 'CORRUPT' });
    await members.stop('m1');
    const note = join(members.directory('m1'), 'state', 'DAMAGED');
    expect(utf8String(await readFile(note))).toMatch(/^generation 1\n.*checksum of the row/);
    await members.start('m1');
    expect(said('m1', 'damage was met in it before')).toBe(true);
    expect(said('m1', 'the state is made again from the log')).toBe(true);
    const clerk = await members.clerk();
    for (let n = 0; n < 5; n++) {
      expect(await clerk.get(`key-${n}`)).toBe('a value that can be found');
    }
    await clerk.close();
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeCommand } from '../api/index.ts';
import { silentLog, systemDisk } from '../io/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import type { SnapshotReader, SnapshotWriter } from '../replica/index.ts';
import { type Engines, lmdbEngines, memoryEngines } from '../store/index.ts';
import { MemberState } from './state.ts';

const KEYS = 3_000;

async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'quorate-state-'));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function open(directory: string, engines: Engines = lmdbEngines()): Promise<MemberState> {
  return MemberState.open({ disk: systemDisk, engines, log: silentLog, directory, clusterId: 5n });
}

function put(state: MemberState, index: number): void {
  const key = utf8Bytes(`key-${index % KEYS}`);
  const operation = { type: 'put', key, value: utf8Bytes(`${index}`), prevKv: false } as const;
  const commands = [encodeCommand({ type: 'operation', session: null, operation })];
  state.apply({ index, term: 1, timeMs: index, commands, confState: null });
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error === null ? resolve() : reject(error)));
  });
}

interface Reading {
  readonly reader: SnapshotReader;
  /** Resolves when `next` has something again. */
  woken(): Promise<void>;
}

function read(state: MemberState, plain = false): Reading {
  let wake = (): void => {};
  const reader = state.readSnapshot({ plain, wake: () => wake() });
  if (reader === null) throw new Error('a flush is under way');
  const woken = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  return { reader, woken };
}

async function send({ reader, woken }: Reading, into: MemberState): Promise<SnapshotWriter> {
  const writer = await new Promise<SnapshotWriter>((resolve, reject) => {
    into.receiveSnapshot((error, made) => (made === null ? reject(error) : resolve(made)));
  });
  for (;;) {
    const awaited = woken();
    const piece = reader.next();
    if (piece === null) break;
    if (piece === 'later') await awaited;
    else await settled((done) => writer.write(piece, done));
  }
  reader.close();
  await settled((done) => writer.finish(done));
  return writer;
}

test('a state goes to another member as an image, and is in force there, also after a start', () =>
  inDirectory(async (directory) => {
    const from = await open(join(directory, 'from'));
    const into = await open(join(directory, 'into'));
    let index = 0;
    while (index < 2 * KEYS) put(from, ++index);
    await settled((done) => from.flush(done));
    const reading = read(from);
    expect(reading.reader.position.index).toBe(index);
    const { machine } = from;
    const hash = machine.stateHash();
    // It stays what it was, whatever comes later.
    while (index < 4 * KEYS) put(from, ++index);
    await settled((done) => from.flush(done));
    const writer = await send(reading, into);
    let replaced = 0;
    into.onReplaced = () => void replaced++;
    await settled((done) => writer.install(done));
    expect([into.appliedIndex, into.machine.stateHash(), replaced]).toEqual([2 * KEYS, hash, 1]);
    expect(into.machine.recomputeStateHash()).toBe(hash);
    for (let next = 2 * KEYS + 1; next <= index; next++) put(into, next);
    expect(into.machine.stateHash()).toBe(from.machine.stateHash());
    await settled((done) => into.flush(done));
    await into.close();
    const again = await open(join(directory, 'into'));
    expect(again.machine.recomputeStateHash()).toBe(from.machine.stateHash());
    await Promise.all([again.close(), from.close()]);
  }));

test('a member that takes no images refuses one, and takes the rows', () =>
  inDirectory(async (directory) => {
    const from = await open(join(directory, 'from'));
    put(from, 1);
    await settled((done) => from.flush(done));
    const into = await open(join(directory, 'into'), memoryEngines());
    await expect(send(read(from), into)).rejects.toMatchObject({ code: 'VERSION' });
    const writer = await send(read(from, true), into);
    await settled((done) => writer.install(done));
    expect(into.machine.stateHash()).toBe(from.machine.stateHash());
    await Promise.all([into.close(), from.close()]);
  }));

test('nothing is read during a flush: the file is then about to change', () =>
  inDirectory(async (directory) => {
    const state = await open(directory);
    put(state, 1);
    const flushed = settled((done) => state.flush(done));
    expect(state.readSnapshot({ plain: false, wake: () => {} })).toBeNull();
    await flushed;
    read(state).reader.close();
    await state.close();
  }));

test('an image of another cluster is refused', () =>
  inDirectory(async (directory) => {
    const from = await open(join(directory, 'from'));
    put(from, 1);
    await settled((done) => from.flush(done));
    const options = { disk: systemDisk, engines: lmdbEngines(), log: silentLog };
    const place = join(directory, 'into');
    const into = await MemberState.open({ ...options, directory: place, clusterId: 6n });
    await expect(send(read(from), into)).rejects.toThrow('of another cluster');
    await Promise.all([into.close(), from.close()]);
  }));

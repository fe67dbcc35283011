import { describe, expect, test } from 'vitest';
import { memoryDisk } from '../io/index.ts';
import {
  type SnapshotReader,
  type SnapshotWriter,
  type StateMachine,
  savedMachine,
  stateFile,
} from './index.ts';
import { MemoryStorage, Recorder } from './testing/recorder.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

const CONF = {
  voters: [1n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

const clock = new VirtualClock();

function open(before: MemoryStorage | null = null) {
  const storage = new MemoryStorage(clock, before);
  const recorder = new Recorder();
  const machine = savedMachine(recorder, { storage, clock, chunkBytesMax: 10 });
  return { storage, recorder, machine };
}

function apply(machine: StateMachine, index: number, text: string): void {
  const commands = [new TextEncoder().encode(text)];
  const confState = index === 1 ? CONF : null;
  machine.apply({ index, term: 1, timeMs: index * 10, commands, confState });
}

/** Runs one call of the machine to its end. */
function ended(call: (done: (error: Error | null) => void) => void): Error | null {
  const result: { error: Error | null | undefined } = { error: undefined };
  call((error) => {
    result.error = error;
  });
  expect(result.error, 'done before the call returned').toBeUndefined();
  clock.advance(10);
  if (result.error === undefined) throw new Error('never done');
  return result.error;
}

function readerOf(machine: StateMachine): SnapshotReader {
  const reader = machine.readSnapshot({ plain: false, wake: () => {} });
  if (reader === null) throw new Error('it can always be read');
  return reader;
}

function send(from: StateMachine, to: StateMachine, spoil: (chunk: Uint8Array) => void) {
  const reader = readerOf(from);
  const held: SnapshotWriter[] = [];
  ended((done) =>
    to.receiveSnapshot((error, opened) => {
      if (opened !== null) held.push(opened);
      done(error);
    }),
  );
  const [writer] = held;
  if (writer === undefined) throw new Error('no writer');
  const { write, finish, install, discard } = writer;
  for (let chunk = reader.next(); chunk !== null; chunk = reader.next()) {
    if (chunk === 'later') throw new Error('it waits for no disk');
    expect(chunk.length).toBeLessThanOrEqual(10);
    spoil(chunk);
    const piece = chunk;
    expect(ended((done) => write(piece, done))).toBeNull();
  }
  reader.close();
  const problem = ended(finish);
  return { problem, install, discard };
}

describe('a machine of three functions', () => {
  test('what was flushed survives a restart, with its position and time; the rest does not', () => {
    const first = open();
    apply(first.machine, 1, 'a');
    apply(first.machine, 2, 'b');
    expect(first.machine.unflushedBytes).toBe(2);
    expect(ended((done) => first.machine.flush(done))).toBeNull();
    expect(first.machine.unflushedBytes).toBe(0);
    apply(first.machine, 3, 'c');
    const second = open(first.storage);
    expect(second.recorder.applied).toEqual(['a', 'b']);
    expect(second.machine.durable).toEqual({ index: 2, term: 1, confState: CONF });
    expect(second.machine.logTimeMs).toBe(20);
  });

  test('commands applied during a flush are not in it', () => {
    const { machine, storage } = open();
    apply(machine, 1, 'a');
    expect(
      ended((done) => {
        machine.flush(done);
        apply(machine, 2, 'b');
      }),
    ).toBeNull();
    expect(machine.durable.index).toBe(1);
    expect(machine.unflushedBytes).toBe(1);
    expect(open(storage).recorder.applied).toEqual(['a']);
  });

  test('a flush that fails changes nothing', () => {
    const { machine, storage } = open();
    apply(machine, 1, 'a');
    storage.failure = new Error('ENOSPC');
    expect(ended((done) => machine.flush(done))?.message).toBe('ENOSPC');
    expect(machine.durable.index).toBe(0);
    expect(machine.unflushedBytes).toBe(1);
  });

  test('a state moves to another member in pieces', () => {
    const from = open();
    const to = open();
    for (let i = 1; i <= 20; i++) apply(from.machine, i, `c${i}`);
    ended((done) => from.machine.flush(done));
    const { problem, install } = send(from.machine, to.machine, () => {});
    expect(problem).toBeNull();
    expect(to.machine.durable.index).toBe(0);
    expect(ended(install)).toBeNull();
    expect(to.machine.durable).toEqual(from.machine.durable);
    expect(to.recorder.records).toEqual(from.recorder.records);
    expect(open(to.storage).recorder.applied).toHaveLength(20);
  });

  test('a damaged state is noticed before it is installed', () => {
    const from = open();
    const to = open();
    apply(from.machine, 1, 'a');
    ended((done) => from.machine.flush(done));
    let pieces = 0;
    const spoil = (chunk: Uint8Array): void => {
      if (++pieces === 2) chunk[3] = (chunk[3] ?? 0) ^ 1;
    };
    const { problem, discard } = send(from.machine, to.machine, spoil);
    expect(problem?.message).toMatch('the saved state is damaged');
    expect(ended(discard)).toBeNull();
    expect(to.machine.durable.index).toBe(0);
    expect(readerOf(from.machine).position.index).toBe(1);
  });
});

describe('a state in a file', () => {
  test('is what was written last, also after an unfinished replacement', async () => {
    const disk = memoryDisk();
    const storage = await stateFile(disk, '/state');
    expect(storage.initial).toBeNull();
    for (const text of ['one', 'two']) {
      const bytes = new TextEncoder().encode(text);
      const error = await new Promise((resolve) => storage.write(bytes, resolve));
      expect(error).toBeNull();
    }
    const left = await disk.open('/state/state.new', { create: true });
    await left.write(0, [new Uint8Array(3)]);
    await left.close();
    const again = await stateFile(disk, '/state');
    expect(new TextDecoder().decode(again.initial ?? undefined)).toBe('two');
    expect(await disk.list('/state')).toEqual(['state']);
  });
});

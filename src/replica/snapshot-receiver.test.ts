import { beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import type { SnapshotChunk, SnapshotChunkReply } from '../transport/index.ts';
import { SNAPSHOT_LIMITS } from './limits.ts';
import { type ReceivedSnapshot, SnapshotReceiver } from './snapshot-receiver.ts';
import type { Done, SnapshotWriter } from './state-machine.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

const CONF = {
  voters: [1n, 2n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const CORE = { term: 1, commitIndex: 3 };

let clock: VirtualClock;
let receiver: SnapshotReceiver;
/** Steps of the writer that wait to be ended by the test. */
let steps: { readonly name: string; readonly done: Done }[];
let written: number[];
/** What was written, each time, lay in. */
let memory: ArrayBufferLike[];
let replies: SnapshotChunkReply[];
let received: ReceivedSnapshot[];

function step(name: string): (done: Done) => void {
  return (done) => steps.push({ name, done });
}

const writer: SnapshotWriter = {
  write: (chunk, done) => {
    written.push(chunk[0] ?? -1);
    memory.push(chunk.buffer);
    step('write')(done);
  },
  finish: step('finish'),
  install: step('install'),
  discard: step('discard'),
};

beforeEach(() => {
  clock = new VirtualClock();
  steps = [];
  written = [];
  memory = [];
  replies = [];
  received = [];
  receiver = new SnapshotReceiver({
    id: 2n,
    clock,
    log: silentLog,
    limits: { ...SNAPSHOT_LIMITS, receivedBytesMax: 2 },
    open: (done) => step('open')((error) => done(error, error === null ? writer : null)),
    send: (reply) => replies.push(reply),
    onReceived: (snapshot) => received.push(snapshot),
    guard: (run) => run(),
  });
});

function chunk(sequence: number, changes: Partial<SnapshotChunk> = {}): void {
  const message: SnapshotChunk = {
    type: 'snapshotChunk',
    from: 1n,
    to: 2n,
    transferId: 1,
    term: 1,
    position: { index: 10, term: 1, confState: CONF },
    sequence,
    last: false,
    data: new Uint8Array([sequence]),
    ...changes,
  };
  receiver.handleChunk(message, CORE);
}

/** Ends the oldest waiting step, which must be this one. */
function end(name: string, error: Error | null = null): void {
  const first = steps.shift();
  expect(first?.name).toBe(name);
  first?.done(error);
}

function answers(): string[] {
  return replies
    .splice(0)
    .map((reply) => `${reply.transferId}:${reply.nextSequence} ${reply.status}`);
}

describe('chunks', () => {
  test('are copied when they arrive: their memory is the connection’s', () => {
    const data = Uint8Array.of(7);
    chunk(0, { data });
    data[0] = 99;
    end('open');
    expect(written).toEqual([7]);
  });

  test('of one length take turns in the same memory', () => {
    chunk(0);
    end('open');
    for (let sequence = 1; sequence < 5; sequence++) {
      chunk(sequence);
      end('write');
    }
    expect(written).toEqual([0, 1, 2, 3, 4]);
    expect(new Set(memory).size).toBe(2);
  });

  test('are acknowledged when they are written, not when they arrive', () => {
    chunk(0);
    chunk(1);
    end('open');
    expect(answers()).toEqual([]);
    end('write');
    expect(answers()).toEqual(['1:1 more']);
    end('write');
    expect(answers()).toEqual(['1:2 more']);
  });

  test('are written in order, whatever the order they come in', () => {
    chunk(0);
    end('open');
    end('write');
    chunk(3);
    chunk(2);
    chunk(1);
    for (let i = 0; i < 3; i++) end('write');
    expect(written).toEqual([0, 1, 2, 3]);
  });

  test('that come twice are told what is awaited', () => {
    chunk(0);
    end('open');
    end('write');
    answers();
    chunk(0);
    expect(answers()).toEqual(['1:1 more']);
    expect(written).toEqual([0]);
  });

  test('beyond what may wait are left to come again', () => {
    for (let i = 0; i < 4; i++) chunk(i);
    end('open');
    end('write');
    end('write');
    expect(steps).toEqual([]);
    chunk(2);
    end('write');
    expect(written).toEqual([0, 1, 2]);
  });

  test('of a transfer whose beginning is not known here start nothing', () => {
    chunk(5);
    expect(answers()).toEqual(['1:0 more']);
    expect(receiver.active).toBe(false);
  });

  test('of a state that the log has reached anyway are not needed', () => {
    chunk(0, { position: { index: 3, term: 1, confState: CONF } });
    expect(answers()).toEqual(['1:0 installed']);
    expect(receiver.active).toBe(false);
  });
});

describe('the end of a transfer', () => {
  function receiveAll(): void {
    chunk(0);
    end('open');
    end('write');
    chunk(1, { last: true, data: new Uint8Array(0) });
  }

  test('nothing is offered before it is verified', () => {
    receiveAll();
    expect(received).toEqual([]);
    end('finish');
    expect(received).toMatchObject([{ from: 1n, term: 1, position: { index: 10 } }]);
    answers();
    receiver.release('installed');
    expect(answers()).toEqual(['1:2 installed']);
    expect(receiver.active).toBe(false);
    chunk(1);
    expect(answers()).toEqual(['1:0 installed']);
  });

  test('what the core ignores is discarded', () => {
    receiveAll();
    end('finish');
    receiver.release('ignored');
    end('discard');
    expect(receiver.active).toBe(false);
    expect(answers().at(-1)).toBe('1:2 installed');
  });

  test.each(['open', 'write', 'finish'])('an error in "%s": refused, discarded', (failing) => {
    const broken = new Error('EIO');
    chunk(0, { last: true });
    for (const name of ['open', 'write', 'finish']) {
      end(name, name === failing ? broken : null);
      if (name === failing) break;
    }
    if (failing !== 'open') end('discard', new Error('also broken'));
    expect(answers().at(-1)).toMatch('refused');
    expect(receiver.active).toBe(false);
    expect(received).toEqual([]);
    chunk(0, { transferId: 2 });
    end('open');
    expect(receiver.active).toBe(true);
  });
});

describe('a second transfer', () => {
  test.each([
    ['a later one of the same leader', { transferId: 2 }],
    ['one of a later term', { term: 2, transferId: 1, from: 3n }],
  ])('%s takes the place, once the writer is free', (_name, newer) => {
    chunk(0);
    end('open');
    chunk(0, newer);
    expect(steps.map(({ name }) => name)).toEqual(['write']);
    end('write');
    end('discard');
    expect(replies).toEqual([]);
    chunk(0, newer);
    end('open');
    end('write');
    expect(replies).toMatchObject([
      { nextSequence: 1, status: 'more', transferId: newer.transferId },
    ]);
    chunk(1);
    expect(replies.at(-1)).toMatchObject({ transferId: 1, status: 'refused' });
  });

  test('an older one, or one of an earlier term, is refused', () => {
    chunk(0, { transferId: 5 });
    chunk(0, { transferId: 4 });
    chunk(0, { transferId: 9, term: 0 });
    expect(answers()).toEqual(['4:0 refused', '9:0 refused']);
  });

  test('one that comes while the first is installed waits', () => {
    chunk(0, { last: true });
    for (const name of ['open', 'write', 'finish']) end(name);
    answers();
    chunk(0, { transferId: 2 });
    expect(answers()).toEqual([]);
    receiver.release('installed');
    answers();
    chunk(0, { transferId: 2 });
    end('open');
    expect(receiver.active).toBe(true);
  });
});

test('what nobody goes on sending is given up', () => {
  chunk(0);
  end('open');
  end('write');
  clock.advance(SNAPSHOT_LIMITS.idleMs - 1);
  receiver.tick();
  expect(steps).toEqual([]);
  clock.advance(1);
  receiver.tick();
  end('discard');
  expect(receiver.active).toBe(false);
});

test('stopping waits until the writer is free', () => {
  chunk(0);
  end('open');
  let stopped = false;
  receiver.stop(() => {
    stopped = true;
  });
  end('write');
  expect(stopped).toBe(false);
  end('discard');
  expect(stopped).toBe(true);
  chunk(1);
  expect(replies).toEqual([]);
});

import { beforeEach, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import type { SnapshotMessage } from '../transport/index.ts';
import { SNAPSHOT_LIMITS } from './limits.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { VirtualClock } from './testing/virtual-clock.ts';

const CONF = {
  voters: [1n, 2n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const PIECES = 5;

let clock: VirtualClock;
let sender: SnapshotSender;
let sent: string[];
let ended: string[];
let open: number;
let index: number;
let takes: boolean;
/** The state can't be read now. */
let flushing: boolean;
/** Its disk is awaited. */
let slow: boolean;
/** How it was asked for, each time. */
let plains: boolean[];
/** The pieces, by their number, whose memory was given back. */
let recycled: number[];

beforeEach(() => {
  clock = new VirtualClock();
  sent = [];
  ended = [];
  open = 0;
  index = 10;
  takes = true;
  flushing = false;
  slow = false;
  plains = [];
  recycled = [];
  sender = new SnapshotSender({
    id: 1n,
    clock,
    log: silentLog,
    limits: { ...SNAPSHOT_LIMITS, windowBytesMax: 3, resendsMax: 2 },
    read: (plain) => {
      plains.push(plain);
      if (flushing) return null;
      open++;
      let left = PIECES;
      return {
        position: { index, term: 1, confState: null },
        next: () => (slow ? 'later' : left-- > 0 ? Uint8Array.of(PIECES - 1 - left) : null),
        recycle: (piece) => recycled.push(...piece),
        close: () => open--,
      };
    },
    firstConf: CONF,
    send: (message) => {
      if (takes) sent.push(shown(message));
      return takes;
    },
    onEnd: (to, delivered) => ended.push(`${to} ${delivered}`),
    schedule: () => {},
  });
});

function shown(message: SnapshotMessage): string {
  if (message.type !== 'snapshotChunk') return message.type;
  expect(message.position.confState).toEqual(CONF);
  return `${message.to}/${message.transferId}.${message.sequence}${message.last ? ' last' : ''}`;
}

function start(to = 2n, from = 4): void {
  sender.start({ to, term: 1, snapshot: { index: from, term: 1, confState: CONF } });
}

function reply(nextSequence: number, changes = {}): void {
  const status = 'more' as const;
  const head = { type: 'snapshotChunkReply', from: 2n, to: 1n, transferId: 1 } as const;
  sender.handleReply({ ...head, nextSequence, status, ...changes });
}

/** Turns until nothing more leaves; returns what did. */
function run(): string[] {
  sent = [];
  for (let i = 0; i < 20; i++) sender.run();
  return sent;
}

function pass(durationMs: number): void {
  for (let i = 0; i < durationMs; i += 10) {
    clock.advance(10);
    sender.tick(() => true);
  }
}

test('one chunk a turn, and no more under way than the window', () => {
  start();
  sender.run();
  expect(sent).toEqual(['2/1.0']);
  expect(run()).toEqual(['2/1.1', '2/1.2']);
  reply(2);
  expect(run()).toEqual(['2/1.3', '2/1.4']);
  reply(5);
  expect(run()).toEqual(['2/1.5 last']);
  reply(6, { status: 'installed' });
  expect([ended, open]).toEqual([['2 true'], 0]);
});

test('what stays without an answer is sent again, from the first unacknowledged chunk on', () => {
  start();
  run();
  reply(1);
  run();
  pass(SNAPSHOT_LIMITS.resendMs);
  expect(run()).toEqual(['2/1.1', '2/1.2', '2/1.3']);
});

test('a piece that was taken is recycled, unless a copy of it may still be on its way', () => {
  start();
  run();
  reply(1);
  expect(recycled).toEqual([0]);
  run();
  pass(SNAPSHOT_LIMITS.resendMs);
  run();
  reply(4);
  run();
  reply(5);
  expect(recycled).toEqual([0, 4]);
});

test('the last chunk is repeated until the whole is installed', () => {
  start();
  for (const next of [3, 5, 6]) {
    run();
    reply(next);
  }
  pass(SNAPSHOT_LIMITS.resendMs);
  expect(run()).toEqual(['2/1.5 last']);
});

test('a silent receiver is given up after its resends; a fresh transfer waits a little', () => {
  start();
  run();
  pass(SNAPSHOT_LIMITS.resendMs * 3);
  expect([ended, open]).toEqual([['2 false'], 0]);
  start();
  expect(run()).toEqual([]);
  pass(SNAPSHOT_LIMITS.retryMs);
  expect(run()[0]).toBe('2/2.0');
});

test('a receiver that answers is not silent, however slow it is', () => {
  start();
  run();
  reply(1);
  for (let i = 0; i < 10; i++) {
    pass(SNAPSHOT_LIMITS.resendMs);
    reply(1);
  }
  expect(ended).toEqual([]);
});

test('a receiver that has forgotten what it took needs a fresh transfer', () => {
  start();
  run();
  reply(2);
  reply(0);
  expect(ended, 'an answer from before').toEqual([]);
  pass(SNAPSHOT_LIMITS.resendMs);
  run();
  reply(0);
  expect(ended).toEqual(['2 false']);
});

test('a transport that takes nothing is asked again after a pause, and nothing is skipped', () => {
  takes = false;
  start();
  expect(run()).toEqual([]);
  takes = true;
  expect(run()).toEqual([]);
  pass(SNAPSHOT_LIMITS.pauseMs);
  expect(run()).toEqual(['2/1.0', '2/1.1', '2/1.2']);
});

test('a transfer goes on when the core asks again, unless it brings too little', () => {
  start();
  run();
  start(2n, 10);
  expect(run()).toEqual([]);
  index = 20;
  start(2n, 15);
  expect(run()[0]).toBe('2/2.0');
  expect([ended, open]).toEqual([[], 1]);
});

test('answers about another transfer, or of somebody else, change nothing', () => {
  start();
  run();
  reply(3, { transferId: 7 });
  reply(3, { from: 3n });
  reply(6, { transferId: 7, status: 'refused' });
  expect(run()).toEqual([]);
  expect(ended).toEqual([]);
});

test('a member that left gets nothing more, and nobody waits for it', () => {
  start(2n);
  start(3n);
  start(4n);
  run();
  expect(sender.active).toBe(2);
  sender.tick((id) => id === 3n);
  expect([sender.active, open]).toEqual([1, 1]);
  expect(run()).toEqual([]);
});

test('with the leadership everything ends, unreported', () => {
  start(2n);
  start(3n);
  run();
  expect(sender.neededIndex).toBe(10);
  sender.stop();
  expect([sender.active, open, ended, sender.neededIndex]).toEqual([0, 0, [], null]);
  expect(run()).toEqual([]);
});

test('a state that is being flushed is sent when it can be read', () => {
  flushing = true;
  start();
  expect(run()).toEqual([]);
  expect(sender.active).toBe(0);
  flushing = false;
  expect(run()).toHaveLength(3);
});

test('while the disk is awaited nothing is sent, and nothing is lost', () => {
  start();
  slow = true;
  expect(run()).toEqual([]);
  slow = false;
  expect(run()).toEqual(['2/1.0', '2/1.1', '2/1.2']);
});

test('who refused a state gets the next one in the plain form, until one has arrived', () => {
  start();
  run();
  reply(0, { status: 'refused' });
  start();
  pass(SNAPSHOT_LIMITS.retryMs);
  run();
  reply(0, { status: 'installed', transferId: 2 });
  start();
  run();
  expect(plains).toEqual([false, true, false]);
});

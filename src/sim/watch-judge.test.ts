import { describe, expect, test } from 'vitest';
import { encodeCommand, type Operation, type SessionRef, singleKey } from '../api/index.ts';
import type { WatchBatch, WatchEvent } from '../client/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { encodeBatch } from '../replica/index.ts';
import { Counters } from './counters.ts';
import { Replay } from './replay.ts';
import { WatchJudge, type WatchWish } from './watch-judge.ts';

const NOTHING = new Uint8Array(0);

/** A replay of a log that these commands are written to, one entry each. */
class Log {
  readonly replay = new Replay();
  #index = 0;

  write(operation: Operation, session: SessionRef | null = null, timeMs = 0): void {
    this.#entry(encodeCommand({ type: 'operation', session, operation }), timeMs);
  }

  put(key: string, value: string, session: SessionRef | null = null, timeMs = 0): void {
    const [keyBytes, valueBytes] = [utf8Bytes(key), utf8Bytes(value)];
    const put = { type: 'put', key: keyBytes, value: valueBytes, prevKv: false } as const;
    this.write(put, session, timeMs);
  }

  delete(key: string): void {
    this.write({ type: 'delete', range: singleKey(utf8Bytes(key)), prevKv: false });
  }

  /** Opens a session that lives for two seconds of log time. */
  open(name: string, nonce: number, timeMs = 0): void {
    const command = {
      type: 'openSession',
      name: utf8Bytes(name),
      nonce: new Uint8Array(16).fill(nonce),
      ttlMs: 2_000,
    } as const;
    this.#entry(encodeCommand(command), timeMs);
  }

  #entry(command: Uint8Array, timeMs: number): void {
    const data = encodeBatch({ timeMs, commands: [command] }).slice();
    this.replay.apply({ kind: 'command', index: ++this.#index, term: 1, data });
  }
}

function seqOf(seq: number, { sessionId = 1, incarnation = 1 } = {}): SessionRef {
  return { sessionId, incarnation, seq, ackedSeq: 0 };
}

describe('the replay of a log', () => {
  test('a seq is executed once, in its order, and by the incarnation in force', () => {
    const log = new Log();
    log.open('w', 1);
    log.put('a', '1', seqOf(1));
    log.put('a', 'again', seqOf(1));
    log.put('a', 'too early', seqOf(3));
    log.open('w', 2);
    log.put('a', 'fenced', seqOf(2));
    log.put('a', '2', seqOf(2, { incarnation: 2 }));
    expect(log.replay.revision).toBe(3);
    expect(log.replay.changesOf(3)).toMatchObject([{ key: 'a', version: 2 }]);
  });

  test('a session ends when it was idle for its life in log time, and its name begins anew', () => {
    const log = new Log();
    log.open('w', 1, 1_000);
    log.put('a', '1', seqOf(1), 2_999);
    log.put('a', 'too late', seqOf(2), 4_999);
    expect(log.replay.revision).toBe(2);
    log.open('w', 2, 5_000);
    log.put('a', '2', seqOf(1, { sessionId: 2 }), 5_000);
    expect(log.replay.revision).toBe(3);
  });

  test('a compaction counts when it goes forward and not beyond what there is', () => {
    const log = new Log();
    for (const value of ['1', '2', '3']) log.put('a', value);
    for (const revision of [3, 2, 9]) log.write({ type: 'compact', revision });
    expect(log.replay.compactRevision).toBe(3);
    expect([2, 3, 9].map((revision) => log.replay.wasCompactedTo(revision))).toEqual([
      false,
      true,
      false,
    ]);
  });

  test('a command that it does not know is an error, and no guess', () => {
    const grant = { type: 'leaseGrant', lease: 7n, ttlMs: 5_000 } as const;
    expect(() => new Log().write(grant)).toThrow('the replay knows no leaseGrant');
  });
});

/** Revisions 2 to 5: a put, b put, a put again, a deleted. */
function fourChanges(): Log {
  const log = new Log();
  log.put('a', '1');
  log.put('b', '1');
  log.put('a', '22');
  log.delete('a');
  return log;
}

type Event = WatchEvent<'bytes'>;

function put(key: string, value: string, at: [revision: number, version: number]): Event {
  const [modRevision, version] = at;
  const createRevision = modRevision - (version - 1) * 2;
  const entry = { key: utf8Bytes(key), value: utf8Bytes(value), createRevision, modRevision };
  return { type: 'put', entry: { ...entry, version }, prev: null };
}

const FIRST = put('a', '1', [2, 1]);
const OTHER = put('b', '1', [3, 1]);
const SECOND = put('a', '22', [4, 2]);
const GONE: Event = { type: 'delete', key: utf8Bytes('a'), revision: 5, prev: null };

function judging(log: Log, wish: Partial<WatchWish> = {}): WatchJudge {
  const whole = { watched: { prefix: '' }, prevKv: false, from: 2, ...wish };
  const judge = new WatchJudge(whole, { replay: log.replay, counters: new Counters(), who: 'w' });
  judge.opened(wish.from ?? 2);
  judge.asked();
  return judge;
}

function told(revision: number, ...events: Event[]): WatchBatch<'bytes'> {
  return { revision, events };
}

describe('a watch is right', () => {
  test('when it tells every change of what it watches, in any number of batches', () => {
    const all = judging(fourChanges());
    all.batch(told(3, FIRST, OTHER));
    all.batch(told(5, SECOND, GONE));
    expect(all.nextRevision).toBe(6);
    judging(fourChanges(), { watched: { key: 'a' } }).batch(told(5, FIRST, SECOND, GONE));
  });

  test('when it waits for a revision that is not there yet', () => {
    judging(fourChanges(), { from: 9 }).batch(told(8));
  });

  test('when it tells what was before, as far as that can be read', () => {
    const log = fourChanges();
    const before = FIRST.type === 'put' ? FIRST.entry : null;
    const wish = { watched: { key: 'a' }, prevKv: true, from: 4 };
    judging(log, wish).batch(told(4, { ...SECOND, prev: before }));
    expect(() => judging(log, wish).batch(told(4, SECOND))).toThrow('tells nothing instead of');
    log.write({ type: 'compact', revision: 4 });
    judging(log, wish).batch(told(4, SECOND));
  });

  test('when it ends because of a compaction that there was', () => {
    const log = fourChanges();
    log.write({ type: 'compact', revision: 4 });
    judging(log).compacted(4);
  });
});

describe('a watch is wrong', () => {
  const wrong: [what: string, batch: WatchBatch<'bytes'>, promise: string][] = [
    ['a change is missing', told(5, FIRST, SECOND, GONE), 'watches tell every change once'],
    ['the last one is missing', told(5, FIRST, OTHER, SECOND), 'watches tell every change once'],
    ['a change comes twice', told(3, FIRST, FIRST, OTHER), 'watches tell every change once'],
    ['the order is another', told(3, OTHER, FIRST), 'watches tell every change once'],
    ['a change comes too early', told(2, FIRST, OTHER), 'watches tell every change once'],
    ['a value is another', told(2, put('a', '2', [2, 1])), 'watches tell every change once'],
    ['it is ahead of the log', told(6, FIRST, OTHER, SECOND, GONE), 'only what is committed'],
    ['it misses what was committed', told(1), 'no news is confirmed'],
    ['it says what was before, unasked', told(2, { ...FIRST, prev: entryOf(OTHER) }), 'before'],
  ];
  test.each(wrong)('%s', (_, batch, promise) => {
    expect(() => judging(fourChanges()).batch(batch)).toThrow(promise);
  });

  test('it begins behind what was there when it was called, or in what is not', () => {
    const log = fourChanges();
    const newest = { watched: { prefix: '' }, prevKv: false, from: null };
    const begin = (from: number): void => {
      new WatchJudge(newest, { replay: log.replay, counters: new Counters(), who: 'w' }).opened(
        from,
      );
    };
    begin(6);
    for (const from of [5, 7]) expect(() => begin(from)).toThrow('a watch begins where it should');
  });

  test('it goes back', () => {
    const judge = judging(fourChanges());
    judge.batch(told(4, FIRST, OTHER, SECOND));
    expect(() => judge.batch(told(2))).toThrow('watches do not go back');
  });

  test('it hears of a compaction that there was not, or that does not concern it', () => {
    const log = fourChanges();
    expect(() => judging(log).compacted(4)).toThrow('compaction is told as it is');
    log.write({ type: 'compact', revision: 4 });
    expect(() => judging(log, { from: 4 }).compacted(4)).toThrow('compaction is told as it is');
  });
});

function entryOf(event: Event) {
  if (event.type !== 'put') throw new Error('a deletion has no entry');
  return event.entry;
}

test('an empty value is a value', () => {
  const log = new Log();
  log.put('a', '');
  const entry = { ...entryOf(put('a', '', [2, 1])), value: NOTHING };
  judging(log).batch(told(2, { type: 'put', entry, prev: null }));
});

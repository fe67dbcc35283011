import { describe, expect, test } from 'vitest';
import { decodeSnapshotChunk, encodeSnapshotRequest } from '../api/index.ts';
import { FakeClock } from '../client/testing/fake-clock.ts';
import type { GrpcCall, GrpcError, GrpcServerStreamHandlers, GrpcStream } from '../grpc/index.ts';
import { silentLog } from '../io/index.ts';
import { deferred } from '../lib/index.ts';
import type { SnapshotReader } from '../replica/index.ts';
import { StoreError } from '../store/index.ts';
import { type OpenedSnapshot, snapshotMethods } from './snapshot-service.ts';

const LIMITS = { streamsMax: 2, bufferedBytesMax: 250, stallMs: 1_000 };

/** A reader of so many chunks of 100 bytes; what it throws instead of the last. */
class FakeReader implements SnapshotReader {
  readonly position = { index: 7, term: 3, confState: null };
  readonly #failure: Error | null;
  #left: number;
  isClosed = false;

  constructor(chunks: number, failure: Error | null = null) {
    this.#left = chunks;
    this.#failure = failure;
  }

  next(): Uint8Array | null {
    if (this.#left === 0) return null;
    this.#left--;
    if (this.#left === 0 && this.#failure !== null) throw this.#failure;
    return new Uint8Array(100).fill(this.#left);
  }

  recycle(): void {}

  close(): void {
    this.isClosed = true;
  }
}

/** The server's side of a stream whose client reads when the test says so. */
class FakeStream implements GrpcStream {
  readonly sent: Uint8Array[] = [];
  bufferedBytes = 0;
  ended: GrpcError | 'ok' | null = null;

  send(message: Uint8Array): void {
    this.sent.push(message);
    this.bufferedBytes += message.length;
  }

  end(error: GrpcError | null): void {
    this.ended ??= error ?? 'ok';
  }

  pause(): void {}

  resume(): void {}
}

// All that the method looks at of a call, whose class cannot be made without a stream.
const CALL = { remote: '10.0.0.9:1234' } as Partial<GrpcCall> as GrpcCall;

/** The method over scripted sources, in time that the test moves. */
function world(open: (options: { local: boolean }) => Promise<OpenedSnapshot>) {
  const clock = new FakeClock();
  const damages: Error[] = [];
  const methods = snapshotMethods({
    source: { openSnapshot: open },
    clock,
    log: silentLog,
    onDamage: (error) => void damages.push(error),
    limits: LIMITS,
  });
  const method = methods.get('/quorate.v1.Maintenance/Snapshot');
  if (method?.type !== 'serverStream') throw new Error('no such method');
  const call = (request = encodeSnapshotRequest({ local: false })) => {
    const stream = new FakeStream();
    const handlers: GrpcServerStreamHandlers = method.open(request, CALL, stream);
    const drain = async (): Promise<void> => {
      stream.bufferedBytes = 0;
      handlers.onDrain?.();
      await clock.advance(0);
    };
    return { stream, handlers, drain };
  };
  return { clock, damages, call };
}

function opened(reader: FakeReader): Promise<OpenedSnapshot> {
  return Promise.resolve({ reader, estimatedBytes: 12_345 });
}

describe('a snapshot that is streamed', () => {
  test('arrives as it was made, and ends with OK when all of it has', async () => {
    const reader = new FakeReader(2);
    const asked: boolean[] = [];
    const { clock, call } = world(({ local }) => {
      asked.push(local);
      return opened(reader);
    });
    const { stream } = call(encodeSnapshotRequest({ local: true }));
    await clock.advance(0);
    expect(asked).toEqual([true]);
    expect(stream.sent.map((each) => decodeSnapshotChunk(each))).toEqual([
      { data: new Uint8Array(100).fill(1), estimatedBytes: 12_345 },
      { data: new Uint8Array(100).fill(0), estimatedBytes: 12_345 },
    ]);
    expect(stream.ended).toBe('ok');
    expect(reader.isClosed).toBe(true);
  });

  test('is not made faster than the client reads', async () => {
    const { clock, call } = world(() => opened(new FakeReader(7)));
    const { stream, drain } = call();
    await clock.advance(0);
    expect(stream.sent).toHaveLength(3);
    await clock.advance(LIMITS.stallMs - 1);
    expect(stream.sent).toHaveLength(3);
    await drain();
    expect(stream.sent).toHaveLength(6);
    await drain();
    expect(stream).toMatchObject({ ended: 'ok', sent: { length: 7 } });
    expect(clock.timerCount).toBe(0);
  });

  test('that nobody reads ends, and lets go of the state', async () => {
    const reader = new FakeReader(7);
    const { clock, call } = world(() => opened(reader));
    const { stream } = call();
    await clock.advance(LIMITS.stallMs);
    expect(stream.ended).toMatchObject({
      code: 8,
      message: expect.stringMatching(/nothing was read for 1000 ms/),
    });
    expect(reader.isClosed).toBe(true);
  });

  test('ends without OK when the member stops or its state is replaced', async () => {
    const closed = new StoreError('CLOSED', 'view is closed');
    const { clock, call, damages } = world(() => opened(new FakeReader(5, closed)));
    const first = call();
    await clock.advance(0);
    await first.drain();
    expect(first.stream.ended).toMatchObject({
      code: 14,
      message: expect.stringMatching(/state was replaced/),
    });
    const second = call();
    await clock.advance(0);
    second.handlers.onStopping();
    expect(second.stream.ended).toMatchObject({
      code: 14,
      message: expect.stringMatching(/stopping/),
    });
    expect(damages).toEqual([]);
  });

  test('that meets a damaged row ends with DATA_LOSS, and the member stops', async () => {
    const damage = new StoreError('CORRUPT', '/data/state: checksum');
    const { clock, call, damages } = world(() => opened(new FakeReader(2, damage)));
    const { stream } = call();
    await clock.advance(0);
    expect(stream.ended).toMatchObject({ code: 15 });
    expect(damages).toEqual([damage]);
  });

  test('that cannot begin says why', async () => {
    const { clock, call } = world(() => Promise.reject(new Error('no leader confirmed it')));
    const { stream } = call();
    await clock.advance(0);
    expect(stream.ended).toMatchObject({ code: 14, message: 'no leader confirmed it' });
  });

  test('is let go of when the client leaves before it has begun', async () => {
    const opening = deferred<OpenedSnapshot>();
    const reader = new FakeReader(3);
    const { clock, call } = world(() => opening.promise);
    const { stream, handlers } = call();
    handlers.onClosed();
    opening.resolve({ reader, estimatedBytes: 1 });
    await clock.advance(0);
    expect(reader.isClosed).toBe(true);
    expect(stream.sent).toEqual([]);
  });
});

describe('a request for a snapshot', () => {
  test('beyond the streams of a member is refused until one is gone', async () => {
    const { clock, call } = world(() => opened(new FakeReader(9)));
    const first = call();
    call();
    expect(call).toThrow(/streams 2 snapshots already/);
    await clock.advance(0);
    first.handlers.onClosed();
    expect(call().stream.ended).toBeNull();
  });

  test('that is malformed is the fault of the client', () => {
    const { call } = world(() => opened(new FakeReader(1)));
    expect(() => call(Buffer.from('ffff', 'hex'))).toThrow(/malformed message/);
  });
});

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { GRPC_STATUS, type GrpcCall, type GrpcError, type GrpcStream } from '../grpc/index.ts';
import { ManualClock } from '../grpc/testing/manual-clock.ts';
import type { EtcdMember } from './context.ts';
import { ETCD_LIMITS } from './limits.ts';
import { SNAPSHOT_RESPONSE } from './messages/cluster.ts';
import type { DatabaseFile, OpenDatabase } from './snapshot-file.ts';
import { snapshotMethod } from './snapshot-service.ts';

const LIMITS = {
  ...ETCD_LIMITS,
  snapshotsMax: 2,
  snapshotBlobBytes: 100,
  snapshotUnreadBytesMax: 250,
  snapshotStallMs: 1_000,
};

/** A file in memory, of so many bytes. */
class TestFile implements DatabaseFile {
  readonly content: Uint8Array;
  /** What reading fails with. */
  failure: Error | null = null;
  reads = 0;
  isClosed = false;

  constructor(bytes: number) {
    this.content = Uint8Array.from({ length: bytes }, (_, i) => i % 251);
  }

  get bytes(): number {
    return this.content.length;
  }

  async read({ offset, length }: { offset: number; length: number }): Promise<Uint8Array> {
    this.reads++;
    if (this.failure !== null) throw this.failure;
    return this.content.slice(offset, offset + length);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

/** The server's side of a stream whose client reads when the test says so. */
class TestStream implements GrpcStream {
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

  get status(): string | null {
    if (this.ended === null || this.ended === 'ok') return this.ended;
    const { code, message } = this.ended;
    const name = Object.entries(GRPC_STATUS).find(([, value]) => value === code)?.[0];
    return `${name}: ${message}`;
  }
}

const CALL = { metadata: () => null } as Partial<GrpcCall> as GrpcCall;

function world(openDatabase: OpenDatabase) {
  const clock = new ManualClock();
  const member = { openDatabase } as Partial<EtcdMember> as EtcdMember;
  const random = { uint32: () => 0, bytes: (length: number) => new Uint8Array(length) };
  const method = snapshotMethod({ member, clock, random, limits: LIMITS });
  const call = () => {
    const stream = new TestStream();
    const handlers = method.open(new Uint8Array(0), CALL, stream);
    return { stream, handlers };
  };
  return { clock, call };
}

/** Lets all promises go on that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('a snapshot for etcdctl', () => {
  test('comes in blobs that say how much is left, and its SHA-256 behind them', async () => {
    const file = new TestFile(1_024);
    const { call } = world(async () => file);
    const { stream, handlers } = call();
    while (stream.ended === null) {
      await settled();
      stream.bufferedBytes = 0;
      handlers.onDrain?.();
    }
    expect(stream.status).toBe('ok');
    const messages = stream.sent.map((bytes) => SNAPSHOT_RESPONSE.decode(bytes));
    expect(messages.map(({ remaining_bytes }) => remaining_bytes)).toEqual([
      ...[924, 824, 724, 624, 524, 424, 324, 224, 124, 24, 0],
      0,
    ]);
    const hash = createHash('sha256').update(file.content).digest();
    expect(Buffer.concat(messages.map(({ blob }) => blob))).toEqual(
      Buffer.concat([file.content, hash]),
    );
    expect(file.isClosed).toBe(true);
  });

  test('is read no faster than its client reads, and ends when that stops', async () => {
    const file = new TestFile(10_000);
    const { call, clock } = world(async () => file);
    const { stream, handlers } = call();
    await settled();
    expect(file.reads).toBe(3);
    clock.pass(999);
    stream.bufferedBytes = 0;
    handlers.onDrain?.();
    await settled();
    expect(file.reads).toBe(6);
    clock.pass(999);
    await settled();
    expect(stream.ended).toBeNull();
    clock.pass(1);
    await settled();
    expect(stream.status).toMatch(/^RESOURCE_EXHAUSTED: .*nothing .* was read for 1000 ms/);
    expect(file.isClosed).toBe(true);
    expect(file.reads).toBe(6);
  });

  test('whose client leaves while it is made is given up, and its file closed', async () => {
    const file = new TestFile(500);
    const { call } = world(
      ({ signal }) =>
        new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
          if (signal.aborted) resolve(file);
        }),
    );
    const { stream, handlers } = call();
    handlers.onClosed();
    await settled();
    expect(stream.status).toMatch(/^CANCELLED/);
    expect(file.reads).toBe(0);
  });

  test('whose client leaves, or whose member stops, on the way is closed', async () => {
    for (const [event, status] of [
      ['onClosed', /^CANCELLED/],
      ['onStopping', /^UNAVAILABLE: etcdserver: server stopped/],
    ] as const) {
      const file = new TestFile(500);
      const { call } = world(async () => file);
      const { stream, handlers } = call();
      await settled();
      handlers[event]();
      await settled();
      expect(stream.status).toMatch(status);
      expect(file.isClosed).toBe(true);
    }
  });

  test('that cannot be made or read ends with what is wrong', async () => {
    const broken = new TestFile(500);
    broken.failure = new Error('EIO: the disk is gone');
    for (const open of [
      async () => broken,
      () => Promise.reject(new Error('EIO: the disk is gone')),
    ]) {
      const { stream } = world(open).call();
      await settled();
      expect(stream.status).toBe('UNAVAILABLE: EIO: the disk is gone');
    }
    expect(broken.isClosed).toBe(true);
  });

  test('is one of two at a time', async () => {
    const { call } = world(async () => new TestFile(500));
    const first = call();
    call();
    expect(() => call()).toThrow('this member sends 2 snapshots already');
    first.handlers.onClosed();
    await settled();
    call();
    expect(() => call()).toThrow('2 snapshots');
  });
});

import type { ServerHttp2Stream } from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeSnapshotRequest, encodeSnapshotChunk } from '../api/index.ts';
import { deferred } from '../lib/index.ts';
import { FrameReader, frameOf } from './grpc-frames.ts';
import { type FetchSnapshotOptions, fetchSnapshot } from './snapshot.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { GrpcServer } from './testing/grpc-server.ts';

const CHUNK_BYTES = 256 * 1024;

let server: GrpcServer;
afterEach(() => server.close());

async function serve(handle: (stream: ServerHttp2Stream) => void): Promise<void> {
  server = await GrpcServer.start((stream) => {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    handle(stream);
  });
}

function chunk(fill: number): Uint8Array {
  const data = new Uint8Array(CHUNK_BYTES).fill(fill);
  return frameOf(encodeSnapshotChunk({ data, estimatedBytes: 9 }));
}

function fetching(options: Partial<FetchSnapshotOptions> = {}): ReturnType<typeof fetchSnapshot> {
  return fetchSnapshot({ endpoints: server.address, ...options });
}

describe('a snapshot that is fetched', () => {
  it('comes in order and whole, and says what was asked', async () => {
    const asked = deferred<boolean>();
    await serve((stream) => {
      const frames = new FrameReader(1_000);
      stream.on('data', (bytes: Uint8Array) => {
        for (const message of frames.push(bytes)) {
          asked.resolve(decodeSnapshotRequest(message).local);
        }
      });
      for (let n = 0; n < 20; n++) stream.write(chunk(n));
      stream.end();
    });
    const seen: number[] = [];
    for await (const { data, estimatedBytes } of fetching({ local: true })) {
      expect(Buffer.alloc(CHUNK_BYTES, seen.length).equals(data)).toBe(true);
      expect(estimatedBytes).toBe(9);
      seen.push(data[0] ?? -1);
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(await asked.promise).toBe(true);
  });

  it('holds the member back while nobody takes it', async () => {
    const chunks = 400;
    const blocked = deferred<number>();
    await serve((stream) => {
      let n = 0;
      let idle: NodeJS.Timeout | null = null;
      const pour = (): void => {
        if (idle !== null) clearTimeout(idle);
        while (n < chunks) if (!stream.write(chunk(n++ % 256))) break;
        if (n === chunks) stream.end();
        else idle = setTimeout(() => blocked.resolve(n), 300);
      };
      stream.on('drain', pour);
      pour();
    });
    const stream = fetching();
    await stream.next();
    // 4 MiB that wait, a window of 16 MiB, and what the sockets take: not the 100 MiB there are.
    expect(await blocked.promise).toBeLessThan(chunks / 2);
    let count = 1;
    for await (const { data } of stream) count += data.length / CHUNK_BYTES;
    expect(count).toBe(chunks);
  });

  it('may be left: the connection is gone then', async () => {
    await serve((stream) => void stream.write(chunk(0)));
    for await (const { data } of fetching()) {
      expect(data).toHaveLength(CHUNK_BYTES);
      break;
    }
    await expect.poll(() => server.openSockets).toBe(0);
  });

  it('ends with CONNECTION_LOST when the connection breaks, after what had come', async () => {
    await serve((stream) => void stream.write(chunk(7)));
    const stream = fetching();
    expect((await stream.next()).value?.data[0]).toBe(7);
    server.cut();
    await expect(stream.next()).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  });

  it('ends when the member is silent for too long', async () => {
    await serve((stream) => void stream.write(chunk(0)));
    const clock = new FakeClock();
    const stream = fetching({ clock, timeoutMs: 700 });
    await stream.next();
    const next = stream.next();
    const failed = expect(next).rejects.toMatchObject({ code: 'DEADLINE_NOT_APPLIED' });
    await clock.advance(700);
    await failed;
  });

  it('ends when the signal says so: before, and while it waits', async () => {
    await serve((stream) => void stream.write(chunk(0)));
    const code = 'CANCELLED_NOT_APPLIED';
    await expect(fetching({ signal: AbortSignal.abort() }).next()).rejects.toMatchObject({ code });
    const controller = new AbortController();
    const stream = fetching({ signal: controller.signal });
    await stream.next();
    const next = stream.next();
    controller.abort();
    await expect(next).rejects.toMatchObject({ code });
    await expect.poll(() => server.openSockets).toBe(0);
  });

  it('that is no snapshot is the fault of the peer', async () => {
    await serve((stream) => stream.end(frameOf(Buffer.from('ffff', 'hex'))));
    await expect(fetching().next()).rejects.toMatchObject({ code: 'BAD_PEER' });
  });
});

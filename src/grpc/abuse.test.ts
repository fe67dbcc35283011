import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Log, silentLog } from '../io/index.ts';
import { concatBytes, hex, Prng } from '../lib/index.ts';
import { type ErrorName, PREFACE } from './http2/protocol.ts';
import { createGrpcServer, type GrpcMethod, type GrpcServer } from './index.ts';
import { unaryMethod } from './method-adapters.ts';
import { TestClient } from './testing/client.ts';
import {
  errorAt,
  frame,
  framesIn,
  GREETING,
  headerBlock,
  message,
  request,
} from './testing/frames.ts';

/*
 * Clients that are no clients, on bare sockets. After each of them the server must still serve.
 * What exactly each of them gets is proved without sockets: http2/rules.test.ts, limits.test.ts.
 */

const END_STREAM = 1;
const END_HEADERS = 4;

const REQUEST = request('/t/Echo');
const OPEN = request('/t/Open');
const MESSAGE = message(Buffer.of(7));

let grpc: GrpcServer;
let port = 0;
let stop: () => Promise<void>;
const warnings: string[] = [];

beforeEach(async () => {
  warnings.length = 0;
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
  grpc = createGrpcServer({
    methods: new Map<string, GrpcMethod>([
      ['/t/Echo', unaryMethod(async (request) => request)],
      [
        '/t/Open',
        {
          type: 'bidi',
          open: () => ({ onMessage() {}, onEnd() {}, onClosed() {}, onStopping() {} }),
        },
      ],
    ]),
    log,
    limits: {
      closeMs: 100,
      lingerMs: 20,
      keepaliveMs: 40,
      messageBytesMax: 1000,
      pingsMax: 20,
      settingsMax: 10,
      resetsMax: 50,
    },
    onDefect: (error) => warnings.push(`defect ${error.message}`),
  });
  const listener = createServer((socket) => grpc.handleSocket(socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  port = (listener.address() as AddressInfo).port;
  stop = async () => {
    await grpc.close();
    await new Promise((resolve) => listener.close(resolve));
  };
});

afterEach(() => stop());

async function dial(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  // Being cut off, at whatever moment, is what these tests expect.
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Writes the bytes and collects what comes back until the server hangs up. */
async function exchange(bytes: Uint8Array): Promise<Buffer> {
  const socket = await dial();
  const received: Buffer[] = [];
  socket.on('data', (chunk) => received.push(chunk));
  const over = once(socket, 'close');
  socket.write(bytes);
  await over;
  socket.destroy();
  return Buffer.concat(received);
}

/** The error code of the GOAWAY in `bytes`; null: there is none. */
function goaway(bytes: Uint8Array): ErrorName | number | null {
  const last = framesIn(bytes).findLast(({ type }) => type === 'GOAWAY');
  return last === undefined ? null : errorAt(last.payload, 4);
}

async function expectAlive(origin: string): Promise<void> {
  const client = new TestClient(port);
  const answer = await client.unary('/t/Echo', Uint8Array.of(1, 2, 3));
  expect(answer.status, origin).toBe(0);
  await client.close();
}

describe('a hostile client', () => {
  test('that sends garbage instead of frames is cut off', async () => {
    for (const garbage of ['GET / HTTP/1.1\r\n\r\n', 'x'.repeat(50_000)]) {
      await exchange(Buffer.from(garbage));
    }
    await exchange(Buffer.concat([PREFACE, Buffer.alloc(1000, 0xff)]));
    await expectAlive('after garbage');
  });

  test('that announces a huge frame is told so and cut off, also within a call', async () => {
    const huge = frame('DATA', 0, 1);
    huge.writeUIntBE(0xffffff, 0, 3);
    for (const before of [
      GREETING,
      Buffer.concat([GREETING, frame('HEADERS', END_HEADERS, 1, OPEN)]),
    ]) {
      const answer = await exchange(Buffer.concat([before, huge]));
      expect(goaway(answer)).toBe('FRAME_SIZE_ERROR');
    }
    await expectAlive('after a huge frame');
  });

  test('that leaves in the middle of anything leaves nothing behind', async () => {
    const call = Buffer.concat([
      GREETING,
      frame('HEADERS', END_HEADERS, 1, REQUEST),
      frame('DATA', END_STREAM, 1, MESSAGE),
    ]);
    for (let length = 0; length < call.length; length += 3) {
      const socket = await dial();
      socket.write(call.subarray(0, length));
      socket.destroySoon();
      await once(socket, 'close');
    }
    await expectAlive('after cut calls');
  });

  test('that resets the socket in the middle of calls leaves nothing behind', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = await dial();
      socket.write(Buffer.concat([GREETING, frame('HEADERS', END_HEADERS, 1, REQUEST)]));
      socket.resetAndDestroy();
      await once(socket, 'close');
    }
    await expectAlive('after resets');
  });

  test('that floods with pings is told to calm down', async () => {
    const ping = frame('PING', 0, 0, Buffer.alloc(8));
    const flood = Buffer.concat([GREETING, ...Array.from({ length: 200 }, () => ping)]);
    expect(goaway(await exchange(flood))).toBe('ENHANCE_YOUR_CALM');
    expect(warnings).toEqual(['connection cut off: flood of pings']);
    await expectAlive('after pings');
  });

  test('that floods with settings is told to calm down', async () => {
    const settings = frame('SETTINGS', 0, 0);
    const flood = Buffer.concat([GREETING, ...Array.from({ length: 200 }, () => settings)]);
    expect(goaway(await exchange(flood))).toBe('ENHANCE_YOUR_CALM');
    expect(warnings).toEqual(['connection cut off: flood of settings']);
    await expectAlive('after settings');
  });

  /** Calls that are reset as soon as they are made. */
  function rapidResets(count: number): Buffer {
    const frames = Array.from({ length: count }, (_, i) => [
      frame('HEADERS', END_HEADERS, 2 * i + 1, OPEN),
      frame('RST_STREAM', 0, 2 * i + 1, Buffer.from([0, 0, 0, 8])),
    ]);
    return Buffer.concat([GREETING, ...frames.flat()]);
  }

  test('that resets more calls than it may is told to calm down', async () => {
    expect(goaway(await exchange(rapidResets(80)))).toBe('ENHANCE_YOUR_CALM');
    expect(warnings).toEqual(['connection cut off: flood of resets']);
    await expectAlive('after resets');
  });

  test('that opens and resets streams without end is cut off', async () => {
    expect(goaway(await exchange(rapidResets(5000)))).not.toBeNull();
    await expectAlive('after rapid resets');
  });

  test('that sends endless CONTINUATION is cut off', async () => {
    const block = headerBlock([['x-more', 'y'.repeat(100)]]);
    const more = Array.from({ length: 2000 }, () => frame('CONTINUATION', 0, 1, block));
    const answer = await exchange(
      Buffer.concat([GREETING, frame('HEADERS', 0, 1, REQUEST), ...more]),
    );
    expect(goaway(answer)).not.toBeNull();
    await expectAlive('after continuations');
  });

  test('that overflows a window is cut off or reset', async () => {
    const increment = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
    const overflow = Buffer.concat([GREETING, frame('WINDOW_UPDATE', 0, 0, increment)]);
    expect(goaway(await exchange(overflow))).not.toBeNull();
    await expectAlive('after a window overflow');
  });

  test('that announces a message beyond the limit is refused without its bytes', async () => {
    const announced = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
    const client = new TestClient(port);
    const call = client.open('/t/Echo');
    call.stream.write(announced);
    expect((await call.finished).status).toBe(8);
    await client.close();
    await expectAlive('after a long message');
  });

  test('that sends random frames hurts only itself', async () => {
    const seed = 20_260_111;
    const prng = new Prng(seed);
    for (let round = 0; round < 60; round++) {
      const parts: Uint8Array[] = [GREETING];
      for (let i = prng.below(8); i >= 0; i--) {
        const payload = Uint8Array.from({ length: prng.below(40) }, () => prng.below(256));
        const body = prng.chance(0.3) ? REQUEST : payload;
        parts.push(frame(prng.below(11), prng.below(64), prng.below(6), body));
      }
      const bytes = concatBytes(parts);
      const socket = await dial();
      socket.resume();
      socket.write(bytes);
      await new Promise((resolve) => socket.write(frame('PING', 0, 0, Buffer.alloc(8)), resolve));
      socket.destroySoon();
      await once(socket, 'close');
      if (round % 10 === 9) await expectAlive(`seed ${seed}, round ${round}: ${hex(bytes)}`);
    }
    expect(warnings.filter((warning) => warning.startsWith('defect'))).toEqual([]);
  });
});

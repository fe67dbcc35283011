import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import { createGrpcServer } from './index.ts';

/*
 * What this folder exists for: unary calls a second beside node:http2, from the same client, in one
 * run. On a calm machine the factor is 15 to 30; the test asks for little enough to hold on a busy
 * one. QUORATE_TEST_SCALE=full measures longer, at 1, 10 and 100 calls outstanding.
 */

const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const SECONDS = FULL ? 5 : 1;
const OUTSTANDING = FULL ? [1, 10, 100] : [100];
const MESSAGE_BYTES = 128;
const FACTOR_MIN = 3;
const LOAD = fileURLToPath(new URL('./testing/raw-load.js', import.meta.url));

async function rate(port: number, outstanding: number): Promise<number> {
  const args = [LOAD, port, outstanding, SECONDS, MESSAGE_BYTES].map(String);
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Math.round(Number(stdout));
}

test('unary calls are answered many times faster than by node:http2', async () => {
  const grpc = createGrpcServer({
    methods: new Map([['/t/Echo', { type: 'unary', handle: async (bytes) => bytes }]]),
    log: silentLog,
  });
  const ours = createServer((socket) => grpc.handleSocket(socket)).listen(0, '127.0.0.1');
  const theirs = createHttp2Server();
  theirs.on('sessionError', () => undefined);
  theirs.on('stream', (stream) => {
    const parts: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => parts.push(chunk));
    stream.on('error', () => undefined);
    stream.on('end', () => {
      const headers = { ':status': 200, 'content-type': 'application/grpc' };
      stream.respond(headers, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.concat(parts));
    });
  });
  theirs.listen(0, '127.0.0.1');
  await Promise.all([once(ours, 'listening'), once(theirs, 'listening')]);
  const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  const rows: string[] = [];
  for (const outstanding of OUTSTANDING) {
    const theirRate = await rate(portOf(theirs), outstanding);
    const ourRate = await rate(portOf(ours), outstanding);
    const factor = ourRate / theirRate;
    rows.push(`${outstanding}: ${ourRate}/s, node:http2 ${theirRate}/s, × ${factor.toFixed(1)}`);
    if (outstanding >= 10) expect(factor, rows.join('\n')).toBeGreaterThan(FACTOR_MIN);
  }
  if (FULL) console.info(`outstanding: calls answered\n${rows.join('\n')}`);
  await grpc.close();
  await new Promise((resolve) => ours.close(resolve));
  await new Promise((resolve) => theirs.close(resolve));
}, 120_000);

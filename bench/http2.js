/*
 * Unary gRPC calls a second on our own HTTP/2 beside node:http2, from the same client, in one run:
 * what src/grpc exists for.
 *
 *   npm run bench -- http2
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createGrpcServer } from '../dist/grpc/index.js';
import { silentLog } from '../dist/io/index.js';

const SECONDS = 5;
const OUTSTANDING = [1, 10, 100];
const MESSAGE_BYTES = 128;
const LOAD = fileURLToPath(new URL('./raw-load.js', import.meta.url));

async function rate(port, outstanding) {
  const args = [LOAD, port, outstanding, SECONDS, MESSAGE_BYTES].map(String);
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Math.round(Number(stdout));
}

const grpc = createGrpcServer({
  methods: new Map([['/t/Echo', { type: 'unary', handle: async (bytes) => bytes }]]),
  log: silentLog,
});
const ours = createServer((socket) => grpc.handleSocket(socket)).listen(0, '127.0.0.1');
const theirs = createHttp2Server();
theirs.on('sessionError', () => undefined);
theirs.on('stream', (stream) => {
  const parts = [];
  stream.on('data', (chunk) => parts.push(chunk));
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

console.log('outstanding   calls/s   node:http2   ratio');
for (const outstanding of OUTSTANDING) {
  const theirRate = await rate(theirs.address().port, outstanding);
  const ourRate = await rate(ours.address().port, outstanding);
  const cells = [String(outstanding).padStart(11), String(ourRate).padStart(9)];
  const ratio = (ourRate / theirRate).toFixed(1);
  console.log([...cells, String(theirRate).padStart(12), ratio.padStart(7)].join(' '));
}
await grpc.close();
await Promise.all([ours, theirs].map((server) => new Promise((resolve) => server.close(resolve))));

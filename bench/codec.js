/*
 * Encode and decode a session Put (16 B key, 128 B value): our codec beside protobufjs.
 * Run: npm run build && node bench/codec.js
 */
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { decodeCommand, encodeCommand } from '../dist/api/index.js';

const SECONDS_PER_ROUND = 0.5;
const ROUNDS = 7;

const root = await protobuf.load(
  fileURLToPath(new URL('../proto/quorate/v1/quorate.proto', import.meta.url)),
);
const Command = root.lookupType('quorate.v1.Command');

const key = new Uint8Array(16).fill(107);
const value = new Uint8Array(128).fill(118);
const ours = {
  type: 'operation',
  session: { sessionId: 123456, incarnation: 1, seq: 987654, ackedSeq: 987600 },
  operation: { type: 'put', key, value, prevKv: false },
};
const theirs = Command.create({
  session: { sessionId: 123456, incarnation: 1, seq: 987654, ackedSeq: 987600 },
  put: { key: Buffer.from(key), value: Buffer.from(value) },
});
const bytes = encodeCommand(ours);
const theirBytes = Command.encode(theirs).finish();
if (Buffer.compare(bytes, theirBytes) !== 0) throw new Error('the two encodings differ');

const contenders = {
  'ours, encode': () => encodeCommand(ours).length,
  'protobufjs, encode': () => Command.encode(theirs).finish().length,
  'ours, decode': () => decodeCommand(bytes).operation.key.length,
  'protobufjs, decode': () => Command.decode(theirBytes).put.key.length,
  'ours, both': () => decodeCommand(encodeCommand(ours)).operation.key.length,
  'protobufjs, both': () => Command.decode(Command.encode(theirs).finish()).put.key.length,
};

/** Nanoseconds per call over one round. */
function measure(run) {
  let calls = 0;
  let sum = 0;
  const start = process.hrtime.bigint();
  const end = start + BigInt(SECONDS_PER_ROUND * 1e9);
  let now = start;
  while (now < end) {
    for (let i = 0; i < 1000; i++) sum += run();
    calls += 1000;
    now = process.hrtime.bigint();
  }
  if (sum === 0) throw new Error('nothing ran');
  return Number(now - start) / calls;
}

const times = new Map(Object.keys(contenders).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(contenders)) times.get(name).push(measure(run));
}
console.log(`node ${process.version}, ${bytes.length} bytes, median of ${ROUNDS} rounds`);
for (const [name, list] of times) {
  list.sort((a, b) => a - b);
  console.log(`${name.padEnd(20)} ${list[ROUNDS >> 1].toFixed(0).padStart(6)} ns`);
}

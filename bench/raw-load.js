/*
 * Load for a gRPC server: unary calls of /t/Echo on one connection, as many outstanding as given,
 * in frames that were made beforehand, so that this side costs next to nothing.
 *
 * Run: node raw-load.js PORT OUTSTANDING SECONDS MESSAGE-BYTES; prints calls per second.
 */
import { connect } from 'node:net';

const [port, outstanding, seconds, messageBytes] = process.argv.slice(2).map(Number);
const WARM_UP_SECONDS = 1;
const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const END_STREAM = 1;

function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literals that go into the dynamic table: the first block is long, the others are indexes. */
const FIELDS = [
  [':authority', '127.0.0.1'],
  [':path', '/t/Echo'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ['user-agent', 'raw-load'],
];
const literal = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
const firstBlock = Buffer.concat([
  Buffer.from([0x83, 0x86]), // :method POST, :scheme http
  ...FIELDS.map(([name, value]) =>
    Buffer.concat([Buffer.from([0x40]), literal(name), literal(value)]),
  ),
]);
const nextBlock = Buffer.from([0x83, 0x86, ...FIELDS.map((_, i) => 0x80 | (62 + 4 - i))]);
const body = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), Buffer.alloc(messageBytes, 7)]);
body.writeUInt32BE(messageBytes, 1);
const requestOf = (stream, block) =>
  Buffer.concat([frame(HEADERS, 4, stream, block), frame(0, END_STREAM, stream, body)]);
const template = requestOf(0, nextBlock);
const dataAt = 9 + nextBlock.length;

const socket = connect(port, '127.0.0.1').setNoDelay(true);
let stream = 1;
let done = 0;
let rest = Buffer.alloc(0);
let owedBytes = 0;
let answers = 0;

/** The next calls in one write. */
function send(count) {
  const bytes = Buffer.allocUnsafe(template.length * count);
  for (let i = 0; i < count; i++) {
    const at = i * template.length;
    template.copy(bytes, at);
    bytes.writeUInt32BE(stream, at + 5);
    bytes.writeUInt32BE(stream, at + dataAt + 5);
    stream += 2;
  }
  socket.write(bytes);
}

socket.on('data', (chunk) => {
  const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
  let at = 0;
  let ended = 0;
  while (at + 9 <= bytes.length) {
    const length = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
    if (at + 9 + length > bytes.length) break;
    const type = bytes[at + 3];
    const flags = bytes[at + 4];
    if (type === HEADERS && (flags & END_STREAM) !== 0) ended++;
    else if (type === 0) {
      owedBytes += length;
      answers++;
    } else if (type === SETTINGS && flags === 0)
      socket.write(frame(SETTINGS, 1, 0, Buffer.alloc(0)));
    else if (type === PING && flags === 0) {
      socket.write(frame(PING, 1, 0, bytes.subarray(at + 9, at + 17)));
    } else if (type === 3 || type === 7) throw new Error(`server sent frame ${type}`);
    at += 9 + length;
  }
  rest = bytes.subarray(at);
  if (owedBytes > 20_000_000) {
    const update = Buffer.alloc(4);
    update.writeUInt32BE(owedBytes);
    socket.write(frame(8, 0, 0, update));
    owedBytes = 0;
  }
  done += ended;
  if (ended > 0) send(ended);
});

socket.on('connect', () => {
  const window = Buffer.from([0x40, 0, 0, 0]);
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(SETTINGS, 0, 0, Buffer.alloc(0)),
      frame(8, 0, 0, window),
      requestOf(1, firstBlock),
    ]),
  );
  stream = 3;
  if (outstanding > 1) send(outstanding - 1);
  setTimeout(() => {
    const before = done;
    const beganMs = performance.now();
    setTimeout(() => {
      if (answers < done) throw new Error(`${done} calls ended, ${answers} with an answer`);
      console.log((done - before) / ((performance.now() - beganMs) / 1000));
      process.exit(0);
    }, seconds * 1000);
  }, WARM_UP_SECONDS * 1000);
});

/*
 * What the state machine costs.
 *
 *   npm run build && node --expose-gc bench/state-machine.js
 *
 * Prints microseconds of processor time (all threads, the collector's too) per command, and bytes
 * per session. Processor time: other programs on the machine disturb it less.
 */
import { encodeCommand, singleKey } from '../dist/api/index.js';
import { KvStateMachine } from '../dist/kv/index.js';
import { Prng } from '../dist/lib/index.js';
import { memoryStore } from '../dist/store/index.js';

const KEYS = 100_000;
const BATCH = 100;
const CHUNK = 1000;
const VALUE = new Uint8Array(128).fill(0x76);

function key(n) {
  return new TextEncoder().encode(`user/${String(n).padStart(11, '0')}`);
}

/** Applies `count` commands; making and encoding them, a few at a time, is not measured. */
function measure(title, count, make, batch = BATCH) {
  let costUs = 0;
  for (let done = 0; done < count; done += CHUNK) {
    const chunk = Array.from({ length: Math.min(CHUNK, count - done) }, (_, i) => make(done + i));
    const encoded = chunk.map(encodeCommand);
    costUs += costOf(() => {
      for (let i = 0; i < encoded.length; i += batch) {
        const commands = encoded.slice(i, i + batch);
        machine.apply({ index: ++index, term: 1, timeMs: index, commands, conf: null });
      }
    });
  }
  console.log(`${title.padEnd(58)} ${(costUs / count).toFixed(2)} µs`);
}

function measureQueries(title, make) {
  let costUs = 0;
  for (let done = 0; done < KEYS; done += CHUNK) {
    const queries = Array.from({ length: CHUNK }, (_, i) => make(done + i));
    costUs += costOf(() => {
      for (const query of queries) machine.query(query);
    });
  }
  console.log(`${title.padEnd(58)} ${(costUs / KEYS).toFixed(2)} µs`);
}

function costOf(run) {
  const started = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(started);
  return user + system;
}

function session(seq, window = 100) {
  return { sessionId: 1, incarnation: 1, seq, ackedSeq: Math.max(0, seq - window) };
}

function nonce(n) {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, Math.imul(n, 0x9e3779b1));
  return bytes;
}

function open(n) {
  return { type: 'openSession', name: new Uint8Array(0), nonce: nonce(n), ttlMs: 1e9 };
}

const machine = new KvStateMachine({ store: memoryStore() });
const prng = new Prng(1);
let index = 0;
let seq = 0;

function put(keyNumber, ref) {
  const operation = { type: 'put', key: key(keyNumber), value: VALUE, prevKv: false };
  return { type: 'operation', session: ref, operation };
}

measure('open a session', 1, () => open(0));
measure('put of a new key, ascending, session', KEYS, (i) => put(i, session(++seq)));
for (const batch of [1, 10, 100, 1000]) {
  const title = `put over one of 100k keys, session, batches of ${batch}`;
  measure(title, KEYS, () => put(prng.below(KEYS), session(++seq)), batch);
}
measure('put over one key, session', KEYS, () => put(7, session(++seq)));
measure('put over one of 100k keys, no session', KEYS, () => put(prng.below(KEYS), null));
measure('append of 8 bytes to one of 100k keys, session', KEYS, () => ({
  type: 'operation',
  session: session(++seq),
  operation: { type: 'append', key: key(prng.below(KEYS)), value: VALUE.subarray(0, 8) },
}));
measure('skip, session', KEYS, () => ({
  type: 'operation',
  session: session(++seq),
  operation: { type: 'skip' },
}));

measureQueries('get of one of 100k keys', () => query(singleKey(key(prng.below(KEYS))), false));
measureQueries('count of 0 to 100k keys', (i) => query({ from: key(i), to: null }, true));

function query(range, countOnly) {
  const what = {
    type: 'range',
    range,
    limit: 1,
    revision: null,
    keysOnly: false,
    countOnly,
  };
  return { serializable: true, query: what };
}

const memoryBytes = () => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const before = memoryBytes();
measure('open an anonymous session', KEYS, (i) => open(i + 1));
console.log(`bytes per open session: ${((memoryBytes() - before) / KEYS).toFixed(0)}`);
const beforePuts = memoryBytes();
measure('one put by each of 100k sessions, all to one key', KEYS, (i) => ({
  type: 'operation',
  session: { sessionId: i + 2, incarnation: 1, seq: 1, ackedSeq: 0 },
  operation: { type: 'put', key: key(0), value: new Uint8Array(0), prevKv: false },
}));
const putBytes = (memoryBytes() - beforePuts) / KEYS;
console.log(`bytes per such put (answer and superseded version kept): ${putBytes.toFixed(0)}`);

/**
 * What a flush costs, without a cluster: the rows of puts to random keys in a state of its own
 * (docs/STATE.md: one row of `keys`, one of `history`), as a member commits them.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const KEY_ROW = new Uint8Array(9);
const HISTORY_ROW = new Uint8Array(155);
const LOADED_AT_ONCE = 12_500;
const FLUSHES = 4;
const PACKED = new Map([['history', { prefixBytes: 8, freeBits: 4 }]]);
const PUTS = [6_250, 12_500, 25_000, 50_000];

/** Yields one line for each size of a flush, among few keys and among many. */
export async function* measureFlushes({ store, directory, randomKey, keys }) {
  for (const among of [10_000, keys]) {
    const path = join(directory, `flush-${among}.lmdb`);
    const engine = await store.lmdbEngines().open(path, { create: true, packed: PACKED });
    const state = new State(store.durableStore(engine), randomKey);
    for (let from = 0; from < among; from += LOADED_AT_ONCE) {
      for (let n = from; n < Math.min(among, from + LOADED_AT_ONCE); n++) state.put(n);
      await state.flush();
    }
    for (const puts of PUTS)
      yield `${puts} puts among ${among} keys: ${await state.cost(puts, among)}`;
    await engine.close();
    rmSync(path, { force: true });
  }
}

class State {
  #store;
  #randomKey;
  #revision = 0;

  constructor(store, randomKey) {
    this.#store = store;
    this.#randomKey = randomKey;
  }

  put(n) {
    const at = Buffer.alloc(12);
    at.writeBigUInt64BE(BigInt(++this.#revision));
    this.#store.put('keys', new Uint8Array(this.#randomKey(n)), KEY_ROW);
    this.#store.put('history', new Uint8Array(at), HISTORY_ROW);
  }

  flush() {
    return new Promise((done, fail) => {
      this.#store.flush((error) => (error === null ? done() : fail(error)));
    });
  }

  /** Of some flushes: processor time and bytes written for each put, and the longest turn. */
  async cost(puts, among) {
    const sum = { cpuUs: 0, wroteBytes: 0, turnMs: 0 };
    for (let flush = 0; flush < FLUSHES; flush++) {
      for (let n = 0; n < puts; n++) this.put(Math.floor(Math.random() * among));
      const [cpuBefore, wroteBefore] = [process.cpuUsage(), bytesWritten()];
      const turns = watchTurns();
      await this.flush();
      sum.turnMs = Math.max(sum.turnMs, turns.stop());
      const { user, system } = process.cpuUsage(cpuBefore);
      sum.cpuUs += user + system;
      sum.wroteBytes += bytesWritten() - wroteBefore;
    }
    const each = FLUSHES * puts;
    return (
      `${(sum.cpuUs / each).toFixed(1)} µs of processor and ${(sum.wroteBytes / each).toFixed(0)} ` +
      `bytes to the disk each; the event loop waits up to ${sum.turnMs.toFixed(0)} ms`
    );
  }
}

/** proc(5): what this process caused to be written, pages of LMDB's file included. */
function bytesWritten() {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))[1]);
}

/** The longest time between two turns of the event loop until `stop`, in milliseconds. */
function watchTurns() {
  let [longestMs, lastMs] = [0, performance.now()];
  const look = () => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  };
  const timer = setInterval(look, 1);
  const stop = () => {
    look();
    clearInterval(timer);
    return longestMs;
  };
  return { stop };
}

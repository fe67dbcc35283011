/*
 * Three member processes with fsync, and one client process (this one) beside them.
 *
 *   npm run bench               everything
 *   npm run bench -- --short    a smoke run of a few seconds
 *   npm run bench -- state      large states, see bench/state.js; --short for a tenth
 *   npm run bench -- http2      our HTTP/2 beside Node's
 *   npm run bench -- wire       etcd's API beside etcd, see bench/wire.js
 *   npm run bench -- history    operations recorded and judged, see bench/history.js
 *   npm run bench -- builds     processor time of several builds, see bench/builds.js
 *
 * Sequential: 1,000 appends of one clerk to one key, one after the other; the course lab that the
 * product began with allows 33.3 ms each. Throughput: puts of 16 B keys and 128 B values with 1, 100
 * and 1,000 outstanding, on one clerk and so in order and exactly once; gets likewise. The raw cost of
 * the disk (write + fdatasync of one block) is measured in the same run, for the ratio.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as buildHistogram } from 'hdr-histogram-js';
import { ProcessCluster } from '../dist/cli/cluster/index.js';
import { Clerk } from '../dist/client/index.js';

if (process.argv[2] === 'state') {
  const { benchState } = await import('./state.js');
  process.exit(await benchState(process.argv.slice(3)));
}

if (process.argv[2] === 'history' || process.argv[2] === 'http2') {
  await import(`./${process.argv[2]}.js`);
  process.exit();
}

if (process.argv[2] === 'wire') {
  const { benchWire } = await import('./wire.js');
  process.exit(await benchWire(process.argv.slice(3)));
}

if (process.argv[2] === 'builds') {
  const { benchBuilds } = await import('./builds.js');
  process.exit(await benchBuilds(process.argv.slice(3)));
}

const LAB_BOUND_MS = 100 / 3;
const short = process.argv.includes('--short');
const SEQUENTIAL_APPENDS = short ? 200 : 1_000;
const SECONDS = short ? 1 : 5;
const KEYS = 10_000;
const VALUE = new Uint8Array(128).fill(118);

const directory = mkdtempSync(join(process.env.QUORATE_BENCH_DIR ?? tmpdir(), 'quorate-bench-'));
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const cluster = await ProcessCluster.start({
  command: [process.execPath, main, 'serve'],
  directory,
});
try {
  printDisk(measureDisk());
  const clerk = await Clerk.connect({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000 });
  await measureSequential(clerk);
  for (const outstanding of [1, 100, 1_000]) await measureThroughput(clerk, 'put', outstanding);
  for (const outstanding of [1, 100, 1_000]) await measureThroughput(clerk, 'get', outstanding);
  await clerk.close();
} finally {
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
}

/** Latencies in nanoseconds, 1 µs to 60 s with three digits. */
function histogram() {
  return buildHistogram({
    lowestDiscernibleValue: 1_000,
    highestTrackableValue: 60e9,
    numberOfSignificantValueDigits: 3,
  });
}

function nowNs() {
  return Number(process.hrtime.bigint());
}

/** Writes and syncs one block after the other in place, as a log does. */
function measureDisk() {
  const path = join(directory, 'raw');
  const fd = openSync(path, 'w');
  const block = Buffer.alloc(4096, 1);
  const latencies = histogram();
  for (let i = 0; i < 256; i++) writeSync(fd, block, 0, block.length, i * block.length);
  fdatasyncSync(fd);
  for (let i = 0; i < 256; i++) {
    const start = nowNs();
    writeSync(fd, block, 0, block.length, i * block.length);
    fdatasyncSync(fd);
    latencies.recordValue(nowNs() - start);
  }
  closeSync(fd);
  rmSync(path);
  return latencies;
}

function printDisk(latencies) {
  console.log(`disk        write + fdatasync of 4 KiB                 ${percentiles(latencies)}`);
}

async function measureSequential(clerk) {
  const latencies = histogram();
  await clerk.put('sequential', '');
  for (let i = 0; i < SEQUENTIAL_APPENDS; i++) {
    const start = nowNs();
    await clerk.append('sequential', `x ${i} y`);
    latencies.recordValue(nowNs() - start);
  }
  const medianMs = latencies.getValueAtPercentile(50) / 1e6;
  const ratio = (LAB_BOUND_MS / medianMs).toFixed(0);
  console.log(
    `sequential  ${SEQUENTIAL_APPENDS} appends of one clerk to one key        ` +
      `${percentiles(latencies)}   ${ratio} × below the lab's ${LAB_BOUND_MS.toFixed(1)} ms`,
  );
}

async function measureThroughput(clerk, kind, outstanding) {
  const latencies = histogram();
  const endNs = nowNs() + SECONDS * 1e9;
  let done = 0;
  const startNs = nowNs();
  const worker = async (id) => {
    for (let n = id; nowNs() < endNs; n += outstanding) {
      const key = `key-${String(n % KEYS).padStart(12, '0')}`;
      const start = nowNs();
      if (kind === 'put') await clerk.put(key, VALUE);
      else await clerk.get(key, { as: 'bytes' });
      latencies.recordValue(nowNs() - start);
      done++;
    }
  };
  await Promise.all(Array.from({ length: outstanding }, (_, id) => worker(id)));
  const perSecond = Math.round(done / ((nowNs() - startNs) / 1e9));
  const label = `${kind}, ${outstanding} outstanding`;
  console.log(
    `throughput  ${label.padEnd(40)} ${percentiles(latencies)}   ` +
      `${perSecond.toLocaleString('en')} per s`,
  );
}

function percentiles(latencies) {
  const at = (percentile) => (latencies.getValueAtPercentile(percentile) / 1e6).toFixed(3);
  return `median ${at(50)} ms   p99 ${at(99)} ms`;
}

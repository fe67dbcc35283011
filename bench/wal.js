/**
 * What the log costs over the bare disk, measured side by side in one run:
 *   npx tsc -p tsconfig.build.json && node bench/wal.js [--dir DIR] [--dist DIR]
 * Rounds of both alternate, because the disk of a shared machine drifts; the ratio is what counts.
 */
import * as fs from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
  options: {
    dir: { type: 'string', default: '.' },
    dist: { type: 'string', default: new URL('../dist', import.meta.url).pathname },
    rounds: { type: 'string', default: '6' },
    appends: { type: 'string', default: '2000' },
    entryBytes: { type: 'string', default: '128' },
  },
});
const { openWal } = await import(pathToFileURL(join(resolve(args.dist), 'wal/index.js')).href);
const { systemClock, silentLog } = await load(['clock', 'log']);
const { systemDisk } = await load(['system-disk']);

const BLOCK_BYTES = 4096;
const SEGMENT_BYTES = 16 * 1024 * 1024;
const rounds = Number(args.rounds);
const appends = Number(args.appends);
const data = new Uint8Array(Number(args.entryBytes)).fill(7);
const directory = fs.mkdtempSync(join(args.dir, 'bench-wal-'));

try {
  const bare = [];
  const log = [];
  for (let round = 0; round < rounds; round++) {
    bare.push(...(await bareLatencies()));
    log.push(...(await walLatencies(round)));
  }
  printLatency('write + fdatasync, 4 KiB, callbacks', bare);
  printLatency('wal.append, one at a time', log);
  console.log(`ratio p50 ${ratio(log, bare, 0.5)}, p99 ${ratio(log, bare, 0.99)}\n`);
  for (const outstanding of [10, 100, 1000]) await throughput(outstanding);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}

async function load(names) {
  const modules = names.map(
    (name) => pathToFileURL(join(resolve(args.dist), `io/${name}.js`)).href,
  );
  return Object.assign({}, ...(await Promise.all(modules.map((href) => import(href)))));
}

/** Microseconds of each write + fdatasync into a file that is zeroed beforehand, as the log's are. */
async function bareLatencies() {
  const path = join(directory, 'bare');
  const fd = fs.openSync(path, 'w+');
  fs.writeSync(fd, Buffer.alloc(SEGMENT_BYTES));
  fs.fsyncSync(fd);
  const block = Buffer.alloc(BLOCK_BYTES, 7);
  const latencies = [];
  for (let i = 0; i < appends; i++) {
    const start = performance.now();
    await new Promise((done) => {
      const offset = (i * BLOCK_BYTES) % SEGMENT_BYTES;
      fs.write(fd, block, 0, BLOCK_BYTES, offset, () => fs.fdatasync(fd, done));
    });
    latencies.push((performance.now() - start) * 1000);
  }
  fs.closeSync(fd);
  return latencies;
}

async function walLatencies(round) {
  const wal = await open(`latency-${round}`);
  const latencies = [];
  for (let index = 1; index <= appends; index++) {
    const start = performance.now();
    await new Promise((done) => wal.append(batchOf(index), done));
    latencies.push((performance.now() - start) * 1000);
  }
  await wal.close();
  return latencies;
}

/** Appends that are always `outstanding` at once, for about a second. */
async function throughput(outstanding) {
  const wal = await open(`throughput-${outstanding}`);
  const start = performance.now();
  let durable = 0;
  let index = 0;
  await new Promise((finished) => {
    const one = () => {
      index += 1;
      wal.append(batchOf(index), () => {
        durable += 1;
        if (performance.now() - start < 1000) one();
        else if (durable === index) finished();
      });
    };
    for (let i = 0; i < outstanding; i++) one();
  });
  const perSecond = Math.round((durable / (performance.now() - start)) * 1000);
  console.log(`${outstanding} outstanding: ${perSecond} durable appends/s`);
  await wal.close();
}

function open(name) {
  return openWal({
    disk: systemDisk,
    clock: systemClock,
    log: silentLog,
    directory: join(directory, name),
    identity: { clusterId: 1n, memberId: 1n },
    confState: {
      voters: [1n],
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
    onFailure(error) {
      throw error;
    },
  });
}

function batchOf(index) {
  return { hardState: null, entries: [{ kind: 'command', index, term: 1, data }] };
}

function percentile(latencies, share) {
  const sorted = Float64Array.from(latencies).sort();
  return sorted[Math.floor(sorted.length * share)];
}

function ratio(a, b, share) {
  return (percentile(a, share) / percentile(b, share)).toFixed(2);
}

function printLatency(name, latencies) {
  const at = (share) => percentile(latencies, share).toFixed(0);
  console.log(`${name}: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs, p99.9 ${at(0.999)} µs`);
}

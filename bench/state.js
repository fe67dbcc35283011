/**
 * Large states on real processes and the real disk:
 *
 *   npm run bench -- state                 1 GiB, ten million keys; some ten minutes
 *   npm run bench -- state --short         a tenth of it
 *   npm run bench -- state --only restart,rate,memory,snapshot --scale 0.01
 *   npm run bench -- state --profile DIR   where the members' time goes, for Chrome's profiler
 *
 *   restart    a member is killed (SIGKILL) and started: until a linearizable read is answered
 *   rate       puts of 16 + 128 bytes, random keys, 1,000 outstanding: two members of the same kind
 *              side by side, one with ten thousand keys and one with all, in turn
 *   memory     resident memory of a member for each million of those keys; etcd's beside it, if it
 *              is installed
 *   flush      only with --only: what a flush costs the store, among few keys and among all
 *   snapshot   a member of three comes back after its log is gone: how fast the state streams to
 *              it, and what that does to the puts of others; and how fast an operator can save it
 *
 * The machine's speed stands in every figure; the ratios and the goals at the end of a line are
 * what counts. Processor time stands beside what another program on the machine would disturb.
 * QUORATE_BENCH_DIR: where the data goes (default: the directory for temporary files).
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build as buildHistogram } from 'hdr-histogram-js';
import { measureFlushes } from './flush.js';

const MIB = 1024 * 1024;
const FEW_KEYS = 10_000;
const TXN_PUTS = 100;
const OUTSTANDING = 1_000;
const SMALL = new Uint8Array(128).fill(118);
const LARGE = new Uint8Array(1_024).fill(118);
/** Keys with which memory is measured, at full size. */
const MEMORY_KEYS = 2_000_000;
/** Turns of each of the two members whose rates are compared. */
const ROUNDS = 3;
const PARTS = ['restart', 'rate', 'memory', 'snapshot'];
const GOALS = { restartMs: 2_000, rateRatio: 0.8, streamMibPerS: 95.4, p99Ratio: 3 };

/** What is measured with. */
let quorate;
let command;
let directory;

/** Resolves with an exit code: 0 if every goal was met. */
export async function benchState(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      short: { type: 'boolean', default: false },
      scale: { type: 'string' },
      seconds: { type: 'string', default: '5' },
      only: { type: 'string', default: PARTS.join(',') },
      profile: { type: 'string' },
      dist: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
    },
  });
  const scale = Number(values.scale ?? (values.short ? 0.1 : 1));
  const size = {
    dataBytes: Math.round(1024 * MIB * scale),
    keys: Math.round(10_000_000 * scale),
    memoryKeys: Math.round(MEMORY_KEYS * scale),
    seconds: Number(values.seconds),
  };
  const dist = resolve(values.dist);
  const load = (path) => import(pathToFileURL(join(dist, path)).href);
  quorate = {
    ...(await load('cli/cluster/index.js')),
    ...(await load('client/index.js')),
    ...(await load('lib/index.js')),
  };
  const profiling =
    values.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', values.profile];
  command = [process.execPath, ...profiling, join(dist, 'cli/main.js'), 'serve'];
  directory = mkdtempSync(join(process.env.QUORATE_BENCH_DIR ?? tmpdir(), 'quorate-bench-state-'));
  console.log(`scale ${scale}: ${mib(size.dataBytes)} MiB of data, ${size.keys} keys`);
  const results = [];
  try {
    const parts = values.only.split(',');
    if (parts.includes('restart')) results.push(await measureRestart(size));
    if (parts.includes('rate') || parts.includes('memory')) {
      results.push(...(await measureKeys(size, parts)));
    }
    if (parts.includes('snapshot')) results.push(...(await measureSnapshot(size)));
    if (parts.includes('flush')) {
      const flushes = { store: await load('store/index.js'), directory, randomKey, ...size };
      for await (const line of measureFlushes(flushes)) say('flush', line);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return results.every(Boolean) ? 0 : 1;
}

// ── restart ────────────────────────────────────────────────────────────────────────────────────

async function measureRestart({ dataBytes }) {
  const cluster = await start('restart', 1);
  try {
    await loadKeys(cluster, { keys: Math.round(dataBytes / LARGE.length), value: LARGE });
    const times = [];
    for (let round = 0; round < 3; round++) {
      await cluster.kill('m1');
      const startMs = performance.now();
      const started = cluster.restart('m1');
      const clerk = await connect(cluster);
      await clerk.get(keyOf(0), { as: 'bytes' });
      times.push(performance.now() - startMs);
      await started;
      await clerk.close();
    }
    const worstMs = Math.max(...times);
    const all = times.map((ms) => ms.toFixed(0)).join(', ');
    return say('restart', `${mib(dataBytes)} MiB of data: ${all} ms to the first answer`, {
      met: worstMs <= GOALS.restartMs,
      goal: `≤ ${GOALS.restartMs} ms`,
    });
  } finally {
    await cluster.close();
  }
}

// ── many keys ──────────────────────────────────────────────────────────────────────────────────

async function measureKeys({ keys, memoryKeys, seconds }, parts) {
  const results = [];
  const many = await start('many', 1);
  const few = await start('few', 1);
  try {
    const { pid } = many.member('m1');
    const empty = memoryOf(pid);
    await loadKeys(many, { keys: memoryKeys, value: SMALL, keyAt: randomKey });
    const memory = perMillion(memoryOf(pid), empty, memoryKeys);
    if (parts.includes('memory')) results.push(await compareMemory(memory, memoryKeys));
    if (parts.includes('rate')) {
      await loadKeys(few, { keys: FEW_KEYS, value: SMALL, keyAt: randomKey });
      await loadKeys(many, { from: memoryKeys, keys, value: SMALL, keyAt: randomKey });
      results.push(await compareRates({ few, many, keys, seconds }));
    }
  } finally {
    await few.close();
    await many.close();
  }
  return results;
}

/** In turn, so that what else the machine does meets both; by the clock, and by processor time. */
async function compareRates({ few, many, keys, seconds }) {
  const sums = { few: { rate: 0, cpuUs: 0 }, many: { rate: 0, cpuUs: 0 } };
  const add = async (name, cluster, among) => {
    const { rate, cpuUs } = await putRate(cluster, { keys: among, seconds });
    sums[name].rate += rate / ROUNDS;
    sums[name].cpuUs += cpuUs / ROUNDS;
  };
  for (let round = 0; round < ROUNDS; round++) {
    await add('few', few, FEW_KEYS);
    await add('many', many, keys);
  }
  const text = ({ rate, cpuUs }) => `${perS(rate)}, ${cpuUs.toFixed(0)} µs of processor each`;
  const ratio = sums.many.rate / sums.few.rate;
  return say(
    'rate',
    `puts among ${keys} keys: ${text(sums.many)}; among ${FEW_KEYS}: ${text(sums.few)}: ` +
      percent(ratio),
    { met: ratio >= GOALS.rateRatio, goal: `≥ ${percent(GOALS.rateRatio)}` },
  );
}

/** Puts per second with so many outstanding, to keys drawn at random; the member's time for each. */
async function putRate(cluster, { keys, seconds }) {
  const clerk = await connect(cluster);
  const { pid } = cluster.member('m1');
  const cpuBeforeUs = processorUs(pid);
  const random = new quorate.Prng(keys);
  const endMs = performance.now() + seconds * 1_000;
  let done = 0;
  const startMs = performance.now();
  const worker = async () => {
    while (performance.now() < endMs) {
      await clerk.put(randomKey(random.below(keys)), SMALL);
      done++;
    }
  };
  await Promise.all(Array.from({ length: OUTSTANDING }, worker));
  const rate = done / ((performance.now() - startMs) / 1_000);
  const cpuUs = (processorUs(pid) - cpuBeforeUs) / done;
  await clerk.close();
  return { rate, cpuUs };
}

/** Processor time of a process so far, all threads, in microseconds. */
function processorUs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  // In ticks of a hundredth of a second: proc(5).
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

async function compareMemory(memory, keys) {
  const own = `${keys} keys: ${memoryText(memory)} for each million`;
  const etcd = await etcdMemory(keys);
  if (etcd === null) {
    return say('memory', `${own}; etcd is not installed, nothing to compare with`);
  }
  return say('memory', `${own}; etcd ${etcd.version}: ${memoryText(etcd.memory)}`, {
    met: memory.total < etcd.memory.total,
    goal: "below etcd's",
  });
}

/** Bytes of a process: what it has allocated, and what it has mapped and touched (page cache). */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return { total: kib('VmRSS') * 1_024, own: kib('RssAnon') * 1_024 };
}

function perMillion(after, before, keys) {
  const each = (name) => ((after[name] - before[name]) / keys) * 1e6;
  return { total: each('total'), own: each('own') };
}

function memoryText({ total, own }) {
  return `${mib(total)} MiB (${mib(own)} its own, the rest the file's pages in memory)`;
}

// ── etcd ───────────────────────────────────────────────────────────────────────────────────────

/** The same keys in an etcd of one member; null when there is none on this machine. */
async function etcdMemory(keys) {
  const asked = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  if (asked.error !== undefined || asked.status !== 0) return null;
  const version = /etcd Version: (\S+)/.exec(asked.stdout)?.[1] ?? '?';
  const [client, peer] = await quorate.findFreePorts(2);
  const [clientUrl, peerUrl] = [client, peer].map((port) => `http://127.0.0.1:${port}`);
  const child = spawn(
    'etcd',
    [
      ...['--data-dir', join(directory, 'etcd'), '--name', 'e', '--logger', 'zap'],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `e=${peerUrl}`, '--quota-backend-bytes', String(2 ** 35)],
    ],
    { stdio: 'ignore' },
  );
  const exited = new Promise((done) => child.once('exit', done));
  try {
    const session = await etcdSession(clientUrl);
    const before = memoryOf(child.pid);
    const txns = Math.ceil(keys / TXN_PUTS);
    await parallel(txns, 20, (txn) => etcdTxn(session, txn * TXN_PUTS));
    const after = memoryOf(child.pid);
    session.close();
    return { version, memory: perMillion(after, before, txns * TXN_PUTS) };
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}

/** A connection on which a first put has succeeded. */
async function etcdSession(url) {
  const endMs = performance.now() + 20_000;
  for (;;) {
    const session = http2.connect(url);
    let refused = null;
    session.on('error', (error) => {
      refused = error;
    });
    try {
      await etcdTxn(session, 0);
      return session;
    } catch (error) {
      session.destroy();
      if (performance.now() > endMs) throw refused ?? error;
      await sleep(200);
    }
  }
}

/** `etcdserverpb.KV/Txn` with puts of the keys from `from` on. */
function etcdTxn(session, from) {
  const writer = new quorate.ProtoWriter();
  for (let n = from; n < from + TXN_PUTS; n++) {
    const operation = writer.begin(2); // TxnRequest.success
    const put = writer.begin(2); // RequestOp.request_put
    writer.bytes(1, randomKey(n));
    writer.bytes(2, SMALL);
    writer.end(put);
    writer.end(operation);
  }
  const message = writer.finish();
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return new Promise((done, fail) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/etcdserverpb.KV/Txn',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let status = null;
    const look = (headers) => {
      status = headers['grpc-status'] ?? status;
    };
    stream.on('response', look);
    stream.on('trailers', look);
    stream.on('error', fail);
    stream.on('close', () => (status === '0' ? done() : fail(new Error(`etcd: status ${status}`))));
    stream.resume();
    stream.end(frame);
  });
}

// ── snapshot ───────────────────────────────────────────────────────────────────────────────────

async function measureSnapshot({ dataBytes, seconds }) {
  // The shortest log there is: a member that was away needs the state.
  const cluster = await start('snapshot', 3, ['--max-log-bytes', String(8 * MIB)]);
  try {
    await cluster.kill('m3');
    await loadKeys(cluster, { keys: Math.round(dataBytes / LARGE.length), value: LARGE });
    const clerk = await connect(cluster);
    const saved = await measureSave(cluster);
    const { pid } = cluster.member(await leaderOf(cluster));
    const [idle, busy] = [latencies(), latencies()];
    const beforeUs = processorUs(pid);
    await putUntil(clerk, idle, () => sleep(seconds * 1_000));
    const idleUs = processorUs(pid);
    const tookMs = await putUntil(clerk, busy, () => catchUp(cluster));
    const putsUs = ((idleUs - beforeUs) / idle.totalCount) * busy.totalCount;
    const sentS = (processorUs(pid) - idleUs - putsUs) / 1e6;
    const takenS = processorUs(cluster.member('m3').pid) / 1e6;
    await clerk.close();
    const streamMs = transferMs(join(directory, 'snapshot', 'm3.log'));
    const rate = saved.bytes / MIB / (streamMs / 1_000);
    const streamed =
      `${mib(saved.bytes)} MiB to a member of three in ${streamMs} ms ` +
      `(${tookMs.toFixed(0)} ms from its start until it has everything; ${sentS.toFixed(1)} s of the ` +
      `leader's processor besides the puts, ${takenS.toFixed(1)} s of its own with its start)`;
    const [idleP99, busyP99] = [idle, busy].map((each) => each.getValueAtPercentile(99) / 1e6);
    const during = `${busyP99.toFixed(2)} ms, idle ${idleP99.toFixed(2)} ms`;
    return [
      say('snapshot', `${streamed}: ${rate.toFixed(0)} MiB/s`, {
        met: rate >= GOALS.streamMibPerS,
        goal: '≥ 100 MB/s',
      }),
      say('snapshot', `put p99 meanwhile ${during}: ${(busyP99 / idleP99).toFixed(1)} ×`, {
        met: busyP99 <= GOALS.p99Ratio * idleP99,
        goal: `≤ ${GOALS.p99Ratio} ×`,
      }),
      say('snapshot', `an operator saves ${mib(saved.bytes)} MiB at ${mib(saved.perS)} MiB/s`),
    ];
  } finally {
    await cluster.close();
  }
}

async function leaderOf(cluster) {
  return [...(await cluster.statuses())].find(([, status]) => status?.role === 'leader')[0];
}

/** Takes a snapshot over gRPC, and throws it away. */
async function measureSave(cluster) {
  const startMs = performance.now();
  let bytes = 0;
  const options = { endpoints: cluster.endpoints.slice(0, 2), timeoutMs: 60_000 };
  for await (const { data } of quorate.fetchSnapshot(options)) bytes += data.length;
  return { bytes, perS: bytes / ((performance.now() - startMs) / 1_000) };
}

/** Starts the third member, and waits until it has all that the leader has now. */
async function catchUp(cluster) {
  const { revision } = (await cluster.statuses()).get('m1');
  const startMs = performance.now();
  await cluster.restart('m3');
  for (;;) {
    const status = (await cluster.statuses()).get('m3');
    if (status !== undefined && status.revision >= revision) return performance.now() - startMs;
    await sleep(20);
  }
}

/** Between the first chunk that a member had and the installation, by its log. */
function transferMs(logPath) {
  const lines = readFileSync(logPath, 'utf8').match(/^\{.*$/gm) ?? [];
  const entries = lines.map((line) => JSON.parse(line));
  const timeOf = (msg) => Date.parse(entries.find((entry) => entry.msg === msg)?.time);
  return timeOf('snapshot: installed') - timeOf('snapshot: receiving');
}

/** Ten clerks' worth of puts, each a hundred times a second, while `work` goes on. */
async function putUntil(clerk, histogram, work) {
  let goesOn = true;
  const worker = async (id) => {
    for (let n = 0; goesOn; n++) {
      const startNs = process.hrtime.bigint();
      await clerk.put(keyOf((n * 10 + id) % FEW_KEYS), SMALL);
      histogram.recordValue(Number(process.hrtime.bigint() - startNs));
      await sleep(10);
    }
  };
  const workers = Array.from({ length: 10 }, (_, id) => worker(id));
  const result = await work();
  goesOn = false;
  await Promise.all(workers);
  return result;
}

// ── what all of them need ──────────────────────────────────────────────────────────────────────

function start(name, members, flags = []) {
  return quorate.ProcessCluster.start({
    command,
    directory: join(directory, name),
    members,
    flags: ['--quota-backend-bytes', '0', ...flags],
  });
}

function connect(cluster) {
  return quorate.Clerk.connect({ endpoints: cluster.endpoints, requestTimeoutMs: 120_000 });
}

/** Puts the keys `from` … `keys`, a hundred in one transaction. */
async function loadKeys(cluster, { from = 0, keys, value, keyAt = keyOf }) {
  const startMs = performance.now();
  const clerk = await connect(cluster);
  await parallel(Math.ceil((keys - from) / TXN_PUTS), 40, async (txn) => {
    const first = from + txn * TXN_PUTS;
    const count = Math.min(TXN_PUTS, keys - first);
    const success = Array.from({ length: count }, (_, n) => ({ put: keyAt(first + n), value }));
    await clerk.txn({ success });
  });
  await clerk.close();
  const rate = (keys - from) / ((performance.now() - startMs) / 1_000);
  console.log(`           loaded ${keys - from} keys of ${value.length} bytes at ${perS(rate)}`);
}

/** Runs `work` for 0 … count − 1, so many at a time. */
async function parallel(count, width, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

/** 16 bytes. */
function keyOf(n) {
  return `key-${String(n).padStart(12, '0')}`;
}

/** 16 bytes in no order, the same for the same number. */
function randomKey(n) {
  const key = Buffer.alloc(16);
  for (let lane = 0; lane < 4; lane++) {
    let h = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(lane + 1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    key.writeInt32LE(h ^ (h >>> 16), 4 * lane);
  }
  return key;
}

function latencies() {
  return buildHistogram({
    lowestDiscernibleValue: 1_000,
    highestTrackableValue: 60e9,
    numberOfSignificantValueDigits: 3,
  });
}

function sleep(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

function mib(bytes) {
  return (bytes / MIB).toFixed(0);
}

function perS(rate) {
  return `${Math.round(rate).toLocaleString('en')} per s`;
}

function percent(ratio) {
  return `${(100 * ratio).toFixed(0)} %`;
}

/** Prints one line; true unless a goal was missed. */
function say(name, text, { met = true, goal = null } = {}) {
  const verdict = goal === null ? '' : `   goal ${goal}: ${met ? 'met' : 'MISSED'}`;
  console.log(`${name.padEnd(10)} ${text}${verdict}`);
  return met;
}

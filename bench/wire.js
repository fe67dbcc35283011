/**
 * etcd's own wire, side by side: three members of ours and three of a real etcd on the same machine
 * and disk, both loaded by h2load with the same gRPC calls.
 *
 *   npm run bench -- wire                  takes two minutes and a half
 *   npm run bench -- wire --short          a smoke run: a second for each figure, no goals
 *   npm run bench -- wire --seconds 10
 *
 * Puts of a key of 16 bytes and a value of 128, and linearizable gets of it, sent to the leader
 * with 1, 100 and 1,000 calls outstanding. That they did what they should is looked up afterwards: every
 * put has made a revision. Before that each has ten seconds of both calls: a server runs for weeks,
 * and V8 compiles what is hot only after some hundred thousand calls. Both are started
 * with their defaults. The machine's speed stands in every figure; the ratios are what counts.
 * QUORATE_BENCH_DIR: where the data goes (default: the directory for temporary files).
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const KEY = Buffer.from('wire-bench-key-1');
const VALUE = Buffer.alloc(128, 'v');
/** Connections × calls outstanding on each. */
export const LOADS = [
  { outstanding: 1, connections: 1, streams: 1 },
  { outstanding: 100, connections: 10, streams: 10 },
  { outstanding: 1_000, connections: 50, streams: 20 },
];
export const CALLS = [
  { name: 'put', path: '/etcdserverpb.KV/Put', body: grpc([1, KEY], [2, VALUE]), goal: 3 },
  { name: 'get', path: '/etcdserverpb.KV/Range', body: grpc([1, KEY]), goal: 5 },
];
/** What both have behind them when measuring begins. */
const WARM_UP = { load: LOADS[1], seconds: 5 };
/** The load that the goals are about. */
const GOAL_OUTSTANDING = 1_000;

/** Resolves with an exit code: 0 if every goal was met, 2 when a program is missing. */
export async function benchWire(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      short: { type: 'boolean', default: false },
      seconds: { type: 'string' },
      dist: { type: 'string', default: fileURLToPath(new URL('../dist', import.meta.url)) },
    },
  });
  const seconds = Number(values.seconds ?? (values.short ? 1 : 5));
  const missing = ['h2load', 'etcd'].filter((program) => !isInstalled(program));
  if (missing.length > 0) {
    console.error(
      `bench wire needs ${missing.join(' and ')} in the PATH ` +
        '(Debian: apt-get install nghttp2-client etcd-server)',
    );
    return 2;
  }
  const directory = mkdtempSync(join(process.env.QUORATE_BENCH_DIR ?? tmpdir(), 'quorate-wire-'));
  const systems = [];
  try {
    systems.push({ name: 'quorate', ...(await startQuorate(directory, resolve(values.dist))) });
    systems.push({ name: 'etcd', ...(await startEtcd(directory, resolve(values.dist))) });
    for (const { name, body } of CALLS) writeFileSync(join(directory, `${name}.bin`), body);
    if (!values.short) await warmUp(systems, directory);
    return (await measureAll(systems, { directory, seconds })) || values.short ? 0 : 1;
  } finally {
    for (const { close } of systems) await close();
    rmSync(directory, { recursive: true, force: true });
  }
}

export function isInstalled(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

async function warmUp(systems, directory) {
  for (const system of systems) {
    for (const { name, path } of CALLS) {
      const bodyPath = join(directory, `${name}.bin`);
      await h2load(await leaderOf(system), { bodyPath, path, ...WARM_UP });
    }
  }
}

/** True if the goals were met. */
async function measureAll(systems, { directory, seconds }) {
  let isMet = true;
  for (const call of CALLS) {
    const bodyPath = join(directory, `${call.name}.bin`);
    for (const load of LOADS) {
      const rates = [];
      for (const system of systems) {
        const leader = await leaderOf(system);
        const before = await revisionOf(leader);
        const result = await h2load(leader, { bodyPath, path: call.path, load, seconds });
        const made = (await revisionOf(leader)) - before;
        if (call.name === 'put' && made < result.done) {
          throw new Error(`${system.name}: ${result.done} puts made ${made} revisions`);
        }
        if (result.failed > 0) throw new Error(`${system.name}: ${result.failed} calls failed`);
        rates.push(result.perSecond);
        print(call, load, system.name, result);
      }
      const ratio = rates[0] / rates[1];
      const isGoal = load.outstanding === GOAL_OUTSTANDING;
      if (isGoal && ratio < call.goal) isMet = false;
      const goal = isGoal ? `   goal ${call.goal}: ${ratio < call.goal ? 'missed' : 'met'}` : '';
      console.log(`${' '.repeat(32)}ratio      ${ratio.toFixed(2).padStart(9)}${goal}`);
    }
  }
  return isMet;
}

function print({ name }, { outstanding }, system, { perSecond, meanMs }) {
  const what = `${name}, ${outstanding.toLocaleString('en')} outstanding`;
  const rate = Math.round(perSecond).toLocaleString('en').padStart(9);
  console.log(`${what.padEnd(32)}${system.padEnd(11)}${rate} per s   mean ${meanMs.toFixed(2)} ms`);
}

/** Loads one member with so many calls, or for so long, after a second to warm up. */
export async function h2load(url, { bodyPath, path, load, seconds, calls }) {
  const args = ['-t', '1', '-d', bodyPath];
  if (calls === undefined) args.push('-D', String(seconds), '--warm-up-time', '1');
  else args.push('-n', String(calls));
  args.push('-c', String(load.connections), '-m', String(load.streams));
  args.push('-H', 'content-type: application/grpc', '-H', 'te: trailers', `${url}${path}`);
  const child = spawn('h2load', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  const [code] = await once(child, 'close');
  const requests = /requests: .*?(\d+) done, .*?(\d+) failed, (\d+) errored/.exec(said);
  const mean = /time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)/.exec(said);
  if (code !== 0 || requests === null || mean === null) throw new Error(`h2load said:\n${said}`);
  const done = Number(requests[1]);
  return {
    done,
    perSecond: done / seconds,
    failed: Number(requests[2]) + Number(requests[3]),
    meanMs: Number(mean[1]) * { us: 1e-3, ms: 1, s: 1e3 }[mean[2]],
  };
}

// ── the two systems ─────────────────────────────────────────────────────────────────────────────

function tools(dist) {
  return import(pathToFileURL(join(dist, 'cli/cluster/index.js')).href);
}

/** @param flags for node. */
export async function startQuorate(directory, dist, flags = []) {
  const { ProcessCluster } = await tools(dist);
  const cluster = await ProcessCluster.start({
    command: [process.execPath, ...flags, join(dist, 'cli/main.js'), 'serve'],
    directory: join(directory, 'quorate'),
  });
  const pids = [...cluster.members.values()].map(({ pid }) => pid);
  return { urls: cluster.endpoints, pids, close: () => cluster.close() };
}

async function startEtcd(directory, dist) {
  const { findFreePorts } = await tools(dist);
  const ports = await findFreePorts(6);
  const members = [0, 1, 2].map((i) => ({
    name: `e${i + 1}`,
    client: `http://127.0.0.1:${ports[2 * i]}`,
    peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const processes = members.map(({ name, client, peer }) => {
    const flags = {
      name,
      'data-dir': join(directory, name),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': cluster,
      'quota-backend-bytes': String(8 * 1024 ** 3),
      'log-level': 'error',
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    return spawn('etcd', args, { stdio: 'ignore' });
  });
  const urls = members.map(({ client }) => client);
  const close = async () => {
    const exits = processes.filter(({ exitCode }) => exitCode === null).map((p) => once(p, 'exit'));
    for (const each of processes) each.kill('SIGKILL');
    await Promise.all(exits);
  };
  try {
    await untilServed(urls);
  } catch (error) {
    await close();
    throw error;
  }
  return { urls, close };
}

/** Resolves when all of them know a leader; rejects after 30 seconds. */
async function untilServed(urls) {
  const endMs = Date.now() + 30_000;
  for (;;) {
    const answers = await Promise.allSettled(urls.map((url) => fetch(`${url}/health`)));
    if (answers.every(({ value }) => value?.ok)) return;
    if (Date.now() > endMs) throw new Error('etcd did not start within 30 seconds');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Both have the JSON gateway: where the leader is, and its revision. */
async function statusOf(url) {
  const answer = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' });
  return answer.json();
}

export async function leaderOf({ name, urls }) {
  for (const url of urls) {
    const { header, leader } = await statusOf(url);
    if (header === undefined) throw new Error(`${name} has no JSON gateway: npm run build first`);
    if (header.member_id === leader) return url;
  }
  throw new Error(`no member of ${name} leads`);
}

async function revisionOf(url) {
  return Number((await statusOf(url)).header.revision);
}

/** A gRPC message of fields that are bytes, each below 128 bytes of header. */
function grpc(...fields) {
  const message = Buffer.concat(fields.flatMap(([number, bytes]) => field(number, bytes)));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function field(number, bytes) {
  const length =
    bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return [Buffer.from([(number << 3) | 2, ...length]), bytes];
}

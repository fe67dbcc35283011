/*
 * Records a history of a million calls on three member processes, under `kill -9` of leaders, and
 * has `quorate check` judge it:
 *
 *   npm run bench -- history [--calls 1000000] [--keep FILE] [--seed 1]
 *
 * Twenty clerks get, put, append and compare-and-set over 5,000 keys, 1,000 calls outstanding in
 * all. Calls are written to the file as they end; when the file cannot keep up, no new call begins,
 * so memory is bounded by what is outstanding. Every answer carries a revision. The goal: a million
 * calls judged within 60 s.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { callLine, faultLine, headerLine } from '../dist/checker/index.js';
import { ProcessCluster } from '../dist/cli/cluster/index.js';
import { Clerk, KvError } from '../dist/client/index.js';
import { Prng } from '../dist/lib/index.js';
import { perform } from '../test/kill/perform.mjs';

const CLERKS = 20;
const OUTSTANDING = 50; // of each clerk
const KEYS = 5_000;
const LEADER_KILLS = 3;
/** Lines are written in pieces of so many bytes. */
const PIECE_BYTES = 256 * 1024;

const { values: flags } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== 'history'),
  options: {
    calls: { type: 'string', default: '1000000' },
    keep: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
const CALLS = Number(flags.calls);
const SEED = Number(flags.seed);

const directory = mkdtempSync(join(process.env.QUORATE_BENCH_DIR ?? tmpdir(), 'quorate-history-'));
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const path = flags.keep ?? join(directory, 'history.jsonl');
/** A file of lines that makes its writers wait when it cannot keep up. */
class LineFile {
  #stream;
  #piece = [];
  #pieceBytes = 0;
  #drained = null;

  constructor(name) {
    this.#stream = createWriteStream(name);
  }

  /** Resolves at once, or when there is room again. */
  get room() {
    return this.#drained;
  }

  write(line) {
    this.#piece.push(line);
    this.#pieceBytes += line.length + 1;
    if (this.#pieceBytes >= PIECE_BYTES) this.#flush();
  }

  async close() {
    this.#flush();
    this.#stream.end();
    await once(this.#stream, 'close');
  }

  #flush() {
    const text = `${this.#piece.join('\n')}\n`;
    this.#piece = [];
    this.#pieceBytes = 0;
    if (this.#stream.write(text) || this.#drained !== null) return;
    this.#drained = once(this.#stream, 'drain').then(() => {
      this.#drained = null;
    });
  }
}

async function record() {
  const file = new LineFile(path);
  file.write(headerLine({ title: `seed ${SEED}`, unit: 'us', revision: 1 }));
  const cluster = await ProcessCluster.start({
    command: [process.execPath, main, 'serve'],
    directory,
  });
  const progress = { begun: 0, ended: 0 };
  const outcomes = { ok: 0, notApplied: 0, unknown: 0 };
  const startMs = performance.now();
  try {
    const names = Array.from({ length: CLERKS }, (_, at) => `c${at + 1}`);
    const workers = names.map((name) => runClerk(name, { cluster, file, progress, outcomes }));
    const kills = killLeaders(cluster, file, progress);
    await Promise.all(workers);
    await kills;
  } finally {
    await cluster.close();
  }
  await file.close();
  const seconds = (performance.now() - startMs) / 1_000;
  const rate = Math.round(progress.ended / seconds).toLocaleString('en');
  const rssMiB = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(
    `recorded    ${progress.ended.toLocaleString('en')} calls in ${seconds.toFixed(1)} s ` +
      `(${rate} per s), ${LEADER_KILLS} leaders killed; ${outcomes.unknown} unknown, ` +
      `${outcomes.notApplied} not applied; ${mib(statSync(path).size)} MiB, ` +
      `recorder's memory at most ${rssMiB} MiB`,
  );
}

/** One clerk with `OUTSTANDING` calls at any time, until the whole run has enough. */
async function runClerk(name, { cluster, file, progress, outcomes }) {
  const prng = new Prng(SEED * 1_000 + Number(name.slice(1)));
  const clerk = await Clerk.connect({ endpoints: cluster.endpoints, requestTimeoutMs: 60_000 });
  const known = new Map();
  const worker = async () => {
    while (progress.begun < CALLS) {
      if (file.room !== null) await file.room;
      const operation = nextOperation(prng, known, `${name} ${progress.begun++}`);
      const called = nowUs();
      let outcome = { type: 'unknown' };
      try {
        const { result, revision } = await perform(clerk, operation, {});
        outcome = { type: 'ok', result, revision };
        learn(known, operation, result);
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        if (error.outcome === 'notApplied') outcome = { type: 'notApplied' };
      }
      const call = { clerk: name, session: null, operation, outcome, called, returned: nowUs() };
      file.write(callLine(call));
      outcomes[outcome.type]++;
      progress.ended++;
    }
  };
  await Promise.all(Array.from({ length: OUTSTANDING }, worker));
  await clerk.close();
}

/** 40 % reads, 25 % puts, 20 % appends, 15 % transactions. */
function nextOperation(prng, known, unique) {
  const draw = prng.below(100);
  const key = `key/${prng.below(KEYS)}`;
  if (draw < 40) return { type: 'get', key };
  if (draw < 65) return { type: 'put', key, value: unique };
  if (draw < 85) return { type: 'append', key, value: `<${unique}>` };
  return {
    type: 'txn',
    compares: [{ key, is: 'equal', value: known.get(key) ?? null }],
    success: [{ type: 'put', key, value: unique }],
    failure: [{ type: 'get', key }],
  };
}

/** What a clerk last saw of a key is what its next transaction expects there. */
function learn(known, operation, result) {
  if (operation.type === 'get') known.set(operation.key, result.value);
  else if (operation.type === 'put') known.set(operation.key, operation.value);
  else if (operation.type === 'txn') {
    const { key, value } = operation.success[0];
    known.set(key, result.succeeded ? value : result.results[0].value);
  }
}

/** Kills the leader at even distances of the run, and starts it again. */
async function killLeaders(cluster, file, progress) {
  for (let kill = 1; kill <= LEADER_KILLS; kill++) {
    while (progress.ended < (CALLS * kill) / (LEADER_KILLS + 1)) await sleep(20);
    const from = nowUs();
    const leader = await cluster.leader();
    if (leader === null) continue;
    await cluster.kill(leader);
    await cluster.restart(leader);
    file.write(faultLine({ fault: 'kill', from, to: nowUs(), label: leader }));
  }
}

/** Judges the file in a process of its own, as anybody would; returns its exit code. */
async function judge() {
  const startMs = performance.now();
  const child = spawn(process.execPath, [main, 'check', path], { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  const seconds = (performance.now() - startMs) / 1_000;
  console.log(`judged      in ${seconds.toFixed(1)} s, reading the file included`);
  return code ?? 1;
}

function nowUs() {
  return Math.floor(performance.now() * 1_000);
}

function mib(bytes) {
  return Math.round(bytes / 2 ** 20);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

try {
  await record();
  process.exitCode = await judge();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

/**
 * What a call costs the processor in several builds of this server, side by side: for who changes
 * something on the way of a call. Needs h2load (Debian: nghttp2-client), Linux, and built trees:
 *
 *   git worktree add ../before HEAD~1 && (cd ../before && npm ci && npm run build); npm run build
 *   npm run bench -- builds ../before/dist dist
 *   npm run bench -- builds dist dist:--max-semi-space-size=64     flags for node, behind colons
 *   npm run bench -- builds ../before/dist dist --get --rounds 20 --calls 100000
 *
 * Three members of each build run at the same time; the leader of one and of the next gets the
 * same calls as in `bench -- wire`, 1,000 outstanding, in turn. Printed are the user and system
 * time of all threads, and the ratio to the first. Rates on a busy machine say less than that.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CALLS, h2load, isInstalled, LOADS, leaderOf, startQuorate } from './wire.js';

/** Of /proc/PID/stat, USER_HZ (proc(5)). */
const TICK_US = 10_000;
/** Calls that each has behind it when measuring begins. */
const WARM_UP_CALLS = 40_000;

/** Resolves with an exit code: 2 when something is missing. */
export async function benchBuilds(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      get: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '8' },
      calls: { type: 'string', default: '60000' },
    },
  });
  if (positionals.length === 0 || !isInstalled('h2load')) {
    console.error(
      'bench builds needs h2load in the PATH and names of built trees: bench/builds.js',
    );
    return 2;
  }
  const directory = mkdtempSync(join(process.env.QUORATE_BENCH_DIR ?? tmpdir(), 'quorate-builds-'));
  const [put, get] = CALLS;
  const builds = [];
  try {
    for (const { name, body } of CALLS) writeFileSync(join(directory, `${name}.bin`), body);
    for (const [i, name] of positionals.entries()) {
      const [dist, ...flags] = name.split(':');
      const home = join(directory, String(i));
      const system = await startQuorate(home, resolve(dist), flags);
      builds.push({ name, ...system, us: { user: 0, system: 0 } });
    }
    const run = (build, call, calls) => load(build, { directory, call, calls });
    for (const build of builds) await run(build, put, WARM_UP_CALLS);
    if (values.get) for (const build of builds) await run(build, get, WARM_UP_CALLS);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const build of round % 2 === 0 ? builds : builds.toReversed()) {
        const before = processorUs(build);
        await run(build, values.get ? get : put, Number(values.calls));
        const after = processorUs(build);
        build.us.user += after.user - before.user;
        build.us.system += after.system - before.system;
      }
    }
    print(builds, Number(values.rounds) * Number(values.calls));
  } finally {
    for (const { close } of builds) await close();
    rmSync(directory, { recursive: true, force: true });
  }
  return 0;
}

async function load(build, { directory, call, calls }) {
  const result = await h2load(await leaderOf(build), {
    bodyPath: join(directory, `${call.name}.bin`),
    path: call.path,
    load: LOADS.at(-1),
    calls,
  });
  if (result.failed > 0) throw new Error(`${build.name}: ${result.failed} calls failed`);
}

/** Of all members until now, microseconds. */
function processorUs({ pids }) {
  let user = 0;
  let system = 0;
  for (const pid of pids) {
    // Behind the name, which may hold anything: the fields from the third on.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
    user += Number(fields[11]) * TICK_US;
    system += Number(fields[12]) * TICK_US;
  }
  return { user, system };
}

function print(builds, calls) {
  const total = ({ us }) => us.user + us.system;
  for (const build of builds) {
    const { user, system } = build.us;
    const sums = [user, system, user + system].map((us) => (us / calls).toFixed(1));
    const ratio = (total(build) / total(builds[0])).toFixed(3);
    const text = `${sums[0]} µs user   ${sums[1]} µs system   ${sums[2]} µs a call   ratio ${ratio}`;
    console.log(`${build.name.padEnd(40)} ${text}`);
  }
}

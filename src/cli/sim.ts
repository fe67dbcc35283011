import { Command } from 'commander';
import {
  BUGS,
  type Campaign,
  type Caught,
  type Counters,
  FAULT_KINDS,
  type FaultKind,
  hunt,
  type RunResult,
  runCampaign,
  type SimulateOptions,
  shorten,
  simulate,
} from '../sim/index.ts';
import { EXIT, type ExitCode, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { numberFlag } from './local.ts';

const SEED_MAX = 999_999;
/** Runs that a planted bug may survive. */
const PLANTED_SEEDS_MAX = 1_000;
/** Of what the oracle says about a planted bug. */
const VERDICT_CHARACTERS = 150;
/** Lines of a failed run that are printed. */
const LAST_EVENTS = 40;

const EXAMPLES = `
Runs the server and the client in a virtual world: every delay, loss, crash, pause and disk error
follows from the seed, so a failure is replayed by its number. Each run checks Raft's promises
after every event, heals a random majority, and judges what the clerks were told. Exit code 0 only
if no run failed.

Examples:
  quorate sim --seeds 100            seeds 1 to 100
  quorate sim --minutes 10 --from 5000
  quorate sim --seed 42 --trace      one run, with everything that happens in it
  quorate sim --planted              plants known bugs, and fails unless each is found`;

interface SimFlags {
  readonly seed?: string;
  readonly seeds?: string;
  readonly from?: string;
  readonly minutes?: string;
  readonly members?: string;
  readonly without?: string;
  readonly trace?: true;
  /** Part of a name; true: all. */
  readonly planted?: true | string;
}

/** `quorate sim`. */
export function simCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('sim')
    .summary('look for broken promises in a simulated world')
    .description('Looks for broken promises in a simulated world.')
    .option('--seed <N>', 'run this seed only')
    .option('--seeds <N>', 'run so many seeds (default: 20)')
    .option('--from <N>', 'the first seed (default: 1)')
    .option('--minutes <M>', 'run seeds until the time is over')
    .option('--members <N>', 'members of every cluster, 1 to 7 (default: drawn)')
    .option('--without <faults>', 'leave these classes of faults out, separated by commas')
    .option('--trace', 'with --seed: print everything that happens')
    .option(
      '--planted [name]',
      'plant known bugs one by one: all, or those with this in their name',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SimFlags) => finish(await sim(flags, host)));
}

async function sim(flags: SimFlags, host: Host): Promise<ExitCode> {
  const seed = numberFlag('--seed', flags.seed, { min: 0, max: SEED_MAX });
  const seeds = numberFlag('--seeds', flags.seeds, { min: 1, max: 999_999 });
  const from = numberFlag('--from', flags.from, { min: 0, max: SEED_MAX });
  const minutes = numberFlag('--minutes', flags.minutes, { min: 1, max: 100_000 });
  const members = numberFlag('--members', flags.members, { min: 1, max: 7 });
  if (flags.planted !== undefined) {
    const name = flags.planted === true ? '' : flags.planted;
    return await planted(name, { seedsMax: seeds ?? PLANTED_SEEDS_MAX, host });
  }
  const changes: SimulateOptions = {
    ...(members === null ? {} : { members }),
    ...(flags.without === undefined ? {} : { without: faultKinds(flags.without) }),
  };
  if (seed !== null && flags.trace === true) return await traced(seed, changes, host);
  const startedMs = performance.now();
  const endMs = minutes === null ? null : startedMs + minutes * 60_000;
  const campaign = await runCampaign({
    firstSeed: seed ?? from ?? 1,
    seeds: seed === null ? (seeds ?? (minutes === null ? 20 : null)) : 1,
    isOver: () => host.signal.aborted || (endMs !== null && performance.now() >= endMs),
    onRun: (result) => void host.out(`${runLine(result)}\n`),
    simulation: changes,
  });
  for (const failed of campaign.failures) await explain(failed, { changes, host });
  await host.out(summary(campaign, performance.now() - startedMs));
  if (host.signal.aborted) return EXIT.interrupted;
  return campaign.failures.length + campaign.missed.length === 0 ? EXIT.ok : EXIT.failed;
}

function faultKinds(text: string): FaultKind[] {
  return text.split(',').map((name) => {
    const kind = FAULT_KINDS.find((one) => one === name);
    if (kind !== undefined) return kind;
    throw usageError(`--without: '${name}' is none of ${FAULT_KINDS.join(', ')}`);
  });
}

/** Plants known bugs and says how many seeds it took to find each. */
async function planted(
  name: string,
  { seedsMax, host }: { seedsMax: number; host: Host },
): Promise<ExitCode> {
  const bugs = BUGS.filter((bug) => bug.name.includes(name));
  if (bugs.length === 0) throw usageError(`--planted: no bug has '${name}' in its name`);
  const caught = await hunt({
    bugs,
    seedsMax,
    isOver: () => host.signal.aborted,
    onCaught: (one) => void host.out(`${caughtLine(one)}\n`),
  });
  if (host.signal.aborted) return EXIT.interrupted;
  const seeds = caught.map((one) => one.seeds).sort((a, b) => a - b);
  const missed = caught.filter(({ violation }) => violation === null);
  const median = seeds[Math.floor(seeds.length / 2)] ?? 0;
  const found = `${caught.length - missed.length} of ${caught.length} bugs found`;
  await host.out(`\n${found}; seeds: median ${median}, worst ${seeds.at(-1) ?? 0}\n`);
  return missed.length === 0 ? EXIT.ok : EXIT.failed;
}

function caughtLine({ bug, seeds, violation }: Caught): string {
  const verdict = violation === null ? 'NOT FOUND' : violation.message.slice(0, VERDICT_CHARACTERS);
  return `${String(seeds).padStart(4)} seeds  ${bug.name} | ${verdict}`;
}

async function traced(seed: number, changes: SimulateOptions, host: Host): Promise<ExitCode> {
  let batch: string[] = [];
  const result = await simulate(seed, { ...changes, trace: (line) => batch.push(line) });
  while (batch.length > 0) {
    await host.out(`${batch.slice(0, 10_000).join('\n')}\n`);
    batch = batch.slice(10_000);
  }
  await host.out(`${runLine(result)}\n`);
  return result.failure === null ? EXIT.ok : EXIT.failed;
}

/** Runs a failed seed with the faults it needs, listening: the last events, and how to replay. */
async function explain(
  failed: RunResult,
  { changes, host }: { changes: SimulateOptions; host: Host },
): Promise<void> {
  const { seed } = failed;
  const without = await shorten(failed, changes);
  const last: string[] = [];
  const { plan, failure, virtualMs } = await simulate(seed, {
    ...changes,
    without,
    trace: (line) => {
      last.push(line);
      if (last.length > LAST_EVENTS) last.shift();
    },
  });
  const members = changes.members === undefined ? '' : ` --members ${changes.members}`;
  const fewer = without.length === 0 ? '' : ` --without ${without.join(',')}`;
  const lines = [
    '',
    `seed ${seed} failed at ${(virtualMs / 1000).toFixed(3)} s: ${failure?.message ?? 'not again'}`,
    `faults that it needs: ${plan.faults.map(({ kind }) => kind).join(', ') || 'none'}`,
    ...last,
    `replay: npm run sim -- --seed ${seed}${members}${fewer} --trace`,
  ];
  await host.out(`${lines.join('\n')}\n`);
}

function runLine(result: RunResult): string {
  const { seed, plan, virtualMs, calls, acknowledged, counters, traceHash, failure } = result;
  const faults = counters.total('fault: ');
  const verdict = failure === null ? 'ok' : `FAILED ${failure.message}`;
  return [
    `seed ${seed}`,
    `${plan.members} members`,
    `${(virtualMs / 1000).toFixed(1)} s`,
    `${calls} calls (${acknowledged} acknowledged)`,
    `${faults} faults`,
    traceHash,
    verdict,
  ].join('  ');
}

function summary(campaign: Campaign, realMs: number): string {
  const { runs, virtualMs, calls, counters, failures, missed } = campaign;
  const hours = (virtualMs / 3_600_000).toFixed(2);
  const rate = Math.round(virtualMs / Math.max(1, realMs));
  const lines = [
    '',
    ...counterLines(counters),
    ...missed.map((name) => `    NEVER  ${name}`),
    '',
    `${runs} runs, ${failures.length} failed; ${hours} virtual hours in ` +
      `${(realMs / 1000).toFixed(1)} s (${rate} simulated seconds per second); ${calls} calls`,
  ];
  return `${lines.join('\n')}\n`;
}

function counterLines(counters: Counters): string[] {
  return counters.entries().map(([name, count]) => `${String(count).padStart(9)}  ${name}`);
}

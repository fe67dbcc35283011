import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import {
  BUGS,
  FAULT_KINDS,
  type FaultKind,
  forkRunner,
  hunt,
  type PlanChanges,
  Recording,
  type Report,
  type Runner,
  reportOf,
  runCampaign,
  runHere,
  runPage,
  shorten,
  simulate,
} from '../sim/index.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { numberFlag } from './local.ts';
import {
  CAUGHT_HEAD,
  caughtLine,
  caughtSummary,
  failureLines,
  runLine,
  summary,
} from './sim-words.ts';

const SEED_MAX = 999_999;
/** Seeds when nobody says how many. */
const SEEDS_DEFAULT = 20;
/** Runs that a planted bug may survive. */
const PLANTED_SEEDS_MAX = 1_000;
/** How long the shortening of one failure may take. */
const SHORTEN_MS_MAX = 60_000;
/** Lines of a failed run that are printed. */
const LAST_EVENTS = 40;
/** Failed runs that are shortened; the others can be run by themselves. */
const EXPLAINED_MAX = 5;
const JOBS_MAX = 256;

const EXAMPLES = `
Runs the server and the client in a virtual world: every delay, loss, crash, pause and disk error
follows from the seed, so a failure is replayed by its number. Each run checks Raft's promises
after every event, heals a random majority, and judges what the clerks were told. Exit code 0 only
if no run failed.

Examples:
  quorate sim --seeds 1000           seeds 1 to 1000
  quorate sim --minutes 10 --from 5000
  quorate sim --seed 42 --trace      one run, with everything that happens in it
  quorate sim --seed 42 --html run.html
  quorate sim --planted              plants known bugs, and fails unless each is found`;

interface SimFlags {
  readonly seed?: string;
  readonly seeds?: string;
  readonly from?: string;
  readonly minutes?: string;
  readonly members?: string;
  readonly jobs?: string;
  readonly without?: string;
  readonly only?: string;
  readonly quiet?: true;
  readonly trace?: true;
  readonly html?: string;
  readonly matrix?: true;
  /** Part of a name; true: all. */
  readonly planted?: true | string;
}

/** `quorate sim`. */
export function simCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('sim')
    .summary('look for broken promises in a simulated world')
    .description('Looks for broken promises in a simulated world.')
    .option('--seed <N>', 'run this seed only')
    .option('--seeds <N>', `run so many seeds (default: ${SEEDS_DEFAULT})`)
    .option('--from <N>', 'the first seed (default: 1)')
    .option('--minutes <M>', 'run seeds until the time is over')
    .option('--jobs <N>', 'processes that run seeds side by side (default: one for each core)')
    .option('--members <N>', 'members of every cluster, 1 to 7 (default: drawn)')
    .option('--without <faults>', 'leave these classes of faults out, separated by commas')
    .option('--only <faults>', 'of single faults only these: kill#3,isolate#7')
    .option('--quiet', 'networks without faults of their own')
    .option('--trace', 'with --seed: print everything that happens')
    .option('--html <FILE>', 'with --seed: draw the run, one page that needs nothing else')
    .option('--matrix', 'print which calls were made during which class of faults')
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
  const jobs =
    numberFlag('--jobs', flags.jobs, { min: 1, max: JOBS_MAX }) ?? availableParallelism();
  const changes = changesOf(flags);
  if (seed === null && flags.html !== undefined) throw usageError('--html: draws one run: --seed');
  if (seed !== null && (flags.trace === true || flags.html !== undefined)) {
    return await shown(seed, { changes, flags, host });
  }
  if (flags.planted !== undefined) {
    const name = flags.planted === true ? '' : flags.planted;
    return await planted(name, { seedsMax: seeds ?? PLANTED_SEEDS_MAX, jobs, host });
  }
  const count = seed !== null ? 1 : (seeds ?? (flags.minutes === undefined ? SEEDS_DEFAULT : null));
  return await campaign(flags, { seed, count, jobs: Math.min(jobs, count ?? jobs), changes, host });
}

function changesOf(flags: SimFlags): PlanChanges {
  const members = numberFlag('--members', flags.members, { min: 1, max: 7 });
  return {
    ...(members === null ? {} : { members }),
    ...(flags.without === undefined ? {} : { without: faultKinds(flags.without) }),
    ...(flags.only === undefined ? {} : { only: faultNames(flags.only) }),
    ...(flags.quiet === undefined ? {} : { quiet: true }),
  };
}

function faultKinds(text: string): FaultKind[] {
  return text.split(',').map((name) => {
    const kind = FAULT_KINDS.find((one) => one === name);
    if (kind !== undefined) return kind;
    throw usageError(`--without: '${name}' is none of ${FAULT_KINDS.join(', ')}`);
  });
}

/** Names of single faults; an empty text names none. */
function faultNames(text: string): string[] {
  return text === ''
    ? []
    : text.split(',').map((name) => {
        const [kind, position = '', ...more] = name.split('#');
        const isKnown = FAULT_KINDS.some((one) => one === kind) && /^[1-9]\d*$/.test(position);
        if (isKnown && more.length === 0) return name;
        throw usageError(`--only: '${name}' is no fault such as kill#3`);
      });
}

async function campaign(
  flags: SimFlags,
  run: {
    readonly seed: number | null;
    readonly count: number | null;
    readonly jobs: number;
    readonly changes: PlanChanges;
    readonly host: Host;
  },
): Promise<ExitCode> {
  const { seed, count, jobs, changes, host } = run;
  const from = numberFlag('--from', flags.from, { min: 0, max: SEED_MAX });
  const minutes = numberFlag('--minutes', flags.minutes, { min: 1, max: 100_000 });
  const startedMs = performance.now();
  const endMs = minutes === null ? null : startedMs + minutes * 60_000;
  const result = await withRunners(jobs, (runners) =>
    runCampaign({
      firstSeed: seed ?? from ?? 1,
      seeds: count,
      runners,
      isOver: () => host.signal.aborted || (endMs !== null && performance.now() >= endMs),
      onRun: (report) => void host.out(`${runLine(report)}\n`),
      changes,
    }),
  );
  const realMs = performance.now() - startedMs;
  for (const failed of result.failures.slice(0, EXPLAINED_MAX)) {
    await explain(failed, { changes, host });
  }
  await host.out(summary(result, { realMs, jobs }));
  if (flags.matrix === true) await host.out(`\n${result.matrix.toMarkdown().join('\n')}\n`);
  if (host.signal.aborted) return EXIT.interrupted;
  return result.failures.length + result.missed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** One job runs in this process, several in one of their own each. */
async function withRunners<T>(
  jobs: number,
  work: (runners: readonly Runner[]) => Promise<T>,
): Promise<T> {
  const runners = jobs === 1 ? [runHere] : Array.from({ length: jobs }, () => forkRunner());
  try {
    return await work(runners);
  } finally {
    for (const runner of runners) runner.close();
  }
}

/** Plants known bugs and says how many seeds it took to find each. */
async function planted(
  name: string,
  { seedsMax, jobs, host }: { seedsMax: number; jobs: number; host: Host },
): Promise<ExitCode> {
  const bugs = BUGS.filter((bug) => bug.name.includes(name));
  if (bugs.length === 0) throw usageError(`--planted: no bug has '${name}' in its name`);
  await host.out(CAUGHT_HEAD);
  const caught = await withRunners(Math.min(jobs, bugs.length), (runners) =>
    hunt({
      bugs,
      seedsMax,
      runners,
      isOver: () => host.signal.aborted,
      onCaught: (one) => void host.out(`${caughtLine(one)}\n`),
    }),
  );
  if (host.signal.aborted) return EXIT.interrupted;
  await host.out(caughtSummary(caught));
  return caught.every(({ violation }) => violation !== null) ? EXIT.ok : EXIT.failed;
}

/** One run for the eye: its trace, its picture, or both. */
async function shown(
  seed: number,
  { changes, flags, host }: { changes: PlanChanges; flags: SimFlags; host: Host },
): Promise<ExitCode> {
  const recording = flags.html === undefined ? null : new Recording();
  let batch: string[] = [];
  const result = await simulate(seed, {
    ...changes,
    ...(flags.trace === true ? { trace: (line: string) => batch.push(line) } : {}),
    ...(recording === null ? {} : { recording }),
  });
  while (batch.length > 0) {
    await host.out(`${batch.slice(0, 10_000).join('\n')}\n`);
    batch = batch.slice(10_000);
  }
  const report = reportOf(result);
  await host.out(`${runLine(report)}\n`);
  if (flags.html !== undefined && recording !== null) {
    await write(flags.html, runPage(result, recording));
  }
  return result.failure === null ? EXIT.ok : EXIT.failed;
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (cause) {
    throw new CliError(EXIT.usage, `--html: ${oneLine(path)}: ${reasonOf(cause)}`, { cause });
  }
}

/** Runs a failed seed with the faults it needs, listening: the last events, and how to replay. */
async function explain(
  { seed }: Report,
  { changes, host }: { changes: PlanChanges; host: Host },
): Promise<void> {
  const failed = await simulate(seed, changes);
  const found = failed.faults.length;
  const endMs = performance.now() + SHORTEN_MS_MAX;
  const isOver = (): boolean => host.signal.aborted || performance.now() >= endMs;
  const shortest = await shorten(failed, changes, isOver);
  const last: string[] = [];
  const result = await simulate(seed, {
    ...shortest.changes,
    trace: (line) => {
      last.push(line);
      if (last.length > LAST_EVENTS) last.shift();
    },
  });
  const replay = flagsOf(shortest.changes);
  await host.out(`${failureLines(result, { found, last, replay }).join('\n')}\n`);
}

/** The flags that make these changes. */
function flagsOf({ members, without, only, quiet }: PlanChanges): string {
  return [
    members === undefined ? '' : ` --members ${members}`,
    without === undefined ? '' : ` --without ${without.join(',')}`,
    only === undefined ? '' : ` --only '${only.join(',')}'`,
    quiet === true ? ' --quiet' : '',
  ].join('');
}

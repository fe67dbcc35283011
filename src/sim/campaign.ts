import { Counters } from './counters.ts';
import { Matrix } from './matrix.ts';
import { FAULT_KINDS, type PlanChanges } from './plan.ts';
import type { Report, Runner } from './runner.ts';

/** One run in so many is done twice, and the first always. */
const TWICE_EVERY = 100;

/** A campaign of so many runs must have reached everything below. */
const REACHES_ALL_AFTER = 200;
/** One of so many must have tried every call during every class of faults. */
const FILLS_MATRIX_AFTER = 1_000;

/** Without these a campaign has shown less than it seems to. */
export const MUST_HAPPEN: readonly string[] = [
  ...FAULT_KINDS.map((kind) => `fault: ${kind}`),
  'fault: crash at a disk step',
  'fault: crash right before a commit',
  'fault: crash right after a commit',
  'fault: disk rolled back',
  'sometimes: answered with the kept answer',
  'sometimes: as many requests on a stream as it takes',
  'sometimes: call ended DEADLINE_NOT_APPLIED',
  'sometimes: call ended DEADLINE_UNKNOWN',
  'sometimes: call ended SESSION_EXPIRED',
  'sometimes: call ended SESSION_FENCED',
  'sometimes: call ended SESSION_LOST_UNKNOWN',
  'sometimes: command passed on',
  'sometimes: command twice in the log',
  'sometimes: crash between snapshot and log',
  'sometimes: crash while a snapshot arrives',
  'sometimes: damage found',
  'sometimes: damaged state given up',
  'sometimes: etcd client gave up',
  'sometimes: history compacted',
  'sometimes: laggard caught up by the log alone',
  'sometimes: leader elected',
  'sometimes: leader with a stalled disk stepped down',
  'sometimes: log cut',
  'sometimes: log segment full',
  'sometimes: member found its directory empty',
  'sometimes: member rejoined',
  'sometimes: member stopped because of its disk',
  'sometimes: message outlived its receiver',
  'sometimes: power cut during a write',
  'sometimes: read across a change of leader',
  'sometimes: revision told in several answers',
  'sometimes: second snapshot during one',
  'sometimes: second snapshot mid-install',
  'sometimes: rolled-back member caught up',
  'sometimes: rolled-back member stopped',
  'sometimes: seq skipped',
  'sometimes: session ended, and another one went on',
  'sometimes: session resumed',
  'sometimes: snapshot installed',
  'sometimes: snapshot installed in a partition',
  'sometimes: snapshot sent',
  'sometimes: started from the state, with nothing in the log',
  'sometimes: torn tail cut off',
  'sometimes: uncommitted entries replaced',
  'sometimes: watch across a change of its member',
  'sometimes: watch across a change of leader',
  'sometimes: watch across a snapshot installed where it asks',
  'sometimes: watch begun in the future',
  'sometimes: watch begun in what was compacted',
  'sometimes: watch gone on with by another clerk',
  'sometimes: watch got a full page',
  'sometimes: watch left while it waited',
  'sometimes: watch overtaken by what was compacted',
  'sometimes: watch read slowly',
  'sometimes: watch told that there is no news',
];

/** Which seeds to run, and whom to tell. */
export interface CampaignOptions {
  readonly firstSeed: number;
  /** null: until `isOver` says so. */
  readonly seeds: number | null;
  /** Make runs side by side; at least one. */
  readonly runners: readonly Runner[];
  /** Asked before each run: whether the campaign is over. */
  readonly isOver: () => boolean;
  /** After each run, in the order of the seeds. */
  readonly onRun: (report: Report) => void;
  readonly changes?: PlanChanges;
}

/** What a campaign has shown. */
export interface Campaign {
  readonly runs: number;
  readonly virtualMs: number;
  /** Processor time of all runs. */
  readonly cpuMs: number;
  readonly calls: number;
  readonly counters: Counters;
  readonly matrix: Matrix;
  readonly failures: readonly Report[];
  /** What had to happen in so many runs and did not. */
  readonly missed: readonly string[];
}

/** Runs seeds one after the other, as many at a time as there are runners. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { firstSeed, seeds, runners, isOver, onRun, changes = {} } = options;
  const sum = new Sum(firstSeed, onRun);
  let begun = 0;
  const work = async (runner: Runner): Promise<void> => {
    while ((seeds === null || begun < seeds) && !isOver()) {
      const task = { seed: firstSeed + begun, changes, bug: null };
      const twice = begun++ % TWICE_EVERY === 0;
      sum.add(await runner.run({ ...task, twice }));
    }
  };
  await Promise.all(runners.map(work));
  // Who asks for a special world need not see everything.
  const isPlain = Object.keys(changes).length === 0;
  return { ...sum.total(), missed: isPlain ? missedBy(sum) : [] };
}

/** Adds reports in the order of their seeds. */
class Sum {
  readonly counters = new Counters();
  readonly matrix = new Matrix();
  runs = 0;
  readonly #onRun: (report: Report) => void;
  readonly #failures: Report[] = [];
  /** Reports that came before their turn, by seed. */
  readonly #early = new Map<number, Report>();
  #nextSeed: number;
  #virtualMs = 0;
  #cpuMs = 0;
  #calls = 0;

  constructor(firstSeed: number, onRun: (report: Report) => void) {
    this.#nextSeed = firstSeed;
    this.#onRun = onRun;
  }

  add(report: Report): void {
    this.#early.set(report.seed, report);
    for (;;) {
      const next = this.#early.get(this.#nextSeed);
      if (next === undefined) return;
      this.#early.delete(this.#nextSeed++);
      this.#count(next);
    }
  }

  total(): Omit<Campaign, 'missed'> {
    return {
      runs: this.runs,
      virtualMs: this.#virtualMs,
      cpuMs: this.#cpuMs,
      calls: this.#calls,
      counters: this.counters,
      matrix: this.matrix,
      failures: this.#failures,
    };
  }

  #count(report: Report): void {
    this.runs++;
    this.#virtualMs += report.virtualMs;
    this.#cpuMs += report.cpuMs;
    this.#calls += report.calls;
    for (const [name, count] of report.counters) this.counters.add(name, count);
    this.matrix.addAll(report.matrix);
    if (report.failure !== null) this.#failures.push(report);
    this.#onRun(report);
  }
}

function missedBy({ runs, counters, matrix }: Sum): string[] {
  return [
    ...(runs < REACHES_ALL_AFTER ? [] : neverHappened(counters)),
    ...(runs < FILLS_MATRIX_AFTER ? [] : matrix.empty()),
  ];
}

/** Which of `MUST_HAPPEN` stayed at zero. */
export function neverHappened(counters: Counters): string[] {
  return MUST_HAPPEN.filter((name) => counters.get(name) === 0);
}

import { Counters } from './counters.ts';
import { FAULT_KINDS } from './plan.ts';
import { type RunResult, type SimulateOptions, simulate } from './simulate.ts';

/** One run in so many is done twice, and the first always. */
const TWICE_EVERY = 100;

/** A campaign of so many runs must have reached everything below. */
const REACHES_ALL_AFTER = 200;

/** Without these a campaign has shown less than it seems to. */
export const MUST_HAPPEN: readonly string[] = [
  ...FAULT_KINDS.map((kind) => `fault: ${kind}`),
  'fault: crash at a disk step',
  'sometimes: call ended DEADLINE_NOT_APPLIED',
  'sometimes: call ended DEADLINE_UNKNOWN',
  'sometimes: call ended SESSION_FENCED',
  'sometimes: call ended SESSION_LOST_UNKNOWN',
  'sometimes: command twice in the log',
  'sometimes: damage found',
  'sometimes: leader elected',
  'sometimes: leader with a stalled disk stepped down',
  'sometimes: log segment full',
  'sometimes: member stopped because of its disk',
  'sometimes: message outlived its receiver',
  'sometimes: power cut during a write',
  'sometimes: seq skipped',
  'sometimes: torn tail cut off',
  'sometimes: uncommitted entries replaced',
];

/** Which seeds to run, and whom to tell. */
export interface CampaignOptions {
  readonly firstSeed: number;
  /** null: until `until` says so. */
  readonly seeds: number | null;
  /** Asked before each run: whether the campaign is over. */
  readonly isOver: () => boolean;
  /** After each run. */
  readonly onRun: (result: RunResult) => void;
  readonly simulation?: SimulateOptions;
}

/** What a campaign has shown. */
export interface Campaign {
  readonly runs: number;
  readonly virtualMs: number;
  readonly calls: number;
  readonly counters: Counters;
  readonly failures: readonly RunResult[];
  /** What had to happen in so many runs and did not. */
  readonly missed: readonly string[];
}

/** Runs seeds one after the other. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { firstSeed, seeds, isOver, onRun, simulation = {} } = options;
  const counters = new Counters();
  const failures: RunResult[] = [];
  let runs = 0;
  let virtualMs = 0;
  let calls = 0;
  while ((seeds === null || runs < seeds) && !isOver()) {
    const seed = firstSeed + runs;
    let result = await simulate(seed, simulation);
    virtualMs += result.virtualMs;
    if (runs % TWICE_EVERY === 0) {
      const again = await simulate(seed, simulation);
      virtualMs += again.virtualMs;
      counters.add('seeds run twice');
      result = result.failure === null ? compared(result, again) : result;
    }
    runs++;
    calls += result.calls;
    counters.addAll(result.counters);
    if (result.failure !== null) failures.push(result);
    onRun(result);
  }
  // Who asks for a special world need not see everything.
  const isFull = runs >= REACHES_ALL_AFTER && Object.keys(simulation).length === 0;
  const missed = isFull ? neverHappened(counters) : [];
  return { runs, virtualMs, calls, counters, failures, missed };
}

/** Which of `MUST_HAPPEN` stayed at zero. */
export function neverHappened(counters: Counters): string[] {
  return MUST_HAPPEN.filter((name) => counters.get(name) === 0);
}

/** The same seed must yield the same world. */
function compared(result: RunResult, again: RunResult): RunResult {
  if (result.traceHash === again.traceHash) return result;
  const what = `trace hash ${result.traceHash}, then ${again.traceHash}`;
  return { ...result, failure: new Error(`not deterministic: ${what}`) };
}

import { Counters } from './counters.ts';
import { type RunResult, type SimulateOptions, simulate } from './simulate.ts';

/** One run in so many is done twice, and the first always. */
const TWICE_EVERY = 100;

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
  return { runs, virtualMs, calls, counters, failures };
}

/** The same seed must yield the same world. */
function compared(result: RunResult, again: RunResult): RunResult {
  if (result.traceHash === again.traceHash) return result;
  const what = `trace hash ${result.traceHash}, then ${again.traceHash}`;
  return { ...result, failure: new Error(`not deterministic: ${what}`) };
}

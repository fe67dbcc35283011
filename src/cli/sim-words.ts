import type { Campaign, Caught, Counters, FaultRecord, Report, RunResult } from '../sim/index.ts';

/** Of what is said about a planted bug. */
const VERDICT_CHARACTERS = 120;

/** One line for a run. */
export function runLine(report: Report): string {
  const { seed, members, virtualMs, calls, acknowledged, faults, traceHash, failure } = report;
  return [
    `seed ${seed}`,
    `${members} members`,
    `${(virtualMs / 1000).toFixed(1)} s`,
    `${calls} calls (${acknowledged} acknowledged)`,
    `${faults} faults`,
    traceHash,
    failure === null ? 'ok' : `FAILED ${failure.message}`,
  ].join('  ');
}

/** What a failure needs, and how it ended. */
export function failureLines(
  { seed, virtualMs, failure, faults, plan }: RunResult,
  { found, last, replay }: { found: number; last: readonly string[]; replay: string },
): string[] {
  const quality = plan.quiet ? 'none' : 'those of the plan';
  return [
    '',
    `seed ${seed} failed at ${seconds(virtualMs)}: ${failure?.message ?? 'not again'}`,
    `faults that it needs, ${faults.length} of ${found} (of networks themselves: ${quality}):`,
    ...faults.map(faultLine),
    'the last events:',
    ...last,
    `replay: npm run sim -- --seed ${seed}${replay} --trace`,
  ];
}

function faultLine({ id, atMs, what }: FaultRecord): string {
  return `${seconds(atMs).padStart(12)}  ${id.padEnd(16)} ${what}`;
}

/** How the hunt for a planted bug ended. */
export function caughtLine({ bug, seeds, violation }: Caught): string {
  const mix = bug.run?.faults === undefined ? 'ordinary' : 'picked';
  const by = violation === null ? '' : violation.byAssertion ? 'assertion' : 'oracle';
  const verdict = violation === null ? 'NOT FOUND' : violation.message.slice(0, VERDICT_CHARACTERS);
  return [
    String(seeds).padStart(4),
    mix.padEnd(8),
    by.padEnd(9),
    `${bug.name} | ${verdict.replaceAll('\n', ' ')}`,
  ].join('  ');
}

export const CAUGHT_HEAD = 'seeds faults    found by   bug | verdict\n';

/** What all planted bugs together have shown. */
export function caughtSummary(caught: readonly Caught[]): string {
  const seeds = caught.map((one) => one.seeds).sort((a, b) => a - b);
  const found = caught.filter(({ violation }) => violation !== null);
  const asserted = found.filter(({ violation }) => violation?.byAssertion === true).length;
  const picked = found.filter(({ bug }) => bug.run?.faults !== undefined).length;
  const median = seeds[Math.floor(seeds.length / 2)] ?? 0;
  return (
    `\n${found.length} of ${caught.length} bugs found, ${asserted} of them by an assertion, ` +
    `${picked} with picked faults; seeds: median ${median}, worst ${seeds.at(-1) ?? 0}\n`
  );
}

/** What a campaign has shown, and how fast. */
export function summary(campaign: Campaign, { realMs, jobs }: { realMs: number; jobs: number }) {
  const { runs, virtualMs, cpuMs, calls, counters, failures, missed } = campaign;
  const hours = (virtualMs / 3_600_000).toFixed(2);
  const rate = Math.round(virtualMs / Math.max(1, realMs));
  const perCore = Math.round(virtualMs / Math.max(1, cpuMs));
  const lines = [
    '',
    ...counterLines(counters),
    ...missed.map((name) => `    NEVER  ${name}`),
    '',
    `${runs} runs, ${failures.length} failed; ${hours} virtual hours in ` +
      `${(realMs / 1000).toFixed(1)} s with ${jobs} jobs (${rate} simulated seconds per second, ` +
      `${perCore} per second of a core); ${calls} calls`,
  ];
  return `${lines.join('\n')}\n`;
}

function counterLines(counters: Counters): string[] {
  return counters.entries().map(([name, count]) => `${String(count).padStart(9)}  ${name}`);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(3)} s`;
}

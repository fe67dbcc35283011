import { FAULT_KINDS } from '../plan.ts';
import type { MemberSpan, RecordedCall, Recording } from '../recording.ts';
import type { RunResult } from '../simulate.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

/** A bar of a lane, milliseconds of world time. */
interface Bar {
  readonly from: number;
  readonly to: number;
  /** It had no end within the run. */
  readonly open: boolean;
  /** Which of the style's colours. */
  readonly color: string;
  /** Within the bar, if there is room. */
  readonly short: string;
  /** For whoever points at it. */
  readonly head: string;
}

/** A lane; its bars lie in rows that do not overlap. */
interface Lane {
  readonly name: string;
  readonly kind: 'fault' | 'member' | 'clerk';
  readonly rows: number;
  readonly bars: readonly (Bar & { readonly row: number })[];
}

/**
 * Draws a run as one HTML page that needs nothing else: faults by their classes, what each member
 * was in which term, and the calls of each clerk.
 */
export function runPage(result: RunResult, recording: Recording): string {
  const { seed, plan, virtualMs, failure, traceHash } = result;
  const verdict = failure === null ? 'ok' : 'failed';
  const about = `${plan.members} members, ${(virtualMs / 1000).toFixed(1)} s, trace ${traceHash}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>seed ${seed}: ${verdict}</title>
<style>${STYLE}</style>
</head>
<body class="${verdict}">
<header>
<h1>seed ${seed}: <b>${verdict}</b></h1>
<p>${markup(failure?.message ?? 'no promise was broken')}</p>
<p>${about}; replay: npm run sim -- --seed ${seed} --trace</p>
</header>
<div class="tools">
<span><button id="out" aria-label="zoom out">−</button>
<button id="in" aria-label="zoom in">+</button>
<button id="all">Whole run</button></span>
<span class="legend">${LEGEND}</span>
</div>
<div id="chart"><div id="names"></div></div>
<div id="tip" role="tooltip"></div>
<script id="data" type="application/json">${scriptJson(pageData(result, recording))}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

const LEGEND = [
  ['leader', 'leader'],
  ['candidate', 'candidate'],
  ['follower', 'follower'],
  ['down', 'down'],
  ['acknowledged', 'acknowledged'],
  ['notApplied', 'not applied'],
  ['unknown', 'outcome unknown'],
  ['fault', 'fault'],
]
  .map(([color, text]) => `<span><i style="background:var(--${color})"></i>${text}</span>`)
  .join('');

function pageData({ faults, virtualMs: end }: RunResult, { spans, calls }: Recording): object {
  const lanes: Lane[] = [];
  for (const kind of FAULT_KINDS) {
    const bars = faults
      .filter((fault) => fault.kind === kind)
      .map(({ id, atMs, untilMs, what }): Bar => {
        const to = Math.min(untilMs, end);
        const head = `${id}: ${what}`;
        return { from: atMs, to, open: untilMs > end, color: 'fault', short: what, head };
      });
    if (bars.length > 0) lanes.push(laneOf(kind, 'fault', bars));
  }
  for (const [member, own] of grouped(spans, (span) => span.member)) {
    lanes.push(laneOf(member, 'member', memberBars(own, end)));
  }
  for (const [clerk, own] of grouped(calls, (call) => call.clerk)) {
    lanes.push(
      laneOf(
        clerk,
        'clerk',
        own.map((call) => callBar(call, end)),
      ),
    );
  }
  return { lanes, end };
}

function memberBars(spans: readonly MemberSpan[], end: number): Bar[] {
  return spans.map(({ role, term, fromMs }, i) => {
    const to = spans[i + 1]?.fromMs ?? end;
    const head = term === null ? role : `${role} in term ${term}`;
    const short = term === null ? role : `${role} ${term}`;
    const color = role === 'preCandidate' ? 'candidate' : role;
    return { from: fromMs, to, open: i === spans.length - 1, color, short, head };
  });
}

function callBar({ what, fromMs, toMs, ending }: RecordedCall, end: number): Bar {
  const words = { acknowledged: 'acknowledged', notApplied: 'not applied', unknown: 'unknown' };
  const head = `${what}: ${toMs === null ? 'no end' : words[ending]}`;
  const span = { from: fromMs, to: toMs ?? end, open: toMs === null };
  return { ...span, color: ending, short: what, head };
}

/** Puts each bar into the first row that is free. */
function laneOf(name: string, kind: Lane['kind'], bars: readonly Bar[]): Lane {
  const ends: number[] = [];
  const placed = bars.map((bar) => {
    const free = ends.findIndex((rowEnd) => rowEnd <= bar.from);
    const row = free < 0 ? ends.length : free;
    ends[row] = bar.to;
    return { ...bar, row };
  });
  return { name, kind, rows: ends.length, bars: placed };
}

/** By name, in the order of the names. */
function grouped<T>(items: readonly T[], nameOf: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return [...groups].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
}

function markup(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** JSON that cannot end the script element it stands in. */
function scriptJson(data: object): string {
  return JSON.stringify(data).replaceAll('<', '\\u003c');
}

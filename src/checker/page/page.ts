import type { History, Operation, RecordedCall } from '../history.ts';
import type { Judgement } from '../judge.ts';
import { allKeys } from '../objects.ts';
import { judgementLines, operationWords, outcomeWords, startOf, timeWords } from '../words.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

/**
 * Draws a judged history as one HTML page that needs nothing else: a lane for each clerk, a bar
 * from call to return, faults as bands, a dot where each call took effect if all is well, otherwise
 * the contradiction marked and in view.
 */
export function historyPage(history: History, judgement: Judgement): string {
  const { type, contradiction } = judgement;
  const [verdict = '', reason = ''] = judgementLines(judgement, history);
  const word = verdict.slice(0, verdict.indexOf(':'));
  const rest = verdict.slice(word.length);
  const title = history.header.title === '' ? 'A recorded history' : history.header.title;
  const story = type === 'ok' ? '' : storyOf(reason, history, contradiction);
  const find =
    contradiction.length === 0 ? '' : '<button id="find">Show the contradiction</button>';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${markup(`${word}: ${title}`)}</title>
<style>${STYLE}</style>
</head>
<body class="${type}">
<header>
<h1><span class="mark"></span><b>${markup(word)}</b>${markup(rest)}</h1>
<p>${markup(title)}</p>
${story}</header>
<div class="tools">
<label>Key <select id="key"><option value="">all keys</option></select></label>
<span><button id="out" aria-label="zoom out">−</button>
<button id="in" aria-label="zoom in">+</button>
<button id="all">Whole history</button> ${find}</span>
<span class="legend">${LEGEND}${type === 'ok' ? '<span>&bull; took effect</span>' : ''}</span>
</div>
<div id="chart"><div id="names"></div></div>
<div id="tip" role="tooltip"></div>
<script id="data" type="application/json">${scriptJson(pageData(history, judgement))}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

const LEGEND = [
  ['read', 'read'],
  ['write', 'write'],
  ['txn', 'transaction'],
  ['open', 'outcome unknown'],
  ['refused', 'not applied'],
  ['fault', 'fault'],
]
  .map(([color, text]) => `<span><i style="background:var(--${color})"></i>${text}</span>`)
  .join('');

function storyOf(reason: string, history: History, contradiction: readonly number[]): string {
  const items = contradiction.map((index) => {
    const call = history.calls[index] as RecordedCall;
    const words = `${call.clerk}: ${operationWords(call.operation)} → ${outcomeWords(call)}`;
    const time = timeWords(call.called, history);
    return `<li><button data-call="${index}">${markup(words)} <small>${time}</small></button></li>`;
  });
  const list = items.length === 0 ? '' : `<ol>${items.join('')}</ol>`;
  return `<div class="story">${markup(reason)}${list}</div>\n`;
}

/** What the script draws; times count from the first call. */
function pageData(history: History, judgement: Judgement): object {
  const { calls, faults, header } = history;
  const start = startOf(history);
  const since = (time: number | null): number | null => (time === null ? null : time - start);
  let end = 1;
  for (const { called, returned } of calls) end = Math.max(end, (returned ?? called) - start);
  for (const { from, to } of faults) end = Math.max(end, (to ?? from) - start);
  const points = effectTimes(calls, judgement.order);
  const drawn = calls.map((call, id) => ({
    id,
    clerk: call.clerk,
    who:
      call.session === null
        ? call.clerk
        : `${call.clerk}, ${call.session.name} #${call.session.seq}`,
    keys: allKeys([call]),
    kind: kindOf(call.operation),
    words: operationWords(call.operation),
    told: outcomeWords(call),
    short: shortWords(call),
    open: call.outcome.type === 'unknown',
    refused: call.outcome.type === 'notApplied',
    from: call.called - start,
    to: since(call.returned),
    point: since(points.get(id) ?? null),
  }));
  return {
    calls: drawn.sort((a, b) => a.from - b.from),
    clerks: [...new Set(calls.map((call) => call.clerk))].sort((a, b) =>
      a.localeCompare(b, 'en', { numeric: true }),
    ),
    keys: allKeys(calls),
    key: judgement.key,
    faults: faults.map((band) => ({ ...band, from: band.from - start, to: since(band.to) })),
    contradiction: judgement.contradiction,
    end,
    perMs: header.unit === 'ns' ? 1e6 : 1e3,
  };
}

/**
 * A moment for each call of an order at which it can have taken effect: half way between the
 * earliest and the latest that the calls before and behind it on the same keys allow.
 */
function effectTimes(
  calls: readonly RecordedCall[],
  order: readonly number[],
): ReadonlyMap<number, number> {
  const earliest = new Map<number, number>();
  const bounds = new Map<string, number>();
  for (const index of order) {
    const call = calls[index] as RecordedCall;
    const keys = allKeys([call]);
    const time = Math.max(call.called, ...keys.map((key) => bounds.get(key) ?? call.called));
    for (const key of keys) bounds.set(key, time);
    earliest.set(index, time);
  }
  bounds.clear();
  const times = new Map<number, number>();
  for (const index of [...order].reverse()) {
    const call = calls[index] as RecordedCall;
    const keys = allKeys([call]);
    const first = earliest.get(index) ?? call.called;
    const end = call.outcome.type === 'ok' ? (call.returned ?? first) : first;
    const last = Math.min(
      Math.max(first, end),
      ...keys.map((key) => bounds.get(key) ?? Number.MAX_VALUE),
    );
    for (const key of keys) bounds.set(key, last);
    times.set(index, (first + last) / 2);
  }
  return times;
}

function kindOf({ type }: Operation): 'read' | 'write' | 'txn' {
  if (type === 'txn') return 'txn';
  return type === 'get' || type === 'range' ? 'read' : 'write';
}

/** What fits into a bar: a read shows what it saw, a write what it wrote. */
function shortWords({ operation, outcome }: RecordedCall): string {
  switch (operation.type) {
    case 'get': {
      if (outcome.type !== 'ok' || outcome.result.type !== 'get') return 'get ?';
      const { value } = outcome.result;
      if (value === null) return 'get: absent';
      return `get ${typeof value === 'string' ? ending(value) : `${value.length} characters`}`;
    }
    case 'put':
      return `put ${ending(operation.value)}`;
    case 'append':
      return `+ ${ending(operation.value)}`;
    default:
      return operation.type;
  }
}

function ending(value: string): string {
  return value.length <= 24 ? value : `…${value.slice(-23)}`;
}

function markup(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** JSON that cannot end the script element it stands in. */
function scriptJson(data: object): string {
  return JSON.stringify(data).replaceAll('<', '\\u003c');
}

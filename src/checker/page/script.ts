/**
 * The page's behaviour, in plain JavaScript for the browser. It draws only what is in view, so that
 * a history of many thousand calls scrolls smoothly. Texts become text nodes, never markup.
 */
export const SCRIPT = `
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const NS = 'http://www.w3.org/2000/svg';
const LEFT = 130,
  LANE = 30,
  BAR = 18,
  BAND = 18,
  AXIS = 26,
  RIGHT = 60;
const chart = document.getElementById('chart'),
  names = document.getElementById('names');
const keyBox = document.getElementById('key'),
  tip = document.getElementById('tip');
const bad = new Set(data.contradiction);
let shown = [],
  rows = [],
  fit = 1,
  zoom = 1,
  top0 = 0,
  pending = false;

function el(name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function scale() {
  return fit * zoom;
}
function x(time) {
  return LEFT + time * scale();
}
function endOf(call) {
  return call.open || call.to === null ? data.end : call.to;
}

/* Calls of a clerk that overlap get rows of their own. */
function layOut() {
  const key = keyBox.value;
  shown = data.calls.filter((call) => key === '' || call.keys.includes(key));
  const lanes = new Map(data.clerks.map((clerk) => [clerk, []]));
  rows = [];
  for (const call of shown) {
    const lane = lanes.get(call.clerk);
    const visualEnd = call.to === null ? data.end : call.to;
    let row = lane.findIndex((end) => end <= call.from);
    if (row < 0) row = lane.push(0) - 1;
    lane[row] = visualEnd;
    call.row = row;
  }
  top0 = AXIS + data.faults.length * BAND + 6;
  let y = top0;
  for (const [clerk, lane] of lanes) {
    if (lane.length === 0) continue;
    rows.push({ clerk, y, height: lane.length * LANE });
    y += lane.length * LANE;
  }
  const start = new Map(rows.map((row) => [row.clerk, row.y]));
  for (const call of shown) call.y = start.get(call.clerk) + call.row * LANE;
  chart.height0 = y + 10;
}

function drawNames() {
  names.textContent = '';
  const add = (text, y, height, kind) => {
    const div = document.createElement('div');
    div.textContent = text;
    div.title = text;
    div.className = kind;
    div.style.cssText =
      'top:' + y + 'px;height:' + height + 'px;line-height:' + Math.min(height, LANE) + 'px';
    names.append(div);
  };
  add('', 0, chart.height0, '');
  data.faults.forEach((fault, i) => add(fault.fault, AXIS + i * BAND, BAND, 'band'));
  for (const row of rows) add(row.clerk, row.y, row.height, '');
}

function niceStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
}
function timeText(time) {
  const ms = time / data.perMs;
  if (data.end / data.perMs >= 10000)
    return (ms / 1000).toFixed(scale() * data.perMs > 0.5 ? 3 : 1) + ' s';
  return ms.toLocaleString('en', { maximumFractionDigits: 3 }) + ' ms';
}

function draw() {
  pending = false;
  const width = Math.max(chart.clientWidth, x(data.end) + RIGHT);
  const svg = el('svg', { width, height: chart.height0 });
  const from = (chart.scrollLeft - 200) / scale();
  const to = (chart.scrollLeft + chart.clientWidth - LEFT + 200) / scale();
  rows.forEach((row, i) => {
    if (i % 2 === 0)
      svg.append(el('rect', { x: 0, y: row.y, width, height: row.height, fill: 'var(--lane)' }));
  });
  drawAxis(svg, from, to);
  drawFaults(svg, from, to);
  let drawn = 0;
  for (const call of shown) {
    if (call.from > to || endOf(call) < from) continue;
    if (++drawn > 6000 && !bad.has(call.id)) continue;
    drawCall(svg, call);
  }
  const old = chart.querySelector('svg');
  if (old) old.replaceWith(svg);
  else chart.append(svg);
}

function drawAxis(svg, from, to) {
  const step = niceStep(110 / scale());
  for (
    let time = Math.max(0, Math.floor(from / step) * step);
    time <= Math.min(to, data.end);
    time += step
  ) {
    svg.append(
      el('line', {
        x1: x(time),
        x2: x(time),
        y1: AXIS - 6,
        y2: chart.height0,
        stroke: 'var(--line)',
      }),
    );
    svg.append(el('text', { x: x(time) + 4, y: 15, class: 'soft' }, timeText(time)));
  }
}

function drawFaults(svg, from, to) {
  data.faults.forEach((fault, i) => {
    const end = fault.to === null ? data.end : fault.to;
    if (fault.from > to || end < from) return;
    const y = AXIS + i * BAND,
      wide = Math.max(2, (end - fault.from) * scale());
    svg.append(
      el('rect', {
        x: x(fault.from),
        y,
        width: wide,
        height: chart.height0 - y,
        fill: 'var(--fault)',
        opacity: 0.1,
      }),
    );
    const bar = el('rect', {
      x: x(fault.from),
      y: y + 3,
      width: wide,
      height: BAND - 6,
      rx: 3,
      fill: 'var(--fault)',
      opacity: 0.85,
    });
    tell(
      bar,
      fault.label,
      fault.fault,
      timeText(fault.from) + ' to ' + (fault.to === null ? 'the end' : timeText(fault.to)),
    );
    svg.append(bar);
    const label = el(
      'text',
      { x: x(Math.max(fault.from, from + 200 / scale())) + wide + 5, y: y + 13, class: 'soft' },
      fault.label,
    );
    if (wide > 7 * fault.label.length) {
      label.setAttribute('x', x(fault.from) + 6);
      label.setAttribute('class', 'inside');
    }
    svg.append(label);
  });
}

function drawCall(svg, call) {
  const y = call.y + (LANE - BAR) / 2,
    isBad = bad.has(call.id);
  const stop = call.to === null ? data.end : call.to;
  const wide = Math.max(3, (stop - call.from) * scale());
  if (call.open) {
    svg.append(
      el('line', {
        x1: x(call.from),
        x2: x(data.end),
        y1: y + BAR / 2,
        y2: y + BAR / 2,
        stroke: 'var(--open)',
        'stroke-dasharray': '2 4',
      }),
    );
  }
  const fill = call.refused
    ? 'var(--refused)'
    : call.open
      ? 'var(--open)'
      : 'var(--' + call.kind + ')';
  const bar = el('rect', {
    x: x(call.from),
    y,
    width: wide,
    height: BAR,
    rx: 4,
    fill,
    class: 'bar',
  });
  if (bad.size > 0 && !isBad) bar.classList.add('dim');
  if (isBad) {
    bar.setAttribute('stroke', 'var(--bad)');
    bar.setAttribute('stroke-width', 3);
  }
  tell(
    bar,
    call.words,
    call.told,
    call.who +
      ' · ' +
      timeText(call.from) +
      ' to ' +
      (call.to === null ? 'never' : timeText(call.to)),
  );
  svg.append(bar);
  if (call.short && wide > 26) {
    const room = Math.floor((wide - 10) / 6.2);
    const text = call.short.length > room ? call.short.slice(0, room - 1) + '…' : call.short;
    if (room > 4) {
      const inside = el('text', { x: x(call.from) + 5, y: y + 13, class: 'inside' }, text);
      if (bad.size > 0 && !isBad) inside.setAttribute('class', 'faint');
      svg.append(inside);
    }
  }
  if (call.point !== null) {
    svg.append(el('circle', { cx: x(call.point), cy: y + BAR + 3, r: 2.5, fill: 'var(--ink)' }));
  }
}

function tell(node, head, body, foot) {
  node.addEventListener('mousemove', (event) => {
    tip.textContent = '';
    for (const [name, text] of [
      ['b', head],
      ['div', body],
      ['span', foot],
    ]) {
      const part = document.createElement(name);
      part.textContent = text;
      tip.append(part);
    }
    tip.style.display = 'block';
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + 'px';
  });
  node.addEventListener('mouseleave', () => {
    tip.style.display = 'none';
  });
}

function later() {
  if (!pending) {
    pending = true;
    requestAnimationFrame(draw);
  }
}
function setZoom(next, clientX) {
  const at = clientX === undefined ? chart.clientWidth / 2 : clientX;
  const time = (chart.scrollLeft + at - LEFT) / scale();
  zoom = Math.min(1e7, Math.max(1, next));
  draw();
  chart.scrollLeft = x(time) - at;
  later();
}
/* Brings calls into view: they fill about half of the width. */
function show(ids) {
  const calls = data.calls.filter((call) => ids.includes(call.id));
  if (calls.length === 0) return;
  if (keyBox.value !== '' && calls.some((call) => !call.keys.includes(keyBox.value))) {
    keyBox.value = '';
    layOut();
    drawNames();
  }
  const from = Math.min(...calls.map((call) => call.from));
  const to = Math.max(...calls.map((call) => (call.to === null ? call.from : call.to)));
  const room = chart.clientWidth - LEFT;
  zoom = Math.min(1e7, Math.max(1, (room * 0.6) / Math.max((to - from) * fit, 1e-9)));
  draw();
  chart.scrollLeft = x((from + to) / 2) - LEFT - room / 2;
  const ys = calls.map((call) => call.y);
  chart.scrollTop = (Math.min(...ys) + Math.max(...ys)) / 2 - chart.clientHeight / 2;
  draw();
}

fit = Math.max(1e-12, (chart.clientWidth - LEFT - RIGHT) / Math.max(1, data.end));
for (const key of data.keys) keyBox.append(new Option(key, key));
keyBox.addEventListener('change', () => {
  layOut();
  drawNames();
  draw();
});
document.getElementById('in').addEventListener('click', () => setZoom(zoom * 2));
document.getElementById('out').addEventListener('click', () => setZoom(zoom / 2));
document.getElementById('all').addEventListener('click', () => {
  zoom = 1;
  draw();
  chart.scrollLeft = 0;
});
const find = document.getElementById('find');
if (find) find.addEventListener('click', () => show(data.contradiction));
for (const button of document.querySelectorAll('.story button')) {
  button.addEventListener('click', () => show([Number(button.dataset.call)]));
}
chart.addEventListener('scroll', later);
chart.addEventListener(
  'wheel',
  (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    setZoom(zoom * 2 ** (-event.deltaY / 200), event.clientX);
  },
  { passive: false },
);
addEventListener('resize', later);
if (data.key !== null && data.keys.includes(data.key)) keyBox.value = data.key;
layOut();
drawNames();
if (bad.size > 0) show(data.contradiction);
else {
  zoom = Math.max(1, Math.min(shown.length / 150, 1e5));
  draw();
}
`;

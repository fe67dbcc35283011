/**
 * The page's behaviour, in plain JavaScript for the browser. It draws only what is in view, so that
 * a long run scrolls smoothly. Texts become text nodes, never markup.
 */
export const SCRIPT = `
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const NS = 'http://www.w3.org/2000/svg';
const LEFT = 130, ROW = 22, BAR = 16, AXIS = 26, GAP = 10, RIGHT = 60, DRAWN_MAX = 8000;
const chart = document.getElementById('chart'), names = document.getElementById('names');
const tip = document.getElementById('tip');
let fit = 1, zoom = 1, pending = false, height = 0;

function el(name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
function scale() { return fit * zoom; }
function x(time) { return LEFT + time * scale(); }

function layOut() {
  let y = AXIS, kind = '';
  for (const lane of data.lanes) {
    if (kind !== '' && lane.kind !== kind) y += GAP;
    kind = lane.kind;
    lane.y = y;
    y += lane.rows * ROW;
    const div = document.createElement('div');
    div.textContent = div.title = lane.name;
    div.className = lane.kind;
    div.style.cssText = 'top:' + lane.y + 'px;height:' + lane.rows * ROW + 'px;line-height:' +
      ROW + 'px';
    names.append(div);
  }
  height = y + 10;
}

function niceStep(raw) {
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
}
function timeText(time) { return (time / 1000).toFixed(scale() > 0.5 ? 3 : 1) + ' s'; }

function draw() {
  pending = false;
  const width = Math.max(chart.clientWidth, x(data.end) + RIGHT);
  const svg = el('svg', { width, height });
  const from = (chart.scrollLeft - 200) / scale();
  const to = (chart.scrollLeft + chart.clientWidth - LEFT + 200) / scale();
  data.lanes.forEach((lane, i) => {
    if (i % 2 === 0)
      svg.append(el('rect', { x: 0, y: lane.y, width, height: lane.rows * ROW,
        fill: 'var(--lane)' }));
  });
  drawAxis(svg, from, to);
  let drawn = 0;
  for (const lane of data.lanes)
    for (const bar of lane.bars)
      if (bar.from <= to && bar.to >= from && ++drawn <= DRAWN_MAX) drawBar(svg, lane, bar);
  const old = chart.querySelector('svg');
  if (old) old.replaceWith(svg);
  else chart.append(svg);
}

function drawAxis(svg, from, to) {
  const step = niceStep(110 / scale());
  const last = Math.min(to, data.end);
  for (let time = Math.max(0, Math.floor(from / step) * step); time <= last; time += step) {
    svg.append(el('line', { x1: x(time), x2: x(time), y1: AXIS - 6, y2: height,
      stroke: 'var(--line)' }));
    svg.append(el('text', { x: x(time) + 4, y: 15 }, timeText(time)));
  }
}

function drawBar(svg, lane, bar) {
  const y = lane.y + bar.row * ROW + (ROW - BAR) / 2;
  const wide = Math.max(2, (bar.to - bar.from) * scale());
  if (lane.kind === 'fault')
    svg.append(el('rect', { x: x(bar.from), y, width: wide, height: height - y,
      fill: 'var(--fault)', opacity: 0.07 }));
  const node = el('rect', { x: x(bar.from), y, width: wide, height: BAR, rx: 3,
    fill: 'var(--' + bar.color + ')' });
  node.addEventListener('mousemove', (event) => tell(event, lane, bar));
  node.addEventListener('mouseleave', () => { tip.style.display = 'none'; });
  svg.append(node);
  const room = Math.floor((wide - 8) / 6.2);
  if (bar.short && room > 2) {
    const text = bar.short.length > room ? bar.short.slice(0, room - 1) + '…' : bar.short;
    svg.append(el('text', { x: x(bar.from) + 4, y: y + 12, class: 'inside' }, text));
  }
}

function tell(event, lane, bar) {
  tip.textContent = '';
  const when = timeText(bar.from) + ' to ' + (bar.open ? 'the end' : timeText(bar.to));
  for (const [name, text] of [['b', bar.head], ['span', lane.name + ' · ' + when]]) {
    const part = document.createElement(name);
    part.textContent = text;
    tip.append(part);
  }
  tip.style.display = 'block';
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
  tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + 'px';
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
  zoom = Math.min(1e5, Math.max(1, next));
  draw();
  chart.scrollLeft = x(time) - at;
  later();
}

fit = Math.max(1e-9, (chart.clientWidth - LEFT - RIGHT) / Math.max(1, data.end));
document.getElementById('in').addEventListener('click', () => setZoom(zoom * 2));
document.getElementById('out').addEventListener('click', () => setZoom(zoom / 2));
document.getElementById('all').addEventListener('click', () => {
  zoom = 1;
  draw();
  chart.scrollLeft = 0;
});
chart.addEventListener('scroll', later);
chart.addEventListener('wheel', (event) => {
  if (!event.ctrlKey && !event.metaKey) return;
  event.preventDefault();
  setZoom(zoom * 2 ** (-event.deltaY / 200), event.clientX);
}, { passive: false });
addEventListener('resize', later);
layOut();
draw();
`;

// The charts of the overview: one small SVG each, drawn anew with every point while it is shown.
import { at, brief, clock, make, number, span } from './dom.js';

const KEPT = 600;
const WIDTH = 300;
const HEIGHT = 80;
const CHARTS = [
  { id: 'connections', title: 'Connections', tint: 1, value: (p) => p.connections },
  { id: 'sent', title: 'Messages sent', unit: '/s', tint: 2, value: (p) => p.sent, second: (p) => p.received, beside: (value) => `${value} received` },
  { id: 'calls', title: 'API calls', unit: '/s', tint: 4, value: (p) => p.calls },
  { id: 'jobs', title: 'Jobs', unit: '/s', tint: 5, value: (p) => p.jobs },
  { id: 'depth', title: 'Waiting in the queue', tint: 6, value: (p) => p.depth },
  { id: 'latency', title: 'From reserved to sent', unit: 'ms', tint: 3, value: (p) => p.median, second: (p) => p.slow, beside: (value) => `slowest 5 %: ${value} ms`, last: true },
];
const NS = 'http://www.w3.org/2000/svg';

let points = [];
let pointed = null; // index of the point under the pointer or the arrow keys

const svg = (tag, attributes) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

for (const chart of CHARTS) {
  chart.drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', tabindex: 0, 'aria-label': chart.title });
  chart.area = svg('path', { class: 'area' });
  chart.other = svg('path', { class: 'second' });
  chart.line = svg('path', { class: 'line' });
  chart.cross = svg('line', { class: 'cross', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  chart.drawing.append(chart.area, chart.other, chart.line, chart.cross);
  chart.figure = make('p', { class: 'figure' }, '–');
  chart.note = make('p', { class: 'beside' });
  const card = make('section', { class: 'card chart', id: `chart-${chart.id}`, 'aria-label': chart.title },
    make('h2', {}, chart.title), chart.figure, chart.note, chart.drawing);
  card.style.setProperty('--tint', `var(--c${chart.tint})`);
  at('charts').append(card);
  chart.drawing.addEventListener('pointermove', ({ clientX }) => {
    const { left, width } = chart.drawing.getBoundingClientRect();
    point(Math.round(((clientX - left) / width) * (points.length - 1)));
  });
  chart.drawing.addEventListener('pointerleave', () => point(null));
  chart.drawing.addEventListener('blur', () => point(null));
  chart.drawing.addEventListener('keydown', ({ key }) => {
    if (key === 'ArrowLeft') point((pointed ?? points.length) - 1);
    if (key === 'ArrowRight') point((pointed ?? points.length - 2) + 1);
  });
}

function point(index) {
  pointed = index === null ? null : Math.max(0, Math.min(points.length - 1, index));
  draw();
}

export function addPoints(more, all) {
  points = (all ? more : [...points, ...more]).slice(-KEPT);
  draw();
}

function draw() {
  if (at('overview').hidden || !points.length) return;
  const shown = points[pointed ?? points.length - 1];
  const [from, to] = [points[0].at, points.at(-1).at];
  at('charts-note').textContent = to > from ? `The last ${span(Math.round(to - from) * 1000)}, a point each second: the pointer or the arrow keys show any of them.` : '';
  const across = (p) => (to > from ? ((p.at - from) / (to - from)) * WIDTH : WIDTH);
  for (const chart of CHARTS) {
    const values = points.map(chart.value);
    const seconds = chart.second ? points.map(chart.second) : [];
    const top = Math.max(1, ...values.map(Number), ...seconds.map(Number)) * 1.12;
    const height = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 8);
    const line = path(values, across, height);
    chart.line.setAttribute('d', line);
    chart.area.setAttribute('d', line && `${line.replace(/M(\S+) (\S+)/, `M$1 ${HEIGHT} L$1 $2`)} L${line.split(' ').at(-2).slice(1)} ${HEIGHT} Z`);
    chart.other.setAttribute('d', path(seconds, across, height));
    chart.cross.setAttribute('visibility', pointed === null ? 'hidden' : 'visible');
    chart.cross.setAttribute('x1', across(shown));
    chart.cross.setAttribute('x2', across(shown));
    const value = chart.value(shown) ?? (chart.last && pointed === null ? values.findLast((one) => one !== null) : null);
    const said = value === null || value === undefined ? '–' : brief(value);
    chart.figure.replaceChildren(said, chart.unit && said !== '–' ? make('small', {}, chart.unit) : '');
    const other = chart.second?.(shown);
    const when = pointed === null ? '' : clock(shown.at).textContent.slice(0, 8);
    const most = Math.max(0, ...values.map(Number));
    const beside = other === null || other === undefined
      ? chart.second || pointed !== null || most <= Number(value) ? '' : `most ${brief(most)}`
      : chart.beside(brief(other));
    chart.note.textContent = [when, beside].filter(Boolean).join(' · ');
    chart.drawing.setAttribute('aria-label', `${chart.title}: ${said} ${chart.unit ?? ''} ${when}`);
  }
}

/** The known values joined by lines, `M1.0 2.0 L3.0 4.0`; a single one as a short dash. */
function path(values, across, height) {
  const known = values.map((value, index) => [value, points[index]]).filter(([value]) => value !== null && value !== undefined)
    .map(([value, p]) => `${across(p).toFixed(1)} ${height(value).toFixed(1)}`);
  if (known.length === 1) known.push(known[0].replace(/^\S+/, (x) => (Number(x) + 1).toFixed(1)));
  return known.length ? `M${known.join(' L')}` : '';
}

// ---- what stands below the charts ---------------------------------------------------------------

const RUNGS = { mapping: 2, framework: 4, native: 1, php: 5, none: 3 };

export function showSummary({ rungs, queues, oldest }) {
  const total = Object.values(rungs).reduce((sum, count) => sum + count, 0);
  const bars = Object.entries(rungs).sort((one, other) => other[1] - one[1])
    .map(([rung, count]) => bar(rung === 'none' ? 'nobody' : rung, count / total, number(count), RUNGS[rung] ?? 1));
  at('rungs').replaceChildren(...(bars.length ? bars : [make('p', { class: 'note' }, 'No job so far.')]));
  const rows = Object.entries(queues).map(([name, [pending, delayed, reserved]]) =>
    make('tr', {}, make('th', { scope: 'row' }, name), ...[pending, delayed, reserved].map((count) => make('td', { class: 'number' }, number(count)))));
  at('queues').replaceChildren(rows.length
    ? make('table', {}, make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'Queue'),
      ...['Waiting', 'Delayed', 'Reserved'].map((title) => make('th', { scope: 'col', class: 'number' }, title)))), make('tbody', {}, ...rows))
    : make('p', { class: 'note' }, 'Not asked yet.'));
  if (oldest) at('queues').append(make('p', { class: 'note' }, `The oldest job has waited for ${span(oldest * 1000)}.`));
}

function bar(name, share, value, tint) {
  const gauge = make('i', { 'aria-hidden': 'true' });
  gauge.style.setProperty('--share', `${Math.max(1, share * 100)}%`);
  gauge.style.setProperty('--tint', `var(--c${tint})`);
  return make('div', { class: 'bar' }, make('span', {}, name), gauge, make('span', {}, value));
}

addEventListener('panel', ({ detail }) => detail === 'overview' && draw());

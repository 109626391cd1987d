// The app's table of statistics as bars: it outlives a restart. A span without a row is a gap.
import { ask, at, make, number, say, span, whileShown } from './dom.js';

const WIDTH = 1000;
const HEIGHT = 120;
const CHARTS = [
  { title: 'Most connections at once', tint: 1, at: 1, whole: (values) => `most ${number(Math.max(0, ...values))}` },
  { title: 'Messages from clients', tint: 2, at: 2, whole: sum },
  { title: 'Messages by the HTTP API', tint: 4, at: 3, whole: sum },
];
const NS = 'http://www.w3.org/2000/svg';

let known = { start: 0, end: 0, width: 1, spans: [], problem: '' };
let pointed = null; // index of the bar under the pointer or the arrow keys

function sum(values) {
  return `${number(values.reduce((all, value) => all + value, 0))} in all`;
}

for (const chart of CHARTS) {
  chart.drawing = document.createElementNS(NS, 'svg');
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', tabindex: 0, 'aria-label': chart.title })) chart.drawing.setAttribute(name, value);
  chart.figure = make('p', { class: 'figure' }, '–');
  chart.note = make('p', { class: 'beside' });
  const card = make('section', { class: 'card chart', 'aria-label': chart.title }, make('h2', {}, chart.title), chart.figure, chart.note, chart.drawing);
  card.style.setProperty('--tint', `var(--c${chart.tint})`);
  at('history-charts').append(card);
  chart.drawing.addEventListener('pointermove', ({ clientX }) => {
    const { left, width } = chart.drawing.getBoundingClientRect();
    const moment = known.start + ((clientX - left) / width) * (known.end - known.start);
    point(known.spans.findIndex(([from]) => from <= moment && moment < from + known.width));
  });
  chart.drawing.addEventListener('pointerleave', () => point(null));
  chart.drawing.addEventListener('blur', () => point(null));
  chart.drawing.addEventListener('keydown', ({ key }) => {
    if (key === 'ArrowLeft') point(Math.max(0, (pointed ?? known.spans.length) - 1));
    if (key === 'ArrowRight') point(Math.min(known.spans.length - 1, (pointed ?? known.spans.length - 2) + 1));
  });
}

function point(index) {
  pointed = index === null || !known.spans[index] ? null : index;
  label();
}

/** The apps to choose from. */
export function fillHistory(apps) {
  const chosen = at('history-app').value;
  at('history-app').replaceChildren(...apps.map(({ id, name }) => make('option', { value: id }, name ? `${name} (${id})` : id)));
  if (apps.some(({ id }) => id === chosen)) at('history-app').value = chosen;
  at('history-app').hidden = apps.length < 2;
  refresh();
}

const refresh = whileShown('history', 30_000, async () => {
  const asked = { app: at('history-app').value, range: at('history-range').value };
  if (!asked.app) return;
  const found = await ask(`api/history?${new URLSearchParams(asked)}`);
  if (asked.app !== at('history-app').value || asked.range !== at('history-range').value) return;
  known = { start: 0, end: 0, width: 1, ...found };
  draw();
});

function draw() {
  pointed = null;
  say(at('history-problem'), known.problem, known.problem ? 'bad' : '');
  at('history-note').textContent = known.spans.length
    ? `A bar is ${span(known.width * 1000)}: the pointer or the arrow keys show any of them. From the table websockets_statistics_entries.`
    : known.problem ? '' : 'No statistics of this time.';
  const scale = WIDTH / Math.max(1, known.end - known.start);
  for (const chart of CHARTS) {
    const top = Math.max(1, ...known.spans.map((one) => one[chart.at]));
    chart.drawing.replaceChildren(...known.spans.map((one) => {
      const height = one[chart.at] && Math.max(1, (one[chart.at] / top) * (HEIGHT - 4));
      const bar = document.createElementNS(NS, 'rect');
      for (const [name, value] of Object.entries({ x: (one[0] - known.start) * scale, y: HEIGHT - height, width: Math.max(1, known.width * scale - 2), height })) bar.setAttribute(name, value.toFixed(1));
      return bar;
    }));
  }
  label();
}

function label() {
  const one = known.spans[pointed] ?? null;
  const when = one ? `${moment(one[0])} to ${moment(one[0] + known.width)}` : '';
  for (const chart of CHARTS) {
    [...chart.drawing.children].forEach((bar, index) => bar.classList.toggle('pointed', index === pointed));
    const latest = one ?? known.spans.at(-1);
    const said = latest ? number(latest[chart.at]) : '–';
    chart.figure.textContent = said;
    chart.note.textContent = one ? when : latest ? chart.whole(known.spans.map((each) => each[chart.at])) : '';
    chart.drawing.setAttribute('aria-label', `${chart.title}: ${said} ${chart.note.textContent}`);
  }
}

const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });

at('history-app').addEventListener('change', refresh);
at('history-range').addEventListener('change', refresh);

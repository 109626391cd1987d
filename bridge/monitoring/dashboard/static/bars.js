// Charts of bars over a stretch of time; what is pointed at in one is told in all. A span without a value is a gap.
import { make, number } from './dom.js';

const WIDTH = 1000;
const HEIGHT = 120;
const NS = 'http://www.w3.org/2000/svg';
const NOTHING = { start: 0, end: 0, width: 1, spans: [] };

export const sum = (values) => `${number(values.reduce((all, value) => all + value, 0))} in all`;

/**
 * Charts in `place`; the answer draws { start, end, width, spans: [[begin, value, …], …] }.
 * charts: title, tint; at: index of the value in a span; whole: tells of all values; format: tells one.
 */
export function barCharts(place, charts) {
  let known = NOTHING;
  let pointed = null; // index of the bar under the pointer or the arrow keys

  const shown = charts.map(({ format = number, ...chart }) => {
    const drawing = document.createElementNS(NS, 'svg');
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', tabindex: 0, 'aria-label': chart.title })) drawing.setAttribute(name, value);
    const figure = make('p', { class: 'figure' }, '–');
    const note = make('p', { class: 'beside' });
    const card = make('section', { class: 'card chart', 'aria-label': chart.title }, make('h2', {}, chart.title), figure, note, drawing);
    card.style.setProperty('--tint', `var(--c${chart.tint})`);
    place.append(card);
    drawing.addEventListener('pointermove', ({ clientX }) => {
      const { left, width } = drawing.getBoundingClientRect();
      const moment = known.start + ((clientX - left) / width) * (known.end - known.start);
      point(known.spans.findIndex(([from]) => from <= moment && moment < from + known.width));
    });
    drawing.addEventListener('pointerleave', () => point(null));
    drawing.addEventListener('blur', () => point(null));
    drawing.addEventListener('keydown', ({ key }) => {
      if (key === 'ArrowLeft') point(Math.max(0, (pointed ?? known.spans.length) - 1));
      if (key === 'ArrowRight') point(Math.min(known.spans.length - 1, (pointed ?? known.spans.length - 2) + 1));
    });
    return { ...chart, format, drawing, figure, note };
  });

  function point(index) {
    pointed = index === null || !known.spans[index] ? null : index;
    label();
  }

  function label() {
    const one = known.spans[pointed] ?? null;
    for (const { title, at, whole, format, drawing, figure, note } of shown) {
      [...drawing.children].forEach((bar, index) => bar.classList.toggle('pointed', index === pointed));
      const values = known.spans.map((span) => span[at]).filter((value) => value !== null);
      const latest = one ? one[at] : values.at(-1) ?? null;
      const said = latest === null ? '–' : format(latest);
      figure.textContent = said;
      note.textContent = one ? `${moment(one[0])} to ${moment(one[0] + known.width)}` : values.length ? whole(values) : '';
      drawing.setAttribute('aria-label', `${title}: ${said} ${note.textContent}`);
    }
  }

  return (found) => {
    known = { ...NOTHING, ...found };
    pointed = null;
    const scale = WIDTH / Math.max(1, known.end - known.start);
    for (const { at, drawing } of shown) {
      const top = Math.max(...known.spans.map((span) => span[at])) || 1;
      drawing.replaceChildren(...known.spans.map((span) => {
        const height = span[at] && Math.max(1, (span[at] / top) * (HEIGHT - 4));
        const bar = document.createElementNS(NS, 'rect');
        for (const [name, value] of Object.entries({ x: (span[0] - known.start) * scale, y: HEIGHT - height, width: Math.max(1, known.width * scale - 2), height: height ?? 0 })) bar.setAttribute(name, value.toFixed(1));
        return bar;
      }));
    }
    label();
  };
}

const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });

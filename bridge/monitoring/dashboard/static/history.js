// The app's table of statistics as bars: it outlives a restart.
import { ask, at, number, say, span, whileShown } from './dom.js';
import { barCharts, sum } from './bars.js';
import { chosenApp, onApp } from './apps.js';

const draw = barCharts(at('history-charts'), [
  { title: 'Most connections at once', tint: 1, at: 1, whole: (values) => `most ${number(Math.max(...values))}` },
  { title: 'Messages from clients', tint: 2, at: 2, whole: sum },
  { title: 'Messages by the HTTP API', tint: 4, at: 3, whole: sum },
]);

const refresh = whileShown('history', 30_000, async () => {
  const asked = { app: chosenApp(), range: at('history-range').value };
  if (!asked.app) return;
  const found = await ask(`api/history?${new URLSearchParams(asked)}`);
  if (asked.app !== chosenApp() || asked.range !== at('history-range').value) return;
  say(at('history-problem'), found.problem, found.problem ? 'bad' : '');
  at('history-note').textContent = found.spans.length
    ? `A bar is ${span(found.width * 1000)}: the pointer or the arrow keys show any of them. From the table websockets_statistics_entries.`
    : found.problem ? '' : 'No statistics of this time.';
  draw(found);
});

onApp(refresh);
at('history-range').addEventListener('change', refresh);

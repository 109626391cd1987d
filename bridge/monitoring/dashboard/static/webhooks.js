// The last requests to webhooks: what was sent, what was answered, and whether it is tried again.
import { ask, at, clock, make, number, plural, span, whileShown } from './dom.js';
import { onApp, shownApp } from './apps.js';
import { sayMissing } from './channels_connections.js';

const OUTCOMES = { taken: ['taken', 'good'], again: ['tried again', 'warn'], lost: ['lost', 'bad'] };

const refresh = whileShown('webhooks', 3_000, async () => {
  const { total, rows, missing } = await ask(`api/webhooks?${new URLSearchParams({ search: at('webhooks-search').value.trim(), app: shownApp() })}`);
  at('webhooks-rows').replaceChildren(...rows.map(({ at: moment, app, place, events, number: tries, answer, ms, outcome }) => {
    const [word, look] = OUTCOMES[outcome];
    const names = Object.entries(events).map(([name, count]) => (count > 1 ? `${name} × ${number(count)}` : name));
    return make('tr', {}, make('td', {}, clock(moment)), make('td', { class: 'app' }, app), make('td', {}, make('code', {}, place), make('small', {}, names.join(', '))),
      make('td', {}, make('span', { class: `tag ${look}` }, word), make('small', {}, answer)), make('td', { class: 'number' }, number(tries)), make('td', { class: 'number' }, span(ms)));
  }));
  at('webhooks-more').textContent = total > rows.length ? `${number(rows.length)} of ${plural(total, 'request')}: the filter finds the others.` : '';
  sayMissing(at('webhooks-more'), missing);
});

at('webhooks-search').addEventListener('input', refresh);
onApp(refresh);

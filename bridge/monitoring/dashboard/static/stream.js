// The live stream, and the part of it that needs a look.
import { onApp, shownApp } from './apps.js';
import { showFailed } from './failed.js';
import { at, channelCode, clock, eventName, make, number, plural, pretty, span, wayOf } from './dom.js';

const MOST_ROWS = 200;
const MOST_NEW = 8; // rows that come together and are still pointed out
const MOST_TROUBLE = 8;
const KINDS = {
  connection: 'Connections', subscription: 'Subscriptions', job: 'Jobs', broadcast: 'Broadcasts',
  client: 'Client events', api: 'API calls', refusal: 'Refusals',
};
const DETAILS = {
  app: 'App', socket: 'Socket', user: 'User', job: 'Job', uuid: 'Job', queue: 'Queue', process: 'Process', rung: 'Resolved by',
  attempts: 'Attempt', origin: 'Came by', code: 'Code',
};

const counts = {};
const toggles = {};
let kept = []; // newest last, for a filter that changes
let waiting = null; // rows that wait while the stream is paused
let numbered = null; // since when the server counts its rows
let newest = 0; // the number of the last row

for (const [kind, title] of Object.entries(KINDS)) {
  counts[kind] = 0;
  const toggle = make('input', { type: 'checkbox', checked: true, onchange: redraw });
  const count = make('span', { class: 'n' });
  toggles[kind] = { toggle, count };
  at('kinds').append(make('label', { 'data-kind': kind }, toggle, title, count));
}

const isShown = (row) => toggles[row.kind].toggle.checked && (!shownApp() || !row.app || row.app === shownApp()) && holds(row, at('live-search').value.trim().toLowerCase());

const holds = (row, text) => !text || ['text', 'event', 'channel', 'socket', 'user', 'job', 'uuid', 'why', 'app', 'queue', 'rung', 'process']
  .some((name) => String(row[name] ?? '').toLowerCase().includes(text));

/** A first frame comes: again after a break, with rows that are here already, or from another process. */
export function startRows(since) {
  if (since !== numbered) newest = 0;
  numbered = since;
}

export function addRows(all, missed) {
  const rows = all.filter(({ n }) => n > newest);
  if (!rows.length) return;
  newest = rows.at(-1).n;
  for (const row of rows) {
    counts[row.kind] += 1;
    if (row.tone === 'bad' || row.tone === 'warn') addTrouble(row);
  }
  for (const kind of new Set(rows.map((row) => row.kind))) toggles[kind].count.textContent = number(counts[kind]);
  if (waiting) {
    waiting = [...waiting, ...rows].slice(-MOST_ROWS);
    at('pause').textContent = `Resume (${waiting.length})`;
    return;
  }
  keep(rows);
  if (!at('live').hidden) put(rows.filter(isShown), true);
  at('missed').hidden = !missed;
  if (missed) at('missed').textContent = `Much is happening: ${plural(missed, 'row')} of the last moment left out. All are counted.`;
}

function keep(rows) {
  kept = [...kept, ...rows].slice(-MOST_ROWS);
}

function put(rows, fresh) {
  const list = at('stream');
  const items = rows.slice(-MOST_ROWS).map((row) => item(row, fresh && rows.length <= MOST_NEW)).reverse();
  list.prepend(...items);
  while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
}

function redraw() {
  at('stream').replaceChildren();
  put(kept.filter(isShown), false);
}

function addTrouble(row) {
  const list = at('trouble');
  list.prepend(item(row, true));
  while (list.childElementCount > MOST_TROUBLE) list.lastElementChild.remove();
}

function item(row, fresh) {
  const what = make('span', { class: 'what' },
    row.event ? eventName(row.event) : null,
    row.channel ? make('span', {}, ...row.channel.split(', ').slice(0, 4).map(channelCode)) : null,
    row.event || row.channel || !row.socket ? null : make('code', {}, row.socket),
    row.why ? make('span', { class: 'why' }, ' ', row.why) : null);
  for (const child of [...what.children].slice(1)) child.before(' ');
  const line = [clock(row.at), make('span', { class: 'kind' }, row.text), what, make('span', { class: 'end' }, end(row))];
  const known = Object.entries(DETAILS).filter(([name]) => row[name] !== undefined);
  const inside = known.length || row.data
    ? make('details', { ontoggle: ({ currentTarget }) => currentTarget.childElementCount < 2 && currentTarget.append(body(row, known)) },
      make('summary', {}, ...line))
    : make('div', { class: 'flat' }, ...line);
  return make('li', { class: `row ${row.tone ?? ''}${fresh ? ' new' : ''}`, 'data-kind': row.kind }, inside);
}

function end(row) {
  if (row.receivers !== undefined) return `to ${number(row.receivers)}`;
  if (row.kind === 'subscription' && row.count !== undefined) return plural(row.count, 'subscriber');
  const parts = [row.rung, row.ms !== undefined ? span(row.ms) : '', row.delay !== undefined ? `in ${span(row.delay * 1000)}` : ''];
  return parts.filter(Boolean).join(', ') || (row.code === undefined ? '' : String(row.code));
}

/** What a row shows when it is opened; made only then. */
const body = (row, known) => make('div', { class: 'body' },
  make('dl', { class: 'details' }, ...known.flatMap(([name, title]) => [make('dt', {}, title), make('dd', {}, name === 'job' ? wayOf(row.job) : String(row[name]))])),
  row.step === 'failed' || row.uuid && row.tone === 'bad' ? make('p', {}, make('button', { type: 'button', class: 'link', onclick: () => showFailed(row.job ?? row.uuid) }, 'Show the failed job'), ' ',
    make('button', { type: 'button', class: 'link', onclick: () => showFailed(row.event) }, 'Show all failures of the class')) : null,
  row.data ? make('pre', { tabindex: 0, role: 'group', 'aria-label': 'Data' }, pretty(row.data)) : null);

export function togglePause() {
  const rows = waiting;
  waiting = rows ? null : [];
  if (rows) {
    keep(rows);
    put(rows.filter(isShown), true);
  }
  at('pause').textContent = waiting ? 'Resume' : 'Pause';
  at('pause').setAttribute('aria-pressed', String(Boolean(waiting)));
}

at('pause').addEventListener('click', togglePause);
at('clear').addEventListener('click', () => {
  kept = [];
  redraw();
});
at('live-search').addEventListener('input', redraw);
onApp(redraw);
addEventListener('panel', ({ detail }) => detail === 'live' && !waiting && redraw());

// Failed jobs: found, page by page, in groups of equal failures; back into the queue, or deleted.
import { ask, at, eventName, make, number, plural, pretty, say, whileShown } from './dom.js';

let counted = null;
let known = { total: 0, page: 1, pages: 1, rows: [], ids: [], groups: [], is_all: true, looked_at: 0 };
let drawn = '';
let page = 1;
let group = ''; // the key of the group that is shown alone
let changes = 0; // an answer that was asked for before a change says nothing any more
let showsPayloads = false;
let busy = false;

const searched = () => at('failed-search').value.trim();

async function show() {
  const asked = changes;
  const found = await ask(`api/failed?${new URLSearchParams({ search: searched(), group, page })}`);
  if (asked !== changes) return;
  known = found;
  page = found.page;
  at('failed-badge').hidden = !found.looked_at;
  at('failed-badge').textContent = found.looked_at > 99 ? '99+' : found.looked_at;
  draw();
}

whileShown('failed', 5_000, show);

/** Jobs that failed since the start: where there are more of them, the list is old. */
export async function countFailed(count) {
  if (count === counted) return;
  counted = count;
  await show().catch(() => {}); // the state in the corner says so
}

/** Whether the setting lets payloads be shown. */
export function allowPayloads(allowed) {
  if (allowed === showsPayloads) return;
  showsPayloads = allowed;
  draw();
}

/** The panel, with this job. */
export function showFailed(job) {
  at('failed-search').value = job;
  choose('');
  location.hash = 'failed';
}

function draw() {
  const { total, pages, rows, groups, is_all: isAll, looked_at: lookedAt } = known;
  const key = JSON.stringify([known, group, searched(), showsPayloads]);
  if (key === drawn) return;
  drawn = key;
  const every = group ? 'of this group' : searched() ? 'found' : '';
  for (const [id, verb] of [['retry-all', 'Retry'], ['delete-all', 'Delete']]) {
    at(id).disabled = !total || busy;
    at(id).textContent = [verb, 'all', total > 1 ? number(total) : '', every].filter(Boolean).join(' ');
  }
  at('groups').hidden = !groups.length || Boolean(group);
  at('groups-rows').replaceChildren(...groups.map(groupItem));
  at('failed-group').hidden = !group;
  at('failed-group').replaceChildren('One group of equal failures. ', make('button', { type: 'button', class: 'link', onclick: () => choose('') }, 'Show all'));
  const open = new Set([...document.querySelectorAll('#failures details[open]')].map((one) => one.closest('li').dataset.id));
  at('failures').replaceChildren(...rows.map((row) => item(row, open.has(row.id))));
  at('failed-none').textContent = searched() || group ? 'None of the failed jobs.' : 'No failed job. Nothing was lost.';
  at('failed-more').textContent = isAll ? '' : `Only the newest ${number(lookedAt)} failed jobs are looked at: bridge failed list shows all.`;
  at('failed-pages').hidden = pages < 2;
  at('failed-page').textContent = `Page ${number(page)} of ${number(pages)}`;
  at('failed-newer').disabled = page <= 1;
  at('failed-older').disabled = page >= pages;
}

const button = (text, label, onclick) => make('button', { type: 'button', class: text === 'Show' ? '' : 'doing', 'aria-label': label, disabled: busy, onclick }, text);

function groupItem({ key, event, queue, reason, first_at: first, last_at: last, ids }) {
  const name = event || 'no broadcast job';
  return make('li', { class: 'failure', 'data-group': key },
    make('p', {}, make('b', { class: 'count' }, `${number(ids.length)} × `), eventName(name)),
    make('div', { class: 'doings' },
      button('Show', `Show the ${number(ids.length)} jobs of ${name}`, () => choose(key)),
      button('Retry', `Retry ${number(ids.length)} jobs of ${name}`, () => again(ids)),
      button('Delete', `Delete ${number(ids.length)} jobs of ${name}`, () => remove(ids))),
    make('p', { class: 'reason' }, reason),
    make('p', { class: 'about' }, first === last ? first : `${first} to ${last}`, ', queue ', queue));
}

function item(row, isOpen) {
  const name = row.event || 'no broadcast job';
  return make('li', { class: 'failure', 'data-id': row.id },
    make('p', {}, eventName(name)),
    make('div', { class: 'doings' },
      button('Retry', `Retry ${name}`, () => again([row.id])),
      button('Delete', `Delete ${name}`, () => remove([row.id]))),
    make('p', { class: 'reason' }, row.reason),
    make('p', { class: 'about' }, `${row.failed_at}, queue `, row.queue, ', ', make('code', {}, row.uuid || row.id)),
    row.whole.includes('\n') ? make('details', { open: isOpen }, make('summary', {}, 'Whole exception'),
      make('pre', { tabindex: 0, role: 'group', 'aria-label': 'Exception' }, row.whole)) : null,
    showsPayloads ? make('div', { class: 'payload' }, button('Show the payload', `Show the payload of ${name}`, ({ currentTarget }) => showPayload(row, currentTarget))) : null);
}

/** Asked for only now: each look is a line of the log. */
async function showPayload(row, pressed) {
  pressed.disabled = true;
  try {
    const { payload } = await ask('api/failed/payload', { id: row.id });
    pressed.replaceWith(make('pre', { tabindex: 0, role: 'group', 'aria-label': 'Payload' }, pretty(payload)));
  } catch (problem) {
    pressed.disabled = false;
    say(at('failed-note'), problem.message, 'bad');
  }
}

const again = (ids) => change('retry', ids, 'back in the queue');

function remove(ids) {
  if (confirm(`Delete ${plural(ids.length, 'failed job')} for good?`)) change('delete', ids, 'deleted');
}

async function change(what, ids, done) {
  if (busy || !ids.length) return;
  busy = true;
  for (const one of document.querySelectorAll('#failed button')) one.disabled = true;
  let told = [0, ''];
  try {
    const answer = await ask(`api/failed/${what}`, { ids });
    told = [answer.done, answer.problem];
  } catch (refusal) {
    told[1] = refusal.message;
  }
  const [count, problem] = told;
  changes += 1;
  busy = false;
  drawn = '';
  if (problem) say(at('failed-note'), `${plural(count, 'job')} ${done}; ${problem}`, 'bad');
  else say(at('failed-note'), `${plural(count, 'job')} ${done}`, 'good');
  if (group && count === ids.length) group = '';
  await show().catch(draw);
}

function choose(key) {
  group = key;
  page = 1;
  refresh();
}

function turn(by) {
  page += by;
  refresh();
}

function refresh() {
  changes += 1;
  show().catch(() => {}); // the state in the corner says so
}

at('failed-search').addEventListener('input', () => choose(''));
at('failed-newer').addEventListener('click', () => turn(-1));
at('failed-older').addEventListener('click', () => turn(1));
at('retry-all').addEventListener('click', () => again(known.ids));
at('delete-all').addEventListener('click', () => remove(known.ids));

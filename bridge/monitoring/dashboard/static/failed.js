// Failed jobs, with the reason and a way back into the queue.
import { ask, at, eventName, make, plural, say, whileShown } from './dom.js';

let counted = null;
let shown = [];
let retries = 0; // an answer that was asked for before a retry says nothing any more

async function show() {
  const asked = retries;
  const rows = await ask('api/failed');
  if (asked !== retries) return;
  at('failed-badge').hidden = !rows.length;
  at('failed-badge').textContent = rows.length >= 100 ? '99+' : rows.length;
  at('retry-all').disabled = !rows.length;
  if (JSON.stringify(rows) === JSON.stringify(shown)) return;
  shown = rows;
  at('failures').replaceChildren(...rows.map(item));
}

whileShown('failed', 3_000, show);

/** Jobs that failed since the start: where there are more of them, the list is old. */
export async function countFailed(count) {
  if (count === counted) return;
  counted = count;
  await show().catch(() => {}); // the state in the corner says so
}

function item(row) {
  const retry = make('button', { type: 'button', 'aria-label': `Retry ${row.event}`, onclick: () => again([row]) }, 'Retry');
  return make('li', { class: 'failure', 'data-id': row.id },
    make('p', {}, eventName(row.event || 'no broadcast job')), retry,
    make('p', { class: 'reason' }, row.reason),
    make('p', { class: 'about' }, `${row.failed_at}, queue `, row.queue, ', ', make('code', {}, row.id)),
    row.whole.includes('\n') ? make('details', {}, make('summary', {}, 'All of it'), make('pre', { tabindex: 0, role: 'group', 'aria-label': 'Exception' }, row.whole)) : null);
}

async function again(rows) {
  for (const button of document.querySelectorAll('#failed button')) button.disabled = true;
  let done = 0;
  let problem = null;
  for (const { id } of rows) {
    try {
      await ask(`api/failed/${encodeURIComponent(id)}/retry`, {});
      done += 1;
      retries += 1;
      at('failures').querySelector(`[data-id="${CSS.escape(id)}"]`)?.remove();
    } catch (refusal) {
      problem = refusal;
    }
  }
  if (problem) say(at('failed-note'), `${plural(done, 'job')} back in the queue; ${problem.message}`, 'bad');
  else say(at('failed-note'), `${plural(done, 'job')} back in the queue`, 'good');
  for (const button of document.querySelectorAll('#failed button')) button.disabled = false;
  shown = shown.filter(({ id }) => at('failures').querySelector(`[data-id="${CSS.escape(id)}"]`));
  await show().catch(() => {});
}

at('retry-all').addEventListener('click', () => again(shown));

// Jobs by class and queue, over time; what lies in the queues, and pausing them.
import { ask, at, brief, eventName, make, number, plural, say, span, whileShown } from './dom.js';
import { barCharts, sum } from './bars.js';

const seconds = (value) => (value === null ? '–' : span(value * 1000));
const longest = (values) => `longest ${seconds(Math.max(...values))}`;
const draw = barCharts(at('jobs-charts'), [
  { title: 'Jobs done', tint: 5, at: 1, whole: sum },
  { title: 'Failed', tint: 3, at: 2, whole: sum },
  { title: 'Wait of 95 %', tint: 6, at: 3, whole: longest, format: seconds },
  { title: 'Run time of 95 %', tint: 4, at: 4, whole: longest, format: seconds },
]);

let chosen = null; // { event, queue } whose charts are shown; all, if null

const refresh = whileShown('jobs', 10_000, async () => {
  const asked = { range: at('jobs-range').value, ...chosen };
  const found = await ask(`api/job-history?${new URLSearchParams(asked)}`);
  if (JSON.stringify(asked) !== JSON.stringify({ range: at('jobs-range').value, ...chosen })) return;
  say(at('jobs-problem'), found.problem, found.problem ? 'bad' : '');
  at('jobs-note').textContent = found.keeps
    ? `A bar is ${span((found.width ?? 60) * 1000)}. Percentiles are about right: durations are counted in classes of length.`
    : 'The last hour is in memory only, and a restart forgets it: bridge statistics create makes a table that keeps a month.';
  at('jobs-one').hidden = !chosen;
  if (chosen) at('jobs-one').replaceChildren('Charts of ', eventName(chosen.event), `, queue ${chosen.queue}. `, make('button', { type: 'button', class: 'link', onclick: () => choose(null) }, 'Show all jobs'));
  const minutes = (found.end - found.start) / 60;
  const focused = document.activeElement?.dataset?.job;
  at('jobs-rows').replaceChildren(...found.rows.map((row) => item(row, minutes)));
  if (focused) [...at('jobs-rows').querySelectorAll('[data-job]')].find((one) => one.dataset.job === focused)?.focus();
  at('jobs-more').textContent = found.total > found.rows.length ? `${number(found.rows.length)} of ${number(found.total)} classes, the busiest.` : '';
  draw(found);
});

function item(row, minutes) {
  const { event, queue, done, nothing, failed, released, rungs, wait, run } = row;
  const by = Object.entries(rungs).map(([rung, count]) => `${rung === 'none' ? 'nobody' : rung} ${number(count)}`).join(', ');
  return make('tr', {},
    make('td', {}, make('button', { type: 'button', class: 'link name', 'data-job': `${event} ${queue}`, onclick: () => choose({ event, queue }) }, eventName(event)), make('small', {}, `queue ${queue}, ${by}`)),
    cell('Done', number(done + nothing)), cell('A minute', brief((done + nothing) / minutes)), cell('Failed', failed ? number(failed) : '', failed ? 'bad' : ''), cell('Tried later', released ? number(released) : ''),
    cell('Wait', wait.map(seconds).join(' / ')), cell('Run time', run.map(seconds).join(' / ')));
}

const cell = (title, text, look = '') => make('td', { class: `number ${look}`, 'data-title': title }, text);

function choose(one) {
  chosen = one;
  refresh();
}

// ---- what lies in the queues ---------------------------------------------------------------------

const STATES = { reserved: 'reserved', waiting: 'waiting', delayed: 'delayed' };

const refreshQueued = whileShown('jobs', 3_000, async () => {
  const asked = { search: at('queued-search').value.trim(), state: at('queued-state').value };
  const { queues, paused, problem, states, total, is_all: isAll, rows } = await ask(`api/queued?${new URLSearchParams(asked)}`);
  const focused = document.activeElement?.dataset?.queue;
  at('jobs-queues').replaceChildren(...queues.map((queue) => queueItem(queue, paused.includes(queue))));
  if (focused) [...at('jobs-queues').querySelectorAll('[data-queue]')].find((one) => one.dataset.queue === focused)?.focus();
  at('queued-counts').textContent = Object.entries(STATES).map(([state, word]) => `${number(states[state])} ${word}`).join(', ') + (isAll ? '' : ' among the oldest that are looked at');
  if (problem) say(at('queued-note'), `pauses are not known: ${problem}`, 'bad');
  at('queued-rows').replaceChildren(...rows.map(queuedItem));
  at('queued-more').textContent = total > rows.length ? `${number(rows.length)} of ${plural(total, 'job')}: the filter finds the others.` : '';
});

function queueItem(queue, isPaused) {
  return make('li', {}, make('code', {}, queue), isPaused ? make('span', { class: 'tag paused' }, 'paused') : null,
    make('button', { type: 'button', class: 'doing', 'data-queue': queue, 'aria-label': `${isPaused ? 'Continue' : 'Pause'} the queue ${queue}`, onclick: () => turn(queue, isPaused) }, isPaused ? 'Continue' : 'Pause'));
}

async function turn(queue, isPaused) {
  if (!isPaused && !confirm(`Pause the queue ${queue}? Its jobs wait until it continues.`)) return;
  try {
    await ask(`api/queues/${isPaused ? 'continue' : 'pause'}`, { queue });
    say(at('queued-note'), isPaused ? `${queue} goes on` : `${queue} is paused: workers see it within a second or two`, 'good');
  } catch (problem) {
    say(at('queued-note'), problem.message, 'bad');
  }
  refreshQueued();
}

function queuedItem({ name, uuid, queue, state, attempts, due_at: due, queued_at: queued, tags }) {
  const now = Date.now() / 1000;
  const when = state === 'delayed' ? (due ? `due ${due > now ? `in ${span((due - now) * 1000)}` : 'now'}` : '')
    : queued ? `${span(Math.max(0, now - queued) * 1000)} ago` : '';
  return make('tr', {}, make('td', {}, eventName(name || 'not a job of Laravel'), make('small', {}, make('code', {}, uuid), tags.length ? ` ${tags.join(', ')}` : '')),
    make('td', {}, make('span', { class: 'tag' }, state)), make('td', {}, queue), make('td', { class: 'number' }, number(attempts)), make('td', { class: 'number' }, when));
}

at('jobs-range').addEventListener('change', refresh);
at('queued-search').addEventListener('input', refreshQueued);
at('queued-state').addEventListener('change', refreshQueued);

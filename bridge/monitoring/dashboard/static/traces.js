// The trace of each of the last broadcasts, as a timeline.
import { ask, at, channelCode, clock, eventName, make, number, span, whileShown } from './dom.js';
import { onApp, shownApp } from './apps.js';

let known = [];

const refresh = whileShown('broadcasts', 1_000, async () => {
  const found = await ask(`api/traces?${new URLSearchParams({ search: at('traces-search').value.trim(), app: shownApp() })}`);
  if (JSON.stringify(found) === JSON.stringify(known)) return;
  known = found;
  draw();
});

function draw() {
  const text = at('traces-search').value.trim().toLowerCase();
  const traces = known.map(summarized).filter((trace) => !text || trace.words.toLowerCase().includes(text));
  at('traces').replaceChildren(...traces.map(item));
  at('traces-none').textContent = text ? 'None of the broadcasts that are still known.' : 'No broadcast so far.';
}

/** What a list of steps says as a whole: of a job that came again, its last try. */
function summarized({ id, steps: all }) {
  const steps = all.slice(Math.max(0, all.findLastIndex((row) => row.step === 'reserved')));
  const tries = all.filter((row) => row.step === 'reserved').length;
  const reserved = steps.find((row) => row.step === 'reserved');
  const resolved = steps.find((row) => row.step === 'resolved');
  const sent = steps.filter((row) => row.kind === 'broadcast');
  const ended = steps.findLast((row) => ['delivered', 'nothing', 'failed', 'released', 'given_back'].includes(row.step));
  const first = steps[0];
  const channels = [...new Set(sent.flatMap((row) => row.channel.split(', ')))];
  const event = resolved?.event || reserved?.event || sent[0]?.event || '';
  return { id, first, tries, reserved, resolved, sent, ended, channels, event, words: [id, event, ...channels, resolved?.rung, ended?.why].join(' ') };
}

function item({ id, first, tries, reserved, resolved, sent, ended, channels, event }) {
  const steps = [];
  const from = reserved?.at;
  const after = (row) => (from === undefined ? '' : `+ ${span(Math.max(0, row.at - from) * 1000)}`);
  if (reserved) {
    steps.push(step('queued', 'Queued', queued(reserved)));
    steps.push(step('', 'Reserved', tries > 1 || reserved.attempts > 1 ? `try ${Math.max(tries, reserved.attempts)}` : reserved.queue));
  }
  if (resolved) steps.push(step('resolved', resolved.rung ? `Resolved: ${resolved.rung}` : 'Not resolved', `in ${span(resolved.ms)}`));
  if (sent.length) {
    const receivers = sent.reduce((sum, row) => sum + row.receivers, 0);
    steps.push(step('', 'Published', after(sent[0]) || `by ${sent[0].origin}`));
    steps.push(step(receivers ? 'done' : 'warn', `Sent to ${number(receivers)}`, receivers ? (receivers === 1 ? 'socket' : 'sockets') : 'nobody listens'));
  }
  if (ended?.step === 'delivered') steps.push(step('done', 'Done', after(ended)));
  else if (ended) steps.push(step(ended.tone ?? '', ended.text.replace('job ', ''), ended.delay ? `in ${span(ended.delay * 1000)}` : after(ended)));
  return make('li', { class: 'trace' },
    make('p', { class: 'top' }, eventName(event), clock(first.at)),
    make('p', { class: 'to' }, ...channels.map(channelCode), id.startsWith('#') ? null : make('code', { title: 'Job' }, id)),
    make('ol', { class: 'steps', 'aria-label': 'Steps' }, ...steps),
    ended?.why ? make('p', { class: `why ${ended.tone ?? ''}` }, ended.why) : null);
}

const step = (look, title, note) =>
  make('li', { class: look }, make('b', {}, title.charAt(0).toUpperCase() + title.slice(1)), make('small', {}, note));

/** Laravel tells the second only, so that nothing finer may be said. */
function queued({ at: moment, queued_at: since }) {
  if (since === undefined) return 'not told when';
  const waited = moment - since;
  return waited < 2 ? 'just before' : `${span(waited * 1000)} before`;
}

at('traces-search').addEventListener('input', () => {
  draw();
  refresh();
});
refresh();
onApp(refresh);

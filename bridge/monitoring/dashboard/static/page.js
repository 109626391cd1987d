// The frame around the panels: session, navigation, keys, and the stream from the server.
import { ask, at, base, believe, make, number, plural } from './dom.js';
import { addPoints, showSummary } from './charts.js';
import { addRows, startRows, togglePause } from './stream.js';
import './create.js';
import { setApps } from './apps.js';
import './history.js';
import './jobs.js';
import { allowPayloads, countFailed } from './failed.js';
import './channels_connections.js';
import './traces.js';
import './webhooks.js';

const panels = [...document.querySelectorAll('main > section')].map((section) => section.id);
const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));

function show() {
  const wanted = panels.includes(location.hash.slice(1)) ? location.hash.slice(1) : panels[0];
  for (const id of panels) at(id).hidden = id !== wanted;
  for (const [id, link] of links) {
    if (id === wanted) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  links.get(wanted).scrollIntoView({ block: 'nearest', inline: 'nearest' });
  document.title = `${links.get(wanted).querySelector('span').textContent} · bridge`;
  scrollTo(0, 0);
  dispatchEvent(new CustomEvent('panel', { detail: wanted }));
}

addEventListener('hashchange', () => {
  show();
  at('main').focus({ preventScroll: true });
});

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, textarea, select')) return;
  if (/^\d$/.test(event.key)) location.hash = panels[(Number(event.key) || 10) - 1];
  else if (event.key === 'p') togglePause();
  else if (event.key === '/') {
    const search = document.querySelector('main > section:not([hidden]) input[type=search]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

// ---- the stream ---------------------------------------------------------------------------------

function state(tone, text) {
  at('dot').className = tone;
  at('state').textContent = text;
}

function listen() {
  const source = new EventSource(`${base}/api/feed`);
  source.onopen = () => state('good', 'live');
  source.onerror = () => {
    state('wait', 'connecting again');
    if (source.readyState === EventSource.CLOSED) setTimeout(begin, 2_000);
  };
  source.onmessage = ({ data }) => {
    const { since, rows = [], points = [], summary, missed = 0 } = JSON.parse(data);
    if (since) startRows(since);
    if (rows.length) addRows(rows, missed);
    if (points.length) addPoints(points, Boolean(since));
    if (summary) {
      showSummary(summary);
      countFailed(summary.failed);
      at('facts').replaceChildren(
        fact(summary.connections, 'connection'), fact(summary.channels, 'channel'),
        fact(summary.subscriptions, 'subscription'), fact(summary.delivered, 'job', ' delivered'),
      );
      if (!summary.store) state('bad', 'the queue does not answer');
      else if (source.readyState === EventSource.OPEN) state('good', 'live');
    }
  };
}

const fact = (count, noun, more = '') =>
  make('span', {}, make('b', {}, number(count)), plural(count, noun).replace(/^[\d,]+/, '') + more);

async function begin() {
  try {
    const session = await ask('api/session');
    believe(session.csrf);
    at('app-name').textContent = session.name;
    at('version').textContent = `bridge ${session.version}, queue ${session.queue} (${session.queues.join(', ')})`;
    at('logout').hidden = !session.can_log_out;
    document.body.classList.toggle('looks', !session.may_do);
    setApps(session.apps);
    allowPayloads(session.shows_payloads);
    listen();
  } catch (problem) {
    state('bad', problem.message);
    setTimeout(begin, 2_000);
  }
}

at('logout').addEventListener('click', async () => {
  await ask('logout', {});
  location.reload();
});

show();
begin();

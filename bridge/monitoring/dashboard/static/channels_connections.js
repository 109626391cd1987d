// Channels with their members, and connections.
import { ask, at, channelCode, kindOf, make, number, plural, pretty, say as tell, span, whileShown } from './dom.js';
import { onApp, shownApp } from './apps.js';
import { fillChannel } from './create.js';

let opened = null; // { app, name } of the channel that is shown beside the list

const refreshChannels = whileShown('channels', 2_000, async () => {
  const { total, rows } = await ask(`api/channels?${new URLSearchParams({ search: at('channels-search').value.trim(), app: shownApp() })}`);
  const focused = document.activeElement?.dataset.channel;
  at('channels-rows').replaceChildren(...rows.map((row) =>
    make('tr', {},
      make('td', {}, make('button', { type: 'button', class: 'link', 'data-channel': row.name, onclick: () => open(row) }, row.name)),
      make('td', { class: 'app' }, row.app),
      make('td', {}, make('span', { class: `tag ${row.kind}` }, row.kind)),
      make('td', { class: 'number' }, number(row.subscribers)),
      make('td', { class: 'number' }, row.members === null ? '' : number(row.members)))));
  if (focused) at('channels-rows').querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
  say('channels-more', total, rows.length, 'channel');
  at('create-channels').replaceChildren(...rows.slice(0, 50).map((row) => make('option', { value: row.name })));
  if (opened) await showChannel();
});

function open(row) {
  opened = { app: row.app, name: row.name };
  showChannel();
}

async function showChannel() {
  const { app, name } = opened;
  const panel = at('channel');
  let found = null;
  try {
    found = await ask(`api/channels/${encodeURIComponent(app)}/${encodeURIComponent(name)}`);
  } catch {
    // vacant meanwhile
  }
  const close = make('button', { type: 'button', onclick: () => { opened = null; panel.hidden = true; } }, 'Close');
  const parts = [make('h2', {}, name), make('p', {}, make('span', { class: `tag ${found?.kind ?? kindOf(name)}` }, found?.kind ?? kindOf(name)), ' ',
    found ? plural(found.subscribers, 'subscriber') : 'nobody is subscribed any more')];
  if (found?.members.length) parts.push(make('h3', {}, plural(found.members.length, 'member')), make('ul', { class: 'members' }, ...found.members.map(member)));
  if (found?.cached) parts.push(make('h3', {}, 'Last event'), make('pre', { tabindex: 0, role: 'group', 'aria-label': 'Last event' }, pretty(found.cached)));
  if (found) parts.push(make('h3', {}, 'Sockets'), make('p', { class: 'mono' }, found.sockets.slice(0, 20).join(', ') + (found.sockets.length > 20 ? ' …' : '')));
  const key = JSON.stringify(found);
  if (panel.dataset.key === key && !panel.hidden) return;
  panel.dataset.key = key;
  panel.replaceChildren(...parts, make('p', { class: 'note', id: 'channel-note', role: 'status' }), make('p', { class: 'doings' }, make('button', { type: 'button', class: 'doing', onclick: () => fillChannel(app, name) }, 'Send an event to it'), close));
  panel.hidden = false;
}

function member({ id, info, connections }) {
  const title = nameOf(info) || id;
  return make('li', {}, make('span', { class: 'face', 'aria-hidden': 'true' }, title.slice(0, 2).toUpperCase()),
    make('span', {}, title, make('small', {}, ...(title === id ? [] : ['id ', id, ', ']), connections === null ? 'connected elsewhere' : plural(connections, 'connection'))),
    make('button', { type: 'button', class: 'doing', 'aria-label': `Disconnect the user ${id}`, onclick: () => end(at('channel-note'), opened.app, { user: id }) }, 'Disconnect'));
}

/** What the app calls a member, from its `user_info`; empty where that has no name. */
function nameOf(info) {
  try {
    const known = JSON.parse(info ?? 'null');
    return String((typeof known === 'string' ? known : known?.name ?? known?.username ?? known?.email) ?? '');
  } catch {
    return ''; // no JSON, no name
  }
}

/** The connection of a socket, or all of a user, end. */
async function end(note, appId, who) {
  const what = who.socket ? `the socket ${who.socket}` : `all connections of the user ${who.user}`;
  if (!confirm(`Disconnect ${what}? The clients do not come back by themselves.`)) return;
  try {
    const { ended } = await ask('api/disconnect', { appId, ...who });
    tell(note, ended === null ? 'The connections of the user end' : `${plural(ended, 'connection')} ended`, 'good');
  } catch (problem) {
    tell(note, problem.message, 'bad');
  }
  refreshConnections();
  refreshChannels();
}

const user = (app, { id, info }) => make('span', { class: 'user' }, nameOf(info) ? `${nameOf(info)} ` : null,
  document.body.classList.contains('looks') ? make('code', {}, id) : make('button', { type: 'button', class: 'link', title: 'Disconnect this user', 'aria-label': `Disconnect the user ${id}`, onclick: () => end(at('connections-note'), app, { user: id }) }, id));

const refreshConnections = whileShown('connections', 2_000, async () => {
  const { total, rows, missing } = await ask(`api/connections?${new URLSearchParams({ search: at('connections-search').value.trim(), app: shownApp() })}`);
  const focused = document.activeElement?.closest('#connections-rows tr')?.dataset.socket;
  const label = document.activeElement?.getAttribute('aria-label');
  at('connections-rows').replaceChildren(...rows.map((row) =>
    make('tr', { 'data-socket': row.id },
      make('td', {}, make('code', {}, row.id), row.process ? make('small', {}, row.process) : null), make('td', { class: 'app' }, row.app), make('td', {}, ...row.users.map((one) => user(row.app, one))),
      make('td', {}, make('code', {}, row.address)),
      make('td', {}, ...row.channels.slice(0, 6).flatMap((name) => [channelCode(name), ' ']), row.count > 6 ? `and ${row.count - 6} more` : ''),
      make('td', { class: 'number' }, row.slow ? 'slow' : row.silent < 1 ? 'no' : span(row.silent * 1000)),
      make('td', { class: 'number' }, make('button', { type: 'button', class: 'doing', 'aria-label': `Disconnect ${row.id}`, onclick: () => end(at('connections-note'), row.app, { socket: row.id }) }, 'Disconnect')))));
  if (focused) at('connections-rows').querySelector(`[data-socket="${CSS.escape(focused)}"] [aria-label="${CSS.escape(label)}"]`)?.focus();
  say('connections-more', total, rows.length, 'connection');
  sayMissing(at('connections-more'), missing);
});

function say(id, total, shown, noun) {
  at(id).textContent = total > shown ? `${number(shown)} of ${plural(total, noun)}: the filter finds the others.` : '';
}

/** Of several processes those that have not answered. */
export function sayMissing(note, missing) {
  if (missing.length) note.textContent = [note.textContent, `Not answered: ${missing.join(', ')}.`].join(' ').trim();
}

at('channels-search').addEventListener('input', refreshChannels);
at('connections-search').addEventListener('input', refreshConnections);
onApp(() => {
  refreshChannels();
  refreshConnections();
});

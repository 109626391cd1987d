import { Pusher } from './pusher.js';

const CHANNELS = ['ChatChannel', 'releases', 'private-room.17', 'presence-room.5.red'];
const EXPLAINED = {
  public: 'Everybody may listen.',
  private: 'Listening takes a signature of the app.',
  presence: 'As private, and everybody sees who is there.',
};
const NAMES = ['Ada', 'Alan', 'Barbara', 'Dennis', 'Edsger', 'Frances', 'Grace', 'Ken', 'Margaret', 'Niklaus', 'Radia', 'Tony'];
const MOST_ROWS = 200;

const at = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name=demo-${name}]`).content;
const make = (id) => at(id).content.firstElementChild.cloneNode(true);
const kindOf = (channel) => /^(private|presence)-/.exec(channel)?.[1] ?? 'public';

// ---- who I am: another one in each window, the same after a reload ------------------------------

const random = (below) => crypto.getRandomValues(new Uint32Array(1))[0] % below;
const me = JSON.parse(sessionStorage.getItem('me')) ?? { id: String(random(1e9)), name: NAMES[random(NAMES.length)] };
sessionStorage.setItem('me', JSON.stringify(me));
at('me').textContent = me.name;

async function post(path, fields) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Demo-Token': meta('token') },
    body: JSON.stringify(fields),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// ---- connection ---------------------------------------------------------------------------------

const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const pusher = new Pusher(
  `${scheme}://${location.host}/app/${meta('key')}?protocol=7&client=bridge-demo&version=1.0`,
  (socketId, channel) =>
    post('/demo/auth', { socket_id: socketId, channel_name: channel, user_id: me.id, name: me.name }),
);

const STATES = {
  connecting: () => 'connecting',
  connected: () => 'connected',
  waiting: (seconds) => (seconds ? `disconnected, again in ${seconds} s` : 'connecting again'),
  refused: (why) => `refused: ${why}. Load the page again.`,
};

pusher.onstate = (state, detail) => {
  at('dot').className = state;
  at('state').textContent = STATES[state](detail);
  at('socket-id').textContent = state === 'connected' ? detail : 'none';
  if (state !== 'connected') channels.forEach((channel) => channel.left());
};

// ---- channels -----------------------------------------------------------------------------------

class Channel {
  members = new Map();

  constructor(name) {
    this.name = name;
    this.kind = kindOf(name);
    const item = make('channel');
    this.toggle = item.querySelector('input');
    this.note = item.querySelector('.note');
    this.list = item.querySelector('.members');
    item.querySelector('.name').textContent = name;
    const kind = item.querySelector('.kind');
    kind.textContent = this.kind;
    kind.classList.add(this.kind);
    this.toggle.addEventListener('change', () => {
      if (this.toggle.checked) {
        pusher.subscribe(name);
      } else {
        pusher.unsubscribe(name);
        this.left();
      }
    });
    at('channels').append(item);
    this.say('');
  }

  say(problem) {
    this.note.classList.toggle('bad', Boolean(problem));
    this.note.textContent = problem || EXPLAINED[this.kind];
  }

  left() {
    this.members.clear();
    this.show();
  }

  show() {
    const items = [...this.members].map(([id, name]) => {
      const item = document.createElement('li');
      item.textContent = id === me.id ? `${name} (you)` : name;
      item.classList.toggle('me', id === me.id);
      return item;
    });
    this.list.replaceChildren(...items);
  }

  /** Whether the message was one of the protocol's own. */
  takes({ event, data }) {
    switch (event) {
      case 'pusher_internal:subscription_succeeded':
        this.say('');
        this.members = new Map(Object.entries(data.presence?.hash ?? {}).map(([id, info]) => [id, info.name]));
        break;
      case 'pusher_internal:member_added':
        this.members.set(data.user_id, data.user_info.name);
        break;
      case 'pusher_internal:member_removed':
        this.members.delete(data.user_id);
        break;
      case 'pusher:subscription_error':
        this.say(data.error);
        break;
      default:
        return false;
    }
    this.show();
    return true;
  }
}

const channels = new Map(CHANNELS.map((name) => [name, new Channel(name)]));
for (const { name, kind } of channels.values()) {
  if (kind !== 'public') at('whisper-channel').append(new Option(name, name));
}
at('whisper-channel').value = CHANNELS.at(-1);

// ---- what arrives -------------------------------------------------------------------------------

const latencies = [];
let received = 0;
let waiting = null; // rows that wait while the stream is paused

pusher.onevent = (message) => {
  if (message.event === 'pusher:error') {
    say('whisper-note', message.data.message, true);
  } else if (!channels.get(message.channel)?.takes(message)) {
    arrived(message);
  }
};

function arrived({ event, channel, data, user_id }) {
  const pushedAt = find(data, 'pushed_at');
  const milliseconds = pushedAt && Math.max(Date.now() - pushedAt, 0);
  received += 1;
  at('count').textContent = received;
  const whisper = event.startsWith('client-');
  if (milliseconds !== undefined && !whisper) {
    latencies.push(milliseconds);
    if (latencies.length > 50) latencies.shift();
    const sorted = [...latencies].sort((a, b) => a - b);
    at('median').textContent = `${sorted[sorted.length >> 1]} ms`;
  }
  const who = channels.get(channel)?.members.get(user_id) ?? data?.from;
  show({
    title: whisper ? `Whisper${who ? ` from ${who}` : ''}` : event,
    channel,
    data,
    latency: milliseconds === undefined ? '' : `${milliseconds} ms`,
    look: whisper ? 'whisper' : data?.from ? 'own' : '',
  });
}

/** The first value under that key, however deep. */
function find(value, key) {
  if (value === null || typeof value !== 'object') return undefined;
  if (Object.hasOwn(value, key)) return value[key];
  for (const inner of Object.values(value)) {
    const found = find(inner, key);
    if (found !== undefined) return found;
  }
  return undefined;
}

function show({ title, channel, data, latency, look }) {
  const row = make('event');
  const now = new Date();
  const time = row.querySelector('time');
  time.dateTime = now.toISOString();
  time.textContent = `${now.toTimeString().slice(0, 8)}.${String(now.getMilliseconds()).padStart(3, '0')}`;
  const [name, ...namespaces] = title.split('\\').reverse();
  row.querySelector('.namespace').textContent = namespaces.reverse().map((part) => `${part}\\`).join('');
  row.querySelector('.event').append(name);
  row.querySelector('.latency').textContent = latency;
  row.querySelector('.channel').textContent = channel;
  row.querySelector('.channel').classList.add(kindOf(channel));
  row.querySelector('.preview').textContent = JSON.stringify(data);
  row.querySelector('pre').textContent = JSON.stringify(data, null, 2);
  if (look) row.classList.add(look);
  row.querySelector('details').open = Boolean(look);
  if (waiting) {
    waiting.push(row);
    at('pause').textContent = `Resume (${waiting.length})`;
  } else {
    put([row]);
  }
}

function put(rows) {
  const list = at('events');
  for (const row of rows) {
    row.classList.add('new');
    list.prepend(row);
  }
  while (list.childElementCount > MOST_ROWS) list.lastElementChild.remove();
}

at('pause').addEventListener('click', ({ currentTarget: button }) => {
  const rows = waiting;
  waiting = rows ? null : [];
  if (rows) put(rows);
  button.textContent = waiting ? 'Resume' : 'Pause';
  button.setAttribute('aria-pressed', String(Boolean(waiting)));
});

at('clear').addEventListener('click', () => at('events').replaceChildren());

// ---- forms --------------------------------------------------------------------------------------

function say(id, text, bad = false) {
  at(id).textContent = text;
  at(id).classList.toggle('bad', bad);
}

at('push').addEventListener('submit', async (event) => {
  event.preventDefault();
  const field = at('push-text');
  const text = field.value;
  field.value = '';
  try {
    await post('/demo/push', { text, name: me.name });
    say('push-note', 'In the queue: App\\Events\\ChatMessage, for ChatChannel.');
  } catch (problem) {
    field.value ||= text;
    say('push-note', problem instanceof TypeError ? 'The demo does not answer.' : problem.message, true);
  }
});

at('whisper').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = at('whisper-text');
  const channel = at('whisper-channel').value;
  const data = { text: field.value, from: me.name, pushed_at: Date.now() };
  if (!channels.get(channel).toggle.checked) {
    say('whisper-note', `Listen to ${channel} first: whispers go from subscriber to subscriber.`, true);
    return;
  }
  if (!pusher.whisper(channel, 'whisper', data)) {
    say('whisper-note', 'Not connected.', true);
    return;
  }
  field.value = '';
  const others = kindOf(channel) === 'presence' ? channels.get(channel).members.size - 1 : null;
  say('whisper-note', others === 0 ? 'Sent, but nobody else is there: open a second window.' : 'Sent to the others.');
  show({ title: 'You whispered', channel, data, latency: '', look: 'whisper' });
});

// ---- start --------------------------------------------------------------------------------------

CHANNELS.forEach((name) => pusher.subscribe(name));
pusher.connect();

// Small things for all panels. Text from outside only ever becomes text nodes.

export const at = (id) => document.getElementById(id);
export const base = document.body.dataset.base;

/** An element: make('li', { class: 'x', onclick }, 'text', child, …); null children are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== '').map(alone));
  return element;
}

/** Text that runs from right to left, or says so, turns round nothing but itself. */
const TURNS = /[\u0590-\u08ff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]|[\ud802\ud803\ud83a\ud83b]/;
function alone(child) {
  if (typeof child !== 'string' || !TURNS.test(child)) return child;
  const element = document.createElement('bdi');
  element.textContent = child;
  return element;
}

let csrf = '';
export const believe = (token) => { csrf = token; };

/** The answer of the server; throws an Error whose message a person can read. */
export async function ask(path, fields) {
  const options = fields === undefined ? {} : {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf },
    body: JSON.stringify(fields),
  };
  let answer;
  try {
    answer = await fetch(`${base}/${path}`, options);
  } catch {
    throw new Error('the server does not answer');
  }
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

export function say(element, text, tone = '') {
  element.textContent = text && `${text[0].toUpperCase()}${text.slice(1)}${/[.!…]$/.test(text) ? '' : '.'}`;
  element.className = `note ${tone}`;
}

const KINDS = [[/^private-encrypted-/, 'encrypted'], [/^presence-/, 'presence'], [/^private-/, 'private'], [/^cache-/, 'cache']];
export const kindOf = (channel) => KINDS.find(([rule]) => rule.test(channel))?.[1] ?? 'public';

export const channelCode = (name) => make('code', { class: kindOf(name) }, name);

/** `App\Events\` soft, the rest strong; a long name is broken between its parts first. */
export function eventName(name) {
  const parts = name.split('\\');
  const own = parts.pop();
  const space = parts.flatMap((part) => [`${part}\\`, document.createElement('wbr')]);
  const words = own.replace(/([\p{Ll}\d])(?=\p{Lu})/gu, '$1\0').split('\0').flatMap((word) => [word, document.createElement('wbr')]);
  return make('span', { title: name }, make('span', { class: 'space' }, ...space), make('span', { class: 'event' }, ...words));
}

export function clock(seconds) {
  const moment = new Date(seconds * 1000);
  const text = `${moment.toTimeString().slice(0, 8)}.${String(moment.getMilliseconds()).padStart(3, '0')}`;
  return make('time', { datetime: moment.toISOString() }, text);
}

/** A job's uuid that leads to its trace. */
export const wayOf = (job) =>
  make('button', { type: 'button', class: 'link', title: 'Show its trace', onclick: () => showTrace(job) }, job);

function showTrace(job) {
  at('traces-search').value = job;
  at('traces-search').dispatchEvent(new Event('input'));
  location.hash = 'broadcasts';
}

const grouped = new Intl.NumberFormat('en');
export const number = (value) => grouped.format(value);

/** A rate or a duration, with as many digits as a person can use. */
export function brief(value) {
  if (value >= 100 || value === 0) return number(Math.round(value));
  return value >= 10 ? value.toFixed(1).replace(/\.0$/, '') : value.toFixed(value < 1 ? 2 : 1).replace(/\.?0+$/, '');
}

export function span(milliseconds) {
  if (milliseconds < 1000) return `${brief(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${brief(milliseconds / 1000)} s`;
  if (milliseconds < 7_200_000) return `${Math.round(milliseconds / 60_000)} min`;
  return milliseconds < 172_800_000 ? `${Math.round(milliseconds / 3_600_000)} h` : `${number(Math.round(milliseconds / 86_400_000))} days`;
}

export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;

/** Runs now and then every few milliseconds while the panel is shown and the window visible. */
export function whileShown(panel, milliseconds, work) {
  let busy = false;
  const run = async () => {
    if (busy || at(panel).hidden || document.hidden) return;
    busy = true;
    try {
      await work();
    } catch {
      // the state in the corner says so
    } finally {
      busy = false;
    }
  };
  setInterval(run, milliseconds);
  addEventListener('panel', ({ detail }) => detail === panel && run());
  return run;
}

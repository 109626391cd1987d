// Which app the panels show: one, or all. With one app, nobody is asked.
import { at, make } from './dom.js';

let apps = [];
const listeners = [];

/** `work` is done whenever another app is chosen, and when the apps are known. */
export const onApp = (work) => listeners.push(work);

/** The id of the app to show; empty: all. */
export const shownApp = () => at('app-filter').value;

/** The same, where there must be one: the first, if all are shown. */
export const chosenApp = () => shownApp() || (apps[0]?.id ?? '');

export const appOptions = () => apps.map(({ id, name }) => make('option', { value: id }, name ? `${name} (${id})` : id));

export function setApps(known) {
  apps = known;
  const chosen = shownApp();
  at('app-filter').replaceChildren(make('option', { value: '' }, 'All apps'), ...appOptions());
  if (apps.some(({ id }) => id === chosen)) at('app-filter').value = chosen;
  at('app-choice').hidden = apps.length < 2;
  at('main').classList.toggle('one-app', apps.length < 2);
  for (const work of listeners) work();
}

at('app-filter').addEventListener('change', () => listeners.forEach((work) => work()));

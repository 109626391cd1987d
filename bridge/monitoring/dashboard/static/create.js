// An event to the subscribers, or a job into the queue.
import { ask, at, plural, say, wayOf } from './dom.js';
import { appOptions, chosenApp, onApp, shownApp } from './apps.js';

const SEED = { a: 'b', c: 'd' };
const PAYLOAD = { array: [1, 2, 3], boolean: true, color: 'gold', null: null, number: 123, object: SEED, string: 'Hello World' };

at('create-data').value = JSON.stringify(PAYLOAD, null, 2);
at('create-data').placeholder = JSON.stringify(PAYLOAD);

onApp(() => {
  const chosen = shownApp() || at('create-app').value;
  at('create-app').replaceChildren(...appOptions());
  at('create-app').value = [...at('create-app').options].some(({ value }) => value === chosen) ? chosen : chosenApp();
});

/** The form is shown, for an event to this channel. */
export function fillChannel(app, channel) {
  at('create-app').value = app;
  at('create-channel').value = channel;
  say(at('create-note'), '');
  location.hash = 'create';
}

at('creator').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = event.submitter;
  const fields = { appId: at('create-app').value, channel: at('create-channel').value.trim(), event: at('create-event').value.trim(), data: at('create-data').value };
  try {
    JSON.parse(fields.data);
  } catch (problem) {
    say(at('create-note'), `the data are no JSON: ${problem.message}`, 'bad');
    at('create-data').focus();
    return;
  }
  if (button) button.disabled = true;
  try {
    if (new FormData(event.target).get('as') === 'job') {
      const { job } = await ask('api/jobs', fields);
      say(at('create-note'), '', 'good');
      at('create-note').append('In the queue as ', wayOf(job), '.');
    } else {
      const { receivers } = await ask('event', fields);
      say(at('create-note'), receivers ? `sent to ${plural(receivers, 'socket')}` : 'sent, but nobody is subscribed to this channel', receivers ? 'good' : '');
    }
  } catch (problem) {
    say(at('create-note'), problem.message, 'bad');
  }
  if (button) button.disabled = false;
});

at('creator').addEventListener('change', ({ target }) => target.name === 'as' && say(at('create-note'), ''));

// The dashboard in Chromium, used as a person would. Runs in fixtures/browser.
//   node page.mjs ADDRESS CHROMIUM PASSWORD APP_KEY EVENT SHOTS
// Prints lines of JSON; after {"wait": …} it reads a line from stdin before it goes on.
// SHOTS: a folder for screenshots, or empty.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [address, executablePath, password, key, event, shots] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = (report) => console.log(JSON.stringify(report));
const ask = async (wait) => { tell({ wait }); await lines.next(); };

const PANELS = ['overview', 'jobs', 'history', 'live', 'broadcasts', 'channels', 'connections', 'webhooks', 'create', 'failed'];
const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1360, height: 860 } },
  dark: { colorScheme: 'dark', viewport: { width: 1360, height: 860 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true },
};
const complaints = [];
const foreign = [];

const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

async function open(look) {
  // axe is put into the page from outside, which the page's own policy would not allow
  const context = await browser.newContext({ ...look, bypassCSP: false, reducedMotion: 'reduce' });
  await context.addInitScript(axe);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('request', (request) => { if (!request.url().startsWith(address)) foreign.push(request.url()); });
  return page;
}

/** `rules`: only these; none: every one. */
async function faults(page, where, ...rules) {
  const { violations } = await page.evaluate((only) => window.axe.run(document, { resultTypes: ['violations'], ...(only.length ? { runOnly: only } : {}) }), rules);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${where}: ${id}: ${nodes.slice(0, 3).map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ''}`).join(' | ')}`);
}

const shoot = async (page, name) => { if (shots) await page.screenshot({ path: `${shots}/${name}.png` }); };

async function panel(page, id) {
  await page.locator(`nav a[href="#${id}"]`).click();
  await page.locator(`#${id}:not([hidden])`).waitFor();
}

try {
  const found = [];
  const page = await open(LOOKS.light);

  // log in, first with a wrong password
  const quiet = complaints.length;
  await page.goto(`${address}/laravel-websockets`);
  found.push(...await faults(page, 'login'));
  await page.locator('#password').fill('wrong');
  await page.keyboard.press('Enter');
  await page.locator('#note', { hasText: 'This is not the password.' }).waitFor();
  complaints.splice(quiet); // the browser tells of each answer that is an error
  await shoot(page, 'login');
  await page.locator('#password').fill(password);
  await page.keyboard.press('Enter');
  await page.locator('#dot.good').waitFor();
  const source = await page.content();

  // a client, by the page's own means: it is nobody's page, so that it counts as foreign to the dashboard
  const client = await (await browser.newContext()).newPage();
  await client.goto(`${address}/up`);
  await client.evaluate(([url]) => new Promise((resolve) => {
    window.got = [];
    window.socket = new WebSocket(url);
    window.socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      window.got.push(message);
      if (message.event === 'pusher:connection_established') {
        for (const channel of ['ChatChannel', 'releases', 'private-refused']) {
          window.socket.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth: 'x:y' } }));
        }
      }
      if (message.event === 'pusher:subscription_error') resolve();
    };
  }), [`${address.replace('http', 'ws')}/app/${key}?protocol=7`]);
  const got = (name, text) => client.waitForFunction(
    ([event, part]) => window.got.find((one) => one.event === event && JSON.stringify(one.data).includes(part)), [name, text], { timeout: 60_000 });

  // by keyboard: the fourth panel, pause and go on
  await page.keyboard.press('4');
  await page.locator('#live:not([hidden])').waitFor();
  for (const text of ['connected', 'subscribed', 'subscription refused']) {
    await page.locator('#stream .kind', { hasText: new RegExp(`^${text}$`) }).first().waitFor();
  }
  await page.keyboard.press('p');
  await page.locator('#pause[aria-pressed=true]').waitFor();

  // a name that turns the writing around turns nothing but itself; an event straight to the client
  await panel(page, 'create');
  await page.locator('#create-event').fill('App\\Events\\\u202eevil');
  await page.locator('#creator .primary').click();
  await page.locator('#create-note.good', { hasText: 'Sent to 1 socket' }).waitFor();
  await panel(page, 'broadcasts');
  await page.locator('#traces bdi', { hasText: '\u202eevil' }).first().waitFor();
  await panel(page, 'create');
  await page.locator('#create-event').fill('made.here');
  await page.locator('#create-data').fill('{"text": "straight <b>ы</b>"}');
  await page.locator('#creator .primary').click();
  await page.locator('#create-note.good', { hasText: 'Sent to 1 socket' }).waitFor();
  const straight = (await (await got('made.here', 'straight')).jsonValue()).data;

  // a job through the queue
  await page.locator('[name=as][value=job]').check();
  await page.locator('#create-data').fill('{"text": "queued"}');
  await page.locator('#creator .primary').click();
  await page.locator('#create-note.good', { hasText: 'In the queue as' }).waitFor();
  const queued = (await (await got('made.here', 'queued')).jsonValue()).data;
  await page.locator('#create-data').fill('{not json');
  await page.locator('#creator .primary').click();
  await page.locator('#create-note.bad', { hasText: 'no JSON' }).waitFor();

  // paused rows wait, and come
  await panel(page, 'live');
  const before = await page.locator('#stream > li').count();
  await page.locator('#pause', { hasText: /Resume \(\d+\)/ }).waitFor();
  await page.locator('#pause').click();
  await page.waitForFunction((count) => document.querySelectorAll('#stream > li').length > count, before);
  await page.locator('#live-search').fill('made.here');
  await page.waitForFunction(() => [...document.querySelectorAll('#stream > li')].every((row) => /made\.here|AnonymousEvent/.test(row.textContent)));
  await page.locator('#live-search').fill('');
  await page.locator('#kinds [data-kind=job]').click();
  await page.waitForFunction(() => !document.querySelector('#stream [data-kind=job]'));
  await page.locator('#kinds [data-kind=job]').click();

  // the trace of that job, from one of its rows
  const row = page.locator('#stream > li', { hasText: 'AnonymousEvent' }).first();
  await row.locator('summary').click();
  await row.locator('button.link').click();
  await page.locator('#broadcasts:not([hidden])').waitFor();
  const trace = page.locator('.trace', { hasText: 'AnonymousEvent' });
  await trace.locator('.steps li', { hasText: 'Done' }).waitFor();
  const steps = await trace.locator('.steps b').allTextContents();
  await page.locator('#traces-search').fill('nothing like it');
  await page.locator('#traces-none', { hasText: 'None of the broadcasts' }).waitFor();
  await page.locator('#traces-search').fill('');
  await page.locator('.trace').first().waitFor();

  // who is there
  await panel(page, 'channels');
  await page.locator('[data-channel=ChatChannel]').click();
  await page.locator('#channel', { hasText: '1 subscriber' }).waitFor();
  await page.evaluate(() => { document.getElementById('create-channel').value = 'other'; });
  await page.locator('#channel button', { hasText: 'Send an event to it' }).click();
  await page.waitForFunction(() => document.getElementById('create-channel').value === 'ChatChannel' && !document.getElementById('create').hidden);
  await panel(page, 'connections');
  await page.locator('#connections-rows tr', { hasText: 'ChatChannel' }).waitFor();
  await panel(page, 'overview');
  await page.locator('#chart-connections .figure', { hasText: /^1$/ }).waitFor();
  await page.locator('#trouble', { hasText: 'private-refused' }).waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll('#charts .chart')].filter((chart) => chart.querySelector('.line').getAttribute('d')).length >= 5);
  await page.locator('#queues', { hasText: 'default' }).waitFor();
  const bars = await page.locator('#rungs .bar').allTextContents();

  // jobs by class; a queue is paused, a job waits in it, and goes on
  await panel(page, 'jobs');
  await page.locator('#jobs-rows tr', { hasText: 'AnonymousEvent' }).waitFor();
  await page.locator('#jobs-rows button').first().click();
  await page.locator('#jobs-one', { hasText: 'Charts of' }).waitFor();
  await page.locator('#jobs-one button').click();
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Pause the queue default' }).click();
  await page.getByRole('button', { name: 'Continue the queue default' }).waitFor();
  await ask('a job that waits');
  await page.locator('#queued-search').fill('alike');
  await page.locator('#queued-rows tr', { hasText: 'waiting' }).first().waitFor();
  found.push(...await faults(page, 'a paused queue'));
  await shoot(page, 'light-paused');
  await page.locator('#queued-search').fill('');
  await page.getByRole('button', { name: 'Continue the queue default' }).click();
  await page.getByRole('button', { name: 'Pause the queue default' }).waitFor();

  // failures that are equal: a group, searched, deleted; the second time the person means it
  await ask('equal failures');
  await panel(page, 'failed');
  const group = page.locator('#groups-rows > li', { hasText: 'Alike' });
  await group.locator('.count', { hasText: '30 ×' }).waitFor();
  await page.locator('#failed-page', { hasText: 'Page 1 of 2' }).waitFor();
  await page.locator('#failed-older').click();
  await page.waitForFunction(() => document.querySelectorAll('#failures > li').length === 5);
  await group.getByRole('button', { name: /Show/ }).click();
  await page.locator('#failed-group button').waitFor();
  await shoot(page, 'light-failed-group');
  await page.locator('#failed-group button').click();
  await group.waitFor();
  found.push(...await faults(page, 'a group'));
  const phone = await open(LOOKS.phone);
  await phone.context().addCookies(await page.context().cookies());
  await phone.goto(`${address}/laravel-websockets#failed`);
  await phone.locator('#groups-rows > li').waitFor();
  const broadest = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  found.push(...await faults(phone, 'a group on a phone'));
  await shoot(phone, 'phone-failed-group');
  await phone.context().close();
  const payload = page.locator('#failures > li').first().getByRole('button', { name: /payload/ });
  await payload.click();
  const shownPayload = await page.locator('#failures > li .payload pre').first().textContent();
  await page.locator('#failed-search').fill('no such failure');
  await page.locator('#failed-none', { hasText: 'None of the failed jobs.' }).waitFor();
  await page.locator('#failed-search').fill('alike');
  page.once('dialog', (dialog) => dialog.dismiss());
  await group.getByRole('button', { name: /Delete/ }).click();
  page.once('dialog', (dialog) => dialog.accept());
  await group.getByRole('button', { name: /Delete/ }).click();
  await page.locator('#failed-note', { hasText: '30 jobs deleted.' }).waitFor();
  await page.waitForFunction(() => !document.querySelector('#failures > li') && document.getElementById('groups').hidden);
  await page.locator('#failed-search').fill('');

  // a failed job, by way of what needs a look, mended and retried
  await ask('a job that fails');
  await panel(page, 'overview');
  const trouble = page.locator('#trouble > li', { hasText: event.split('\\').at(-1) }).first();
  await trouble.locator('summary').click();
  await trouble.getByRole('button', { name: 'Show the failed job' }).click();
  await page.locator('#failed:not([hidden])').waitFor();
  const failure = page.locator('.failure', { hasText: event.split('\\').at(-1) });
  await failure.waitFor();
  const reason = await failure.locator('.reason').textContent();
  await page.locator('#failed-badge', { hasText: '1' }).waitFor();
  await shoot(page, 'light-failed');
  found.push(...await faults(page, 'a failure'));
  await ask('its mend');
  // bridge looks at the app's files once a second: too quick a retry fails once more
  const mended = () => client.evaluate(() => window.got.some((one) => one.event === 'mended' && one.data.includes('hi')));
  const deadline = Date.now() + 60_000;
  while (!(await mended()) && Date.now() < deadline) {
    await failure.getByRole('button', { name: /Retry/ }).click({ timeout: 500 }).catch(() => {});
  }
  await page.locator('#failed-note', { hasText: '1 job back in the queue.' }).waitFor();
  await page.locator('.failure').waitFor({ state: 'detached' });

  await panel(page, 'broadcasts');
  const again = page.locator('.trace', { hasText: event.split('\\').at(-1) });
  await again.locator('.steps li', { hasText: 'Sent to 1' }).waitFor();
  const retried = await again.locator('.steps b').allTextContents();

  // a reload needs no password; every panel in every look: no fault, and nothing wider than the window
  const wide = [];
  for (const [look, options] of Object.entries(LOOKS)) {
    const other = await open(options);
    await other.context().addCookies(await page.context().cookies());
    await other.goto(`${address}/laravel-websockets`);
    await other.locator('#dot.good').waitFor();
    await other.locator('#chart-jobs .figure', { hasText: /\d/ }).waitFor();
    for (const id of PANELS) {
      await panel(other, id);
      if (id === 'broadcasts') await other.locator('.trace').first().waitFor();
      if (id === 'jobs') await other.locator('#jobs-rows tr').nth(1).waitFor();
      if (id === 'webhooks') await other.locator('#webhooks-rows tr', { hasText: 'channel_occupied' }).first().waitFor();
      if (id === 'history') await other.locator('#history-charts rect').first().waitFor({ state: 'attached' });
      if (id === 'channels') await other.locator('[data-channel=ChatChannel]').click();
      if (id === 'channels') await other.locator('#channel h2').waitFor();
      if (id === 'connections') await other.locator('#connections-rows tr').first().waitFor();
      if (id === 'live') await other.locator('#stream details').first().click();
      const broad = await other.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? null : [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".chips")).slice(0, 3).map((one) => one.outerHTML.slice(0, 200))));
      if (broad) wide.push(`${look} ${id}: ${broad.join(" ")}`);
      found.push(...await faults(other, `${look} ${id}`));
      if (!(look === 'light' && id === 'failed')) await shoot(other, `${look}-${id}`);
    }
    await other.context().close();
  }

  // history, which was there before this bridge was
  await panel(page, 'history');
  await page.locator('#history-charts svg').first().locator('rect').nth(1).waitFor({ state: 'attached' });
  const day = await page.locator('#history-charts .figure').allTextContents();
  const bars24 = await page.locator('#history-charts svg').first().locator('rect').count();
  await page.locator('#history-range').selectOption('30d');
  await page.waitForFunction((count) => document.querySelector('#history-charts svg').childElementCount > count, bars24);
  await page.locator('#history-charts svg').first().focus();
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await page.locator('#history-charts .beside', { hasText: ' to ' }).first().waitFor();
  await shoot(page, 'light-history-month');

  // an administrator ends the client's connection
  await panel(page, 'connections');
  page.once('dialog', (dialog) => dialog.accept());
  await page.locator('#connections-rows tr', { hasText: 'ChatChannel' }).getByRole('button', { name: /Disconnect/ }).click();
  await page.locator('#connections-note.good', { hasText: '1 connection ended.' }).waitFor();
  await client.waitForFunction(() => window.socket.readyState === WebSocket.CLOSED);

  await page.locator('#logout').click();
  await page.locator('#password').waitFor();
  tell({ straight, queued, steps, retried, bars, reason, faults: found, wide, complaints, foreign, source, broadest, shownPayload, day });
} catch (problem) {
  tell({ problem: String(problem.stack), complaints });
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();

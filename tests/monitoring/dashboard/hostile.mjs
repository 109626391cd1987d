// Every panel of the dashboard in Chromium, with markup in all that others can name. Runs in fixtures/browser.
//   node hostile.mjs ADDRESS CHROMIUM PASSWORD
// Prints one line of JSON: what ran or was made of the markup, the page's complaints, what stands in its panels.
import { createRequire } from 'node:module';

const [address, executablePath, password] = process.argv.slice(2);
const { chromium } = createRequire(`${process.cwd()}/`)('playwright-core');
const PANELS = ['overview', 'jobs', 'history', 'live', 'broadcasts', 'channels', 'connections', 'webhooks', 'create', 'failed'];
const complaints = [];
const foreign = [];

const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
const page = await (await browser.newContext()).newPage();
page.setDefaultTimeout(60_000);
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('console', (message) => complaints.push(message.text()));
page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on('request', (request) => { if (!request.url().startsWith(address)) foreign.push(request.url()); });

await page.goto(`${address}/laravel-websockets`);
await page.fill('#password', password);
await page.click('#login button');
await page.locator('#state', { hasText: 'live' }).waitFor();

const texts = {};
for (const id of PANELS) {
  await page.locator(`nav a[href="#${id}"]`).click();
  await page.locator(`#${id}:not([hidden])`).waitFor();
  if (id === 'channels') {
    await page.locator('#channels-rows button', { hasText: 'presence-hostile' }).click();
    await page.locator('#channel .members li').first().waitFor();
  }
  if (id === 'failed') await page.locator('#failures li').first().waitFor();
  if (id === 'webhooks') await page.locator('#webhooks-rows tr').first().waitFor();
  if (id === 'jobs') await page.locator('#queued-rows tr').first().waitFor();
  await page.evaluate((panel) => document.querySelectorAll(`#${panel} details`).forEach((one) => { one.open = true; }), id);
  await page.waitForTimeout(300);
  texts[id] = await page.locator(`#${id}`).innerText();
  texts[id] += await page.locator(`#${id} button`).evaluateAll((all) => all.map((one) => one.getAttribute('aria-label') ?? '').join(' '));
}
const made = await page.evaluate(() => ({
  ran: window.ran ?? null,
  elements: document.querySelectorAll('img[src=x], iframe, object, embed, base, main script, [onerror], [onload], a[href^="javascript"]').length,
}));
console.log(JSON.stringify({ ...made, complaints, foreign, texts }));
await browser.close();

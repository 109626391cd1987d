// Two windows on the demo's page in Chromium, used as a person would. Runs in fixtures/browser.
//   node demo.mjs ADDRESS CHROMIUM   → one JSON object: what was seen
import { createRequire } from 'node:module';

const [address, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${process.cwd()}/`)('playwright-core');
const browser = await chromium.launch({
  executablePath,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
const complaints = [];
const foreign = [];

async function open(look) {
  const page = await (await browser.newContext(look)).newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('data:')) foreign.push(request.url());
  });
  await page.goto(address);
  await page.locator('#dot.connected').waitFor();
  return page;
}

try {
  const one = await open({ colorScheme: 'light' });
  const two = await open({ colorScheme: 'dark', viewport: { width: 360, height: 740 } });
  const [name, other] = await Promise.all([one, two].map((page) => page.locator('#me').textContent()));
  const row = (page, text) => page.locator('#events > li', { hasText: text }).first();

  const channels = ['ChatChannel', 'releases', 'private-room.17', 'presence-room.5.red'];
  for (const channel of channels) {
    await one.locator('#events .channel', { hasText: new RegExp(`^${channel}$`) }).first().waitFor();
  }
  await one.locator('.members li:not(.me)').waitFor();
  const members = await one.locator('.members li').allTextContents();

  // by keyboard alone
  await one.locator('#whisper-text').focus();
  await one.keyboard.type('psst <i>1</i>');
  await one.keyboard.press('Enter');
  await row(two, 'psst <i>1</i>').waitFor();
  const whisper = await row(two, 'psst <i>1</i>').locator('.event').textContent();

  await two.locator('#push-text').fill('naïve "ы" <b>text</b>');
  await two.locator('#push button').click();
  await row(one, 'ChatMessage').waitFor();
  const own = {
    data: JSON.parse(await row(one, 'ChatMessage').locator('pre').textContent()),
    latency: await row(one, 'ChatMessage').locator('.latency').textContent(),
  };

  await one.locator('#pause').click();
  const before = await one.locator('#events > li').count();
  await one.locator('#pause', { hasText: '(1)' }).waitFor();
  const paused = (await one.locator('#events > li').count()) === before;

  await one.getByLabel('ChatChannel').uncheck();
  await two.close();
  await one.waitForFunction(() => document.querySelectorAll('.members li').length === 1);

  const [dashboard] = await Promise.all([one.waitForEvent('popup'), one.locator('#dashboard').click()]);
  await dashboard.locator('#dot.good').waitFor();
  const title = await dashboard.title();

  const width = await one.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
  console.log(JSON.stringify({ name, other, members, whisper, own, paused, width, title, complaints, foreign }));
} finally {
  await browser.close();
}

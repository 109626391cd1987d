// A page of the dashboard in Chromium that says how long it could not answer. Runs in fixtures/browser.
//   node dashboard_page.mjs CHROMIUM
// Reads lines: an address is opened, on its busiest panel, and answered with `open`; `told` is answered with
// one JSON object about the time since.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const [executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${process.cwd()}/`)('playwright-core');
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

async function open(page, address) {
  await page.goto('about:blank');
  if (address !== 'about:blank') {
    await page.goto(`${address}#live`);
    await page.locator('#dot.good').waitFor();
    await page.locator('#stream > li').nth(100).waitFor();
  }
  await page.evaluate(() => {
    window.late = [];
    let due = performance.now() + 50;
    setInterval(() => {
      window.late.push(Math.max(0, performance.now() - due));
      due = performance.now() + 50;
    }, 50);
  });
}

async function told(page) {
  const late = (await page.evaluate(() => window.late)).sort((one, other) => one - other);
  const at = (share) => Math.round(late[Math.floor((late.length - 1) * share)] ?? 0);
  return JSON.stringify({ median_ms: at(0.5), p95_ms: at(0.95), worst_ms: at(1) });
}

try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'told') console.log(await told(page));
    else {
      await open(page, line);
      console.log('open');
    }
  }
} finally {
  await browser.close();
}

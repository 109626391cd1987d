// Opens the dashboard in Chromium and says how long its page could not answer. Runs in fixtures/browser.
//   node dashboard_page.mjs URL CHROMIUM   → `open`, then one JSON object once stdin is closed
import { createRequire } from 'node:module';

const [url, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${process.cwd()}/`)('playwright-core');
const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${url}#live`);
  await page.locator('#dot.good').waitFor();
  await page.evaluate(() => {
    window.late = [];
    let due = performance.now() + 50;
    setInterval(() => {
      window.late.push(Math.max(0, performance.now() - due));
      due = performance.now() + 50;
    }, 50);
  });
  console.log('open');
  for await (const chunk of process.stdin) void chunk;
  const late = (await page.evaluate(() => window.late)).sort((one, other) => one - other);
  const at = (share) => Math.round(late[Math.floor((late.length - 1) * share)] ?? 0);
  console.log(JSON.stringify({ median_ms: at(0.5), p95_ms: at(0.95), worst_ms: at(1), rows: await page.locator('#stream > li').count() }));
} finally {
  await browser.close();
}

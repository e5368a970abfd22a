// How much the app weighs, and how long a slow phone waits for it: `node tests/app/measure.mjs`, after `make frontend`.
// A processor four times slower than this one, Slow 4G as Lighthouse has it (150 ms, 1.6 Mbit/s down, 0.75 up), an empty cache.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { button, launch, PHONE, WORDS } from "./browser.mjs";
import { ROOT, serve } from "./system.mjs";

const ROUNDS = 5;
const scripts = join(ROOT, "frontend/dist/_expo/static/js/web");
for (const name of readdirSync(scripts).filter((one) => one.endsWith(".js"))) {
  const [raw, gzip] = ["", ".gz"].map((ending) => Math.round(readFileSync(join(scripts, name + ending)).length / 1000));
  console.log(`${name.split("-")[0]}: ${raw} kB, ${gzip} kB gzip`);
}

const system = await serve({ sandbox: true });
const browser = await launch();
const found = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const context = await browser.newContext({ ...PHONE, locale: "en-GB" });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  await cdp.send("Network.emulateNetworkConditions", { offline: false, latency: 150, downloadThroughput: 1.6e6 / 8, uploadThroughput: 0.75e6 / 8 });
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  await page.addInitScript(() => { globalThis.longTasks = []; new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map(({ startTime, duration }) => startTime + duration))).observe({ type: "longtask", buffered: true }); });
  await page.goto(system.url);
  await button(page, WORDS.en.start.begin).waitFor();
  await page.waitForTimeout(1500); // no long task after this: it answers to touch
  found.push(await page.evaluate(() => ({ painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, interactive: Math.max(0, ...globalThis.longTasks), bytes: performance.getEntriesByType("resource").reduce((sum, { transferSize }) => sum + transferSize, 0) })));
  await context.close();
}
const median = (name) => found.map((one) => one[name]).sort((a, b) => a - b)[ROUNDS >> 1];
console.log(`first visit: ${Math.round(median("bytes") / 1000)} kB over the line; first words after ${(median("painted") / 1000).toFixed(1)} s, interactive after ${(Math.max(median("interactive"), median("painted")) / 1000).toFixed(1)} s (median of ${ROUNDS})`);
await browser.close();
await system.close();

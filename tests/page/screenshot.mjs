// A picture of the page after an assessment, for the README and for looking at a change.
//
//   npm install --prefix DIR playwright-core          (any folder outside the repository)
//   apt-get install chromium                          (Debian's; another one: CHROMIUM=/path/to/it)
//   NODE_PATH=DIR/node_modules node tests/page/screenshot.mjs URL PICTURE OUT.png [--width N] [--dark]
//
// Needs a running orchestrator at URL. Ends with 1 on a console error, a blocked resource or a failed assessment.
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const { chromium } = createRequire(import.meta.url)("playwright-core");
const { values, positionals: [url, picture, out] } = parseArgs({
  allowPositionals: true,
  options: { width: { type: "string", default: "1280" }, dark: { type: "boolean", default: false } },
});
if (!out) {
  console.error("usage: node tests/page/screenshot.mjs URL PICTURE OUT.png [--width N] [--dark]");
  process.exit(2);
}

const ANSWERS = { sex: "female", many_moles: "yes", fair_skin: "yes", sunburns: "yes", prior_melanoma: "no" };
const width = Number(values.width);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({
  viewport: { width, height: width < 700 ? 844 : 900 }, isMobile: width < 700, hasTouch: width < 700,
  deviceScaleFactor: 2, colorScheme: values.dark ? "dark" : "light", reducedMotion: "reduce",
});
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));

await page.goto(url);
await page.setInputFiles("#choose", picture);
await page.fill("[name=q-age]", "58");
for (const [id, value] of Object.entries(ANSWERS)) {
  await page.check(`[name=q-${id}][value=${value}]`, { force: true });
}
await page.click("#submit");
await page.waitForSelector("#result:not([hidden]), #problem:not([hidden])", { timeout: 60_000 });
if (await page.isVisible("#problem")) complaints.push(await page.innerText("#problem"));
const height = await page.evaluate(() => {
  document.activeElement.blur();
  scrollTo(0, 0);
  return document.documentElement.scrollHeight;
});
await page.setViewportSize({ width, height }); // `fullPage` would drop the emulation of a phone
await page.screenshot({ path: out });
await browser.close();

for (const complaint of complaints) console.error(complaint);
process.exit(complaints.length ? 1 : 0);

// The app in a real browser against the stub: `node --test tests/app`, after `frontend/check.sh`. Screenshots go to MELALOG_APP_SHOTS.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test as plain } from "node:test";
import { fileURLToPath } from "node:url";

import { serve } from "./stub.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const require = createRequire(join(here, "../../frontend/package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const PICTURE = join(here, "spot-with-place.jpg");
const SHOTS = process.env.MELALOG_APP_SHOTS;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, DESKTOP = { viewport: { width: 1280, height: 900 } };
const WORDS = Object.fromEntries(["en", "de"].map((code) => [code, JSON.parse(readFileSync(join(here, `../../frontend/src/strings/${code}.json`), "utf8"))]));

const test = (name, run) => plain(name, { timeout: 120_000 }, run); // a browser that hangs is a failure, not a wait

let browser, stub;
before(async () => {
  stub = await serve();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
});
after(async () => { await browser?.close(); stub?.close(); });

async function open(options, language = "en", scheme = "light") {
  const context = await browser.newContext({ ...options, locale: language === "de" ? "de-DE" : "en-GB", colorScheme: scheme });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(stub.url) && !/^(blob|data|about):/.test(request.url())) wrong.push(request.url()); });
  await page.goto(stub.url);
  return { page, context, wrong, t: WORDS[language], name: `${options.isMobile ? "phone" : "desktop"}-${language}-${scheme}` };
}

const button = (page, label) => page.getByRole("button", { name: label, exact: true });

async function look({ page, name }, step) {
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}-${step}.png`), timeout: 60_000 });
  assert.deepEqual(violations.map(({ id, nodes }) => `${step} ${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(" | ")}`), []);
}

async function toPicture({ page, t }) {
  await page.getByRole("checkbox").click();
  await button(page, t.start.begin).click();
  await page.locator("#choose").setInputFiles(PICTURE);
  await button(page, t.picture.use).waitFor();
}

/** As far as the request, with a few answers on the way. */
async function send(view) {
  const { page, t } = view;
  await toPicture(view);
  await button(page, t.picture.use).click();
  await page.getByRole("textbox").fill("67");
  const phone = await button(page, t.questions.skip).count();
  await button(page, phone ? t.questions.skip : t.questions.send).click();
}

for (const [options, language, scheme] of [[PHONE, "en", "light"], [PHONE, "de", "dark"], [DESKTOP, "en", "dark"], [DESKTOP, "de", "light"]]) {
  test(`the whole flow: ${options.isMobile ? "phone" : "desktop"} ${language} ${scheme}`, async () => {
    stub.state.situation = "stream";
    const view = await open(options, language, scheme);
    const { page, t, wrong } = view;
    await look(view, "1-start");
    await button(page, t.start.begin).click();
    await page.getByText(t.start.needConsent).waitFor();
    await toPicture(view);
    await page.getByText(t.picture.good).waitFor();
    await look(view, "2-picture");
    await button(page, t.picture.use).click();
    await page.getByRole("textbox").fill("200");
    await page.getByText(t.questions.range.replace("{min}", "0").replace("{max}", "120")).waitFor();
    await page.getByRole("textbox").fill("67");
    if (options.isMobile) await button(page, t.questions.next).click();
    const sex = page.getByRole("radiogroup").first();
    assert.equal(await sex.getByRole("radio", { checked: true }).getAttribute("aria-label"), t.questions.choices.unsure);
    await sex.getByRole("radio", { name: t.questions.choices.male, exact: true }).click();
    await look(view, "3-questions");
    if (options.isMobile) await button(page, t.questions.skip).click();
    else await button(page, t.questions.send).click();
    await page.getByText(t.sending.states.done).nth(1).waitFor();
    if (SHOTS) await page.screenshot({ path: join(SHOTS, `${view.name}-4-sending.png`), timeout: 60_000 });
    await page.getByRole("img", { name: t.result.levelIs.replace("{level}", t.result.levels.moderate) }).waitFor();
    await page.waitForTimeout(300);
    await look(view, "5-result");
    if (SHOTS) await page.getByText(t.result.heat, { exact: true }).scrollIntoViewIfNeeded().then(() => page.screenshot({ path: join(SHOTS, `${view.name}-6-heat.png`), timeout: 60_000 }));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), true, "nothing is wider than the screen");
    const body = stub.state.received.at(-1).toString("latin1");
    assert.match(body, /\{"age":67,"sex":"male"\}/);
    assert.match(body, new RegExp(`name="language"\\r\\n\\r\\n${language}`));
    await button(page, t.result.again).click();
    await page.getByText(t.picture.hint).waitFor();
    assert.deepEqual(wrong, []);
    await view.context.close();
  });
}

test("the place a picture was taken at never leaves the device", async () => {
  stub.state.situation = "json";
  assert.ok(readFileSync(PICTURE).includes("Exif"));
  const view = await open(PHONE);
  await send(view);
  await view.page.getByText(view.t.result.todo).waitFor();
  const sent = stub.state.received.at(-1);
  assert.ok(sent.includes(Buffer.from([0xff, 0xd8, 0xff])));
  for (const mark of ["Exif", "Melalog test", "taken at home", "spot-with-place"]) assert.ok(!sent.includes(mark), mark);
  await view.context.close();
});

test("a dark and small picture is told before any question", async () => {
  const { page, t, context } = await open(PHONE);
  await page.getByRole("checkbox").click();
  await button(page, t.start.begin).click();
  await page.locator("#choose").setInputFiles(join(here, "dark.jpg"));
  await page.getByText(t.picture.warnings.dark).waitFor();
  await page.getByText(t.picture.warnings.small).waitFor();
  await page.locator("#choose").setInputFiles(join(here, "answer.json"));
  await page.getByText(t.picture.unreadable).waitFor();
  await context.close();
});

for (const [situation, kind, way] of [["rejected", "picture", "retake"], ["type", "picture", "retake"], ["large", "picture", "retake"], ["signedout", "signedOut", "restart"], ["broken", "other", "again"]]) {
  test(`${situation} has its own screen and a way on`, async () => {
    stub.state.situation = situation;
    const view = await open(PHONE);
    await send(view);
    await view.page.getByText(view.t.failure[kind][0]).first().waitFor();
    await look({ ...view, name: situation }, "failure");
    await button(view.page, view.t.failure[way]).click();
    if (way === "retake") await button(view.page, view.t.picture.use).waitFor(); // nothing is lost
    await view.context.close();
  });
}

test("busy waits as long as Retry-After says, then sends again", async () => {
  stub.state.situation = "busy";
  const view = await open(PHONE, "de", "dark");
  await send(view);
  await button(view.page, view.t.failure.wait.replace("{n}", "3")).waitFor();
  const before = stub.state.received.length;
  await button(view.page, view.t.failure.wait.replace("{n}", "2")).click();
  assert.equal(stub.state.received.length, before, "not before it is time");
  await look({ ...view, name: "busy" }, "failure");
  stub.state.situation = "json";
  await button(view.page, view.t.failure.again).click();
  await view.page.getByText(view.t.result.todo).waitFor();
  await view.context.close();
});

test("offline says so, and goes on where it was", async () => {
  stub.state.situation = "json";
  const view = await open(PHONE);
  await toPicture(view);
  await button(view.page, view.t.picture.use).click();
  await button(view.page, view.t.questions.skip).waitFor();
  await view.context.setOffline(true);
  await button(view.page, view.t.questions.skip).click();
  await view.page.getByText(view.t.failure.offline[0]).first().waitFor();
  await look({ ...view, name: "offline" }, "failure");
  await view.context.setOffline(false);
  await button(view.page, view.t.failure.again).click();
  await view.page.getByText(view.t.result.todo).waitFor();
  await view.context.close();
});

test("a degraded answer says what is missing", async () => {
  stub.state.situation = "degraded";
  const view = await open(DESKTOP);
  await send(view);
  await view.page.getByText(view.t.result.missing).waitFor();
  await view.page.getByText(view.t.words.missing.vlm).waitFor();
  await look({ ...view, name: "degraded" }, "result");
  await view.context.close();
});

test("stopping ends the request", async () => {
  stub.state.situation = "slow";
  const gone = stub.state.gone;
  const { page, t, context } = await (async () => { const view = await open(PHONE); await send(view); return view; })();
  await look({ page, name: "slow" }, "sending");
  await button(page, t.sending.stop).click();
  await page.waitForTimeout(500);
  assert.equal(stub.state.gone, gone + 1);
  await context.close();
});

test("the diary keeps a picture on the device, and deletes everything", async () => {
  stub.state.situation = "json";
  const view = await open(PHONE);
  const { page, t } = view;
  await send(view);
  await button(page, t.result.keep).click();
  await page.getByRole("radio", { name: t.sites.arm, exact: true }).click();
  await button(page, t.result.keep).click();
  await page.getByText(t.result.kept).waitFor();
  await page.goto(`${stub.url}/diary`);
  await page.getByRole("heading", { name: t.sites.arm }).waitFor();
  await look({ ...view, name: "phone" }, "diary");
  await button(page, t.diary.removeAll).click();
  await button(page, t.diary.yes).click();
  await page.getByText(t.diary.empty).waitFor();
  await page.reload();
  await page.getByText(t.diary.empty).waitFor();
  await view.context.close();
});

test("the keyboard is enough", async () => {
  stub.state.situation = "json";
  const { page, t, context } = await open(DESKTOP);
  await page.getByRole("checkbox").focus();
  await page.keyboard.press("Space");
  await button(page, t.start.begin).focus();
  await page.keyboard.press("Enter");
  await page.locator("#choose").setInputFiles(PICTURE);
  await button(page, t.picture.use).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("radio", { checked: true }).first().focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.getByRole("radio", { checked: true }).first().getAttribute("aria-label"), t.questions.choices.male);
  await context.close();
});

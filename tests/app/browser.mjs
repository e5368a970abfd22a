// What every test does in the browser: open the app, press, and look at the page as axe and as a person would.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test as plain } from "node:test";

import { ROOT } from "./system.mjs";

const require = createRequire(join(ROOT, "frontend/package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SHOTS = process.env.MELALOG_APP_SHOTS;

export const here = (name) => join(ROOT, "tests/app", name);
export const IMAGE = here("spot-with-place.jpg");
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
export const DESKTOP = { viewport: { width: 1280, height: 900 } };
export const WORDS = Object.fromEntries(["en", "de"].map((code) => [code, JSON.parse(readFileSync(join(ROOT, `frontend/src/strings/${code}.json`), "utf8"))]));
export const GERMAN = JSON.parse(readFileSync(join(ROOT, "frontend/src/strings/de.sentences.json"), "utf8"));

/** A browser that hangs is a failure, not a wait. */
export const test = (name, options, run) => plain(name, { timeout: 180_000, ...(run ? options : {}) }, run ?? options);

export function launch(...args) {
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", ...args] });
}

/** A fresh visitor at the start. `wrong` collects script errors, breaches of the content security policy, and requests to anywhere else. */
export async function open(browser, url, options = PHONE, language = "en", scheme = "light", others = []) {
  const context = await browser.newContext({ ...options, locale: language === "de" ? "de-DE" : "en-GB", colorScheme: scheme });
  const page = await context.newPage();
  page.setDefaultTimeout(25_000);
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => { if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(message.text()); });
  page.on("request", (request) => { if (![url, ...others].some((known) => request.url().startsWith(known)) && !/^(blob|data|about):/.test(request.url())) wrong.push(request.url()); });
  const response = await page.goto(url);
  assert.match(response.headers()["content-security-policy"], /default-src 'self'/);
  return { page, context, wrong, t: WORDS[language], language, name: `${options.isMobile ? "phone" : "desktop"}-${language}-${scheme}` };
}

export const button = (page, label) => page.getByRole("button", { name: label, exact: true });
export const shot = async ({ page, name }, step) => { if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}-${step}.png`), timeout: 60_000 }); };

/** No violation that axe knows of, nothing wider than the screen, and a screenshot. */
export async function checkPage(view, step) {
  const { page } = view;
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly }), RULES);
  await shot(view, step);
  assert.deepEqual(violations.map(({ id, nodes }) => `${step} ${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(" | ")}`), []);
  assert.deepEqual(await page.evaluate(outside), [], `${step}: nothing is wider than the screen or than what it stands in`);
}

/** Texts that stick out of the screen, or of the box that is drawn around them. */
function outside() {
  const texts = [...document.querySelectorAll("#root [dir], #root h1, #root h2, #root h3")].filter((node) => node.innerText && !node.querySelector("div"));
  return texts.filter((node) => {
    const { left, right, width } = node.getBoundingClientRect();
    return width && (left < -1 || right > innerWidth + 1 || node.scrollWidth > node.clientWidth + 1);
  }).map((node) => node.innerText.slice(0, 60));
}

export async function toImage({ page, t }, picture = IMAGE) {
  await page.getByRole("checkbox").click();
  await button(page, t.start.begin).click();
  await page.locator("#choose").setInputFiles(picture);
  await button(page, t.image.use).waitFor();
}

/** As far as the questions, whatever the server's advice. */
export async function toQuestions(view, picture) {
  await toImage(view, picture);
  await use(view);
}

export async function use({ page, t }) {
  await button(page, t.image.use).click();
  const anyway = button(page, t.image.anyway), asked = page.getByRole("heading", { name: t.questions.title, level: 1 });
  await anyway.or(asked).first().waitFor();
  if (await anyway.count()) await anyway.click();
  await page.getByRole("textbox").waitFor();
}

/** As far as the request, with an age. */
export async function send(view, picture) {
  const { page, t } = view;
  await toQuestions(view, picture);
  await page.getByRole("textbox").fill("67");
  await sendOff(view);
}

export async function sendOff({ page, t }) {
  const phone = await button(page, t.questions.skip).count();
  await button(page, phone ? t.questions.skip : t.questions.send).click();
}

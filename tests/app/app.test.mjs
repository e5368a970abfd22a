// The whole flow in a real browser against the four services with the released models: `make frontend test-app`.
// MELALOG_APP_SHOTS=folder saves screenshots; MELALOG_DATA_DIR=folder sends a few real images too.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";

import { button, DESKTOP, GERMAN, here, launch, checkPage, open, PHONE, IMAGE, send, sendOff, shot, test, toImage, toQuestions, use } from "./browser.mjs";
import { assessment, serve } from "./system.mjs";

const DATA = process.env.MELALOG_DATA_DIR;
let browser, system;
before(async () => {
  system = await serve();
  browser = await launch();
});
after(async () => { await browser?.close(); await system?.close(); });

const view = (...how) => open(browser, system.url, ...how);
const last = () => assessment(system.state.answers.at(-1));

/** The result on the screen is the server's answer. */
async function says({ page, t, language }, answer) {
  const { risk, degraded, findings } = answer;
  const said = (sentence) => (language === "de" ? GERMAN[sentence] : sentence);
  await page.getByRole("img", { name: t.result.levelIs.replace("{level}", t.result.levels[risk.level]) }).waitFor();
  await page.getByRole("heading", { level: 1, name: said(risk.headline) }).waitFor();
  const text = await page.getByRole("main").innerText();
  for (const sentence of [risk.advice, answer.disclaimer, ...risk.questions_for_doctor]) assert.ok(text.includes(said(sentence)), sentence);
  for (const id of risk.raised_by) assert.ok(text.includes(t.words.raised[id]), id);
  for (const id of degraded) assert.ok(text.includes(t.words.missing[id]), id);
  for (const { id, log_odds } of risk.contributions) if (id !== "prior" && Math.abs(log_odds) > 0.005) assert.ok(text.includes(t.words.contributions[id]), id);
  for (const { source } of findings.questionnaire.factors) assert.ok(text.includes(source), source);
  assert.equal(text.includes(t.result.missing), degraded.length > 0);
}

for (const [options, language, scheme] of [[PHONE, "en", "light"], [PHONE, "de", "dark"], [DESKTOP, "en", "dark"], [DESKTOP, "de", "light"]]) {
  test(`the whole flow: ${options.isMobile ? "phone" : "desktop"} ${language} ${scheme}`, async () => {
    const seen = await view(options, language, scheme);
    const { page, t, wrong } = seen;
    await checkPage(seen, "1-start");
    await button(page, t.start.begin).click();
    await page.getByText(t.start.needConsent).waitFor();
    await toImage(seen);
    await page.getByText(t.image.good).waitFor();
    await checkPage(seen, "2-picture");
    await use(seen);
    await page.getByRole("textbox").fill("200");
    await page.getByText(t.questions.range.replace("{min}", "0").replace("{max}", "120")).waitFor();
    await page.getByRole("textbox").fill("67");
    if (options.isMobile) await button(page, t.questions.next).click();
    const sex = page.getByRole("radiogroup").first();
    assert.equal(await sex.getByRole("radio", { checked: true }).getAttribute("aria-label"), t.questions.choices.unsure);
    await sex.getByRole("radio", { name: t.questions.choices.male, exact: true }).click();
    await checkPage(seen, "3-questions");
    await sendOff(seen);
    await page.getByRole("heading", { name: t.result.probability }).waitFor();
    await page.waitForTimeout(500); // the heat map is drawn
    await checkPage(seen, "5-result");
    const answer = last();
    await says(seen, answer);
    const body = system.state.sent.at(-1).toString("latin1");
    assert.match(body, /\{"age":67,"sex":"male"\}/);
    assert.match(body, new RegExp(`name="language"\\r\\n\\r\\n${language}`));
    await page.getByText(t.result.heat, { exact: true }).scrollIntoViewIfNeeded();
    await shot(seen, "6-heat");
    await page.getByText(t.result.weights, { exact: true }).scrollIntoViewIfNeeded();
    await shot(seen, "7-why");
    await button(page, t.result.print).click();
    await page.frameLocator("#report").getByRole("heading", { level: 1 }).waitFor({ state: "attached" });
    assert.ok(await page.frameLocator("#report").locator("img").first().evaluate((image) => image.complete && image.naturalWidth > 0), "the picture is on the printed page");
    await button(page, t.result.again).click();
    await page.getByText(t.image.hint).waitFor();
    assert.deepEqual(wrong, []);
    await seen.context.close();
  });
}

test("the place an image was taken at never leaves the device: nothing that the server received has it", async () => {
  assert.ok(readFileSync(IMAGE).includes("Exif"));
  const from = system.state.sent.length;
  const seen = await view();
  await send(seen);
  await seen.page.getByText(seen.t.result.todo).waitFor();
  const sent = system.state.sent.slice(from);
  assert.equal(sent.length, 2, "the advice on the image, then the assessment");
  for (const body of sent) {
    assert.ok(body.includes(Buffer.from([0xff, 0xd8, 0xff])));
    for (const mark of ["Exif", "Melalog test", "taken at home", "spot-with-place", "GPS"]) assert.ok(!body.includes(mark), mark);
  }
  await seen.context.close();
});

test("a dark image gets advice on the device, again by the server before any question, and in the answer", async () => {
  const seen = await view();
  const { page, t } = seen;
  await toImage(seen, here("dark.jpg"));
  await page.getByText(t.image.warnings.dark).waitFor();
  await page.getByText(t.image.warnings.small).waitFor();
  await button(page, t.image.use).click();
  await page.getByText(t.image.problems.dark).waitFor();
  await checkPage({ ...seen, name: "dark" }, "advice");
  await button(page, t.image.anyway).click();
  await page.getByRole("textbox").waitFor();
  await sendOff(seen);
  await page.getByText(t.result.todo).waitFor();
  const answer = last();
  assert.equal(answer.findings.picture.quality, "poor");
  await says(seen, answer);
  await checkPage({ ...seen, name: "dark" }, "result");
  await button(page, t.failure.retake).first().click();
  await page.locator("#choose").setInputFiles(here("answer.json"));
  await page.getByText(t.image.unreadable).waitFor();
  await seen.context.close();
});

test("one service that hangs: the answer comes in time, and says what is missing", async () => {
  const seen = await view(DESKTOP);
  const { page, t } = seen;
  await toQuestions(seen);
  system.signal("vlm", "SIGSTOP");
  try {
    await sendOff(seen);
    await page.getByText(t.sending.parts.vlm).waitFor();
    await page.getByRole("listitem").filter({ hasText: t.sending.parts.classifier }).getByText(t.sending.states.done).waitFor();
    assert.equal(await page.getByRole("listitem").filter({ hasText: t.sending.parts.vlm }).getByText(t.sending.states.waiting).count(), 1, "findings come one by one");
    await shot({ ...seen, name: "hanging" }, "sending");
    await page.getByText(t.result.missing).waitFor();
  } finally {
    system.signal("vlm", "SIGCONT");
  }
  assert.deepEqual(last().degraded, ["vlm"]);
  await says(seen, last());
  await checkPage({ ...seen, name: "degraded" }, "result");
  await seen.context.close();
});

test("real images: the screen shows the server's answer", { skip: DATA ? false : "MELALOG_DATA_DIR is not set" }, async () => {
  const folder = (name) => join(DATA, name, "images");
  const pictures = ["ham10000", "pad_ufes_20"].flatMap((name) => readdirSync(folder(name)).sort().slice(0, 2).map((file) => join(folder(name), file)));
  for (const [at, picture] of pictures.entries()) {
    const seen = await view(at % 2 ? PHONE : DESKTOP, at % 2 ? "de" : "en", at % 2 ? "dark" : "light");
    await send(seen, picture);
    await seen.page.getByText(seen.t.result.todo).waitFor();
    await seen.page.waitForTimeout(500);
    await checkPage({ ...seen, name: `real-${at}-${seen.name}` }, "result");
    await says(seen, last());
    assert.deepEqual(seen.wrong, []);
    await seen.context.close();
  }
});

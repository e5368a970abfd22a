// What the real services cannot be brought to at will, by `melalog serve --sandbox`; and by the relay what not even that can.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";

import { button, DESKTOP, GERMAN, here, launch, checkPage, open, PHONE, IMAGE, send, sendOff, shot, test, toImage, toQuestions, use, WORDS } from "./browser.mjs";
import { assessment, serve } from "./system.mjs";

let browser, system;
before(async () => {
  system = await serve({ sandbox: true });
  browser = await launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream");
});
after(async () => { await browser?.close(); await system?.close(); });

async function view(situation, ...how) {
  meet(situation);
  return open(browser, system.url, ...how);
}
const meet = (situation) => { system.state.headers = situation ? { "x-melalog-sandbox": situation } : {}; };
const answerInstead = (status, body, headers = {}) => (response) => response.writeHead(status, { "content-type": "application/problem+json", ...headers }).end(JSON.stringify({ type: "about:blank", title: "", status, detail: body, request_id: "7163c207-0000-4000-8000-000000000000", errors: [] }));

for (const level of ["low", "high"]) {
  test(`${level} is said in words, in shape and in colour`, async () => {
    const seen = await view(level, PHONE, level === "low" ? "de" : "en", level === "low" ? "light" : "dark");
    await send(seen);
    await seen.page.getByRole("img", { name: seen.t.result.levelIs.replace("{level}", seen.t.result.levels[level]) }).waitFor();
    await checkPage({ ...seen, name: level }, "result");
    assert.deepEqual(seen.wrong, []);
    await seen.context.close();
  });
}

test("findings are seen one by one, and stopping ends the work", async () => {
  const seen = await view("", PHONE);
  const { page, t } = seen;
  await toQuestions(seen);
  meet("slow");
  const gone = system.state.gone;
  await sendOff(seen);
  const part = (name) => page.getByRole("listitem").filter({ hasText: t.sending.parts[name] });
  await part("classifier").getByText(t.sending.states.done).waitFor();
  assert.equal(await part("vlm").getByText(t.sending.states.waiting).count(), 1);
  await part("vlm").getByText(t.sending.states.done).waitFor();
  assert.equal(await part("questionnaire").getByText(t.sending.states.waiting).count(), 1);
  await checkPage({ ...seen, name: "slow" }, "sending");
  await button(page, t.sending.stop).click();
  await page.waitForTimeout(700);
  assert.equal(system.state.gone, gone + 1);
  await seen.context.close();
});

test("an image that cannot be judged is refused before any question, with how to retake it", async () => {
  const seen = await view("422");
  const { page, t } = seen;
  await toImage(seen);
  await button(page, t.image.use).click();
  await page.getByText(t.failure.image[1]).waitFor();
  await checkPage({ ...seen, name: "refused" }, "advice");
  meet("");
  await page.locator("#choose").setInputFiles(IMAGE);
  await button(page, t.image.use).click();
  await page.getByRole("textbox").waitFor();
  await seen.context.close();
});

test("an image unlike a skin spot gets advice, and may be used anyway", async () => {
  const seen = await view("strange");
  const { page, t } = seen;
  await toImage(seen);
  await button(page, t.image.use).click();
  await page.getByText(t.image.unfamiliar).waitFor();
  await button(page, t.image.anyway).click();
  await page.getByRole("textbox").waitFor();
  await sendOff(seen);
  await page.getByText(t.result.unfamiliar).waitFor();
  await button(page, t.failure.retake).waitFor();
  await seen.context.close();
});

const FAILURES = [
  ["422", null, "image", "retake"], ["401", null, "signedOut", "again"], ["503", null, "busy", "again"],
  ["413", answerInstead(413, "The picture has more than 15 MB."), "image", "retake"], ["415", answerInstead(415, "This is not one of the four formats."), "image", "retake"],
  ["403", answerInstead(403, "This sign-in does not cover assessments."), "forbidden", "again"], ["500", answerInstead(500, "An internal error occurred."), "other", "again"],
];
for (const [situation, instead, kind, way] of FAILURES) {
  test(`${situation} has its own screen and a way on`, async () => {
    const seen = await view("");
    const { page, t } = seen;
    await toQuestions(seen);
    if (instead) system.state.instead = instead;
    else meet(situation);
    try {
      await sendOff(seen);
      await page.getByText(t.failure[kind][0]).first().waitFor();
    } finally { system.state.instead = null; }
    await page.getByText(t.failure.nothingLost).waitFor();
    await checkPage({ ...seen, name: situation }, "failure");
    meet("");
    if (situation === "503") return seen.context.close(); // waiting is tested with 429
    await button(page, t.failure[way]).click();
    if (way === "retake") await button(page, t.image.use).waitFor(); // nothing is lost
    else await page.getByText(t.result.todo).waitFor();
    await seen.context.close();
  });
}

test("in German a failure says no word of English: known sentences in German, others not at all", async () => {
  const seen = await view("", PHONE, "de");
  const { page, t } = seen;
  await toQuestions(seen);
  const refusals = [
    ["The picture is 10x10 pixels; its shorter side must have 32.", 422, t.failure.figures.small.replace("{width}", "10").replace("{height}", "10").replace("{least}", "32")],
    ["No model can judge the picture at the moment; try again shortly.", 503, GERMAN["No model can judge the picture at the moment; try again shortly."]],
    ["A sentence of a newer server.", 500, t.failure.other[1]],
  ];
  try {
    for (const [detail, status, german] of refusals) {
      system.state.instead = answerInstead(status, detail);
      await sendOff(seen);
      await page.getByText(german).first().waitFor();
      assert.equal(await page.getByText(detail).count(), 0);
      await page.goBack();
      await page.getByRole("textbox").waitFor();
    }
    system.state.instead = (response) => response.writeHead(422, { "content-type": "application/problem+json" })
      .end(JSON.stringify({ status: 422, detail: "Some answers are not valid.", errors: [{ field: "questionnaire.age", message: "must be a whole number from 0 to 120" }] }));
    await sendOff(seen);
    await button(page, t.failure.answers).click();
    await page.getByRole("alert").getByText(t.questions.range.replace("{min}", "0").replace("{max}", "120")).waitFor();
    assert.equal(await page.getByText("whole number").count(), 0);
  } finally { system.state.instead = null; }
  await seen.context.close();
});

test("too many requests wait as long as Retry-After says, then sends again", async () => {
  const seen = await view("", PHONE, "de", "dark");
  const { page, t } = seen;
  await toQuestions(seen);
  meet("429");
  await sendOff(seen);
  await page.getByText(t.failure.tooMany[0]).first().waitFor();
  await button(page, t.failure.wait.replace("{n}", "3")).waitFor();
  const before = system.state.sent.length;
  await button(page, t.failure.wait.replace("{n}", "2")).click({ force: true }); // it is off
  assert.equal(system.state.sent.length, before, "not before it is time");
  await checkPage({ ...seen, name: "busy" }, "failure");
  meet("");
  await button(page, t.failure.again).click();
  await page.getByText(t.result.todo).waitFor();
  await seen.context.close();
});

for (const [situation, missing] of [["degraded", "classifier"], ["no-vlm", "vlm"]]) {
  test(`${situation}: the answer says that ${missing} is missing`, async () => {
    const seen = await view(situation, DESKTOP);
    await send(seen);
    await seen.page.getByText(seen.t.words.missing[missing]).waitFor();
    assert.deepEqual(assessment(system.state.answers.at(-1)).degraded, [missing]);
    await checkPage({ ...seen, name: situation }, "result");
    await seen.context.close();
  });
}

test("no connection, then no server: each says so, and goes on where it was", async () => {
  const seen = await view("");
  const { page, t } = seen;
  await toQuestions(seen);
  await page.getByRole("textbox").fill("67");
  await seen.context.setOffline(true);
  await sendOff(seen);
  await page.getByText(t.failure.offline[0]).first().waitFor();
  await checkPage({ ...seen, name: "offline" }, "failure");
  await seen.context.setOffline(false);
  await system.stop();
  await button(page, t.failure.again).click();
  await page.getByText(t.failure.unreachable[0]).first().waitFor();
  await checkPage({ ...seen, name: "unreachable" }, "failure");
  await system.start();
  await button(page, t.failure.again).click();
  await page.getByText(t.result.todo).waitFor();
  assert.match(system.state.sent.at(-1).toString("latin1"), /\{"age":67\}/);
  await seen.context.close();
});

test("the browser's Back and Forward, a reload and another language lose nothing that was chosen", async () => {
  const seen = await view("");
  const { page, t } = seen;
  await toQuestions(seen);
  await page.getByRole("textbox").fill("67");
  await page.goBack();
  await button(page, t.image.use).waitFor();
  await page.goForward();
  await page.getByRole("textbox").waitFor();
  assert.equal(await page.getByRole("textbox").inputValue(), "67");
  await button(page, WORDS.de.language).click();
  await sendOff({ page, t: WORDS.de });
  await page.getByText(WORDS.de.result.todo).waitFor();
  await page.goBack();
  await page.getByRole("textbox").waitFor();
  await page.goForward();
  await page.getByText(WORDS.de.result.todo).waitFor();
  await page.reload(); // image and answers are in memory only
  await button(page, WORDS.de.start.begin).waitFor();
  assert.deepEqual(seen.wrong, []);
  await seen.context.close();
});

test("what was answered for one spot does not go with the next", async () => {
  const seen = await view("");
  const { page, t } = seen;
  await send(seen);
  await page.getByText(t.result.todo).waitFor();
  assert.match(system.state.sent.at(-1).toString("latin1"), /\{"age":67\}/);
  await page.getByRole("link", { name: t.nav.home }).click();
  await button(page, t.start.begin).click();
  await page.locator("#choose").setInputFiles(IMAGE);
  await use(seen);
  await sendOff(seen);
  await page.getByText(t.result.todo).waitFor();
  assert.doesNotMatch(system.state.sent.at(-1).toString("latin1"), /"age"/);
  await seen.context.close();
});

test("a server that falls silent is given up, and what is in hand stays", async () => {
  const seen = await view("");
  const { page, t } = seen;
  await toQuestions(seen);
  system.state.instead = (response) => response.writeHead(200, { "content-type": "text/event-stream" }).write(": working\n\n");
  try {
    await sendOff(seen);
    await page.getByText(t.failure.unreachable[0]).first().waitFor();
    await button(page, t.failure.again).click();
    await page.getByRole("heading", { name: t.sending.title }).waitFor();
    await seen.context.setOffline(true);
    await page.getByText(t.failure.offline[0]).first().waitFor({ timeout: 5000 });
  } finally { system.state.instead = null; }
  await seen.context.setOffline(false);
  await button(page, t.failure.again).click();
  await page.getByText(t.result.todo).waitFor();
  await seen.context.close();
});

test("an answer that is not whole, or cannot be drawn, is said to be that and never a blank page", async () => {
  const seen = await view("");
  const { page, t } = seen;
  await toQuestions(seen);
  const whole = JSON.parse(readFileSync(here("answer.json"), "utf8"));
  const answers = (answer) => { system.state.instead = (response) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer)); };
  try {
    answers({ risk: { level: "low" } });
    await sendOff(seen);
    await page.getByText(t.failure.unreadable[0]).first().waitFor();
    answers({ ...whole, findings: { ...whole.findings, questionnaire: { ...whole.findings.questionnaire, factors: [null] } } });
    await button(page, t.failure.again).click();
    await page.getByRole("heading", { name: t.broken[0] }).waitFor();
    await checkPage({ ...seen, name: "broken" }, "page");
  } finally { system.state.instead = null; }
  await button(page, t.failure.restart).click();
  await button(page, t.start.begin).waitFor();
  await seen.context.close();
});

test("the camera in the page: a square, the other camera, and its image goes on", async () => {
  const seen = await view("");
  const { page, t, wrong } = seen;
  await page.getByRole("checkbox").click();
  await button(page, t.start.begin).click();
  await button(page, t.image.take).click();
  await page.getByText(t.image.camera.guide).waitFor();
  await button(page, t.image.camera.flip).click();
  await page.waitForFunction(() => document.querySelector("video")?.readyState >= 2);
  await checkPage({ ...seen, name: "camera" }, "open");
  await button(page, t.image.camera.shoot).click();
  await button(page, t.image.use).waitFor();
  const { width, height } = await page.getByRole("img", { name: t.image.alt }).boundingBox();
  assert.equal(Math.round(width), Math.round(height));
  await button(page, t.image.turn).click();
  await button(page, t.image.closer).click();
  await button(page, t.image.use).click();
  await page.getByRole("textbox").waitFor();
  assert.deepEqual(wrong, []);
  await seen.context.close();
});

test("a HEIC image is opened where the browser cannot, and goes on as JPEG without its metadata", async () => {
  const seen = await view("");
  await send(seen, here("spot.heic"));
  await seen.page.getByText(seen.t.result.todo).waitFor();
  const sent = system.state.sent.at(-1);
  assert.ok(sent.includes(Buffer.from([0xff, 0xd8, 0xff])));
  for (const mark of ["ftyp", "Exif", "Melalog test"]) assert.ok(!sent.includes(mark), mark);
  assert.deepEqual(seen.wrong, []);
  await seen.context.close();
});

test("the diary saves images on the device, side by side, and deletes everything", async () => {
  const seen = await view("low");
  const { page, t } = seen;
  await send(seen);
  await button(page, t.result.save).click();
  await page.getByRole("radio", { name: t.sites.arm, exact: true }).click();
  await button(page, t.result.save).click();
  await page.getByText(t.result.saved).waitFor();
  meet("moderate");
  await button(page, t.result.again).click();
  await page.locator("#choose").setInputFiles(here("dark.jpg"));
  await button(page, t.image.use).click();
  await page.getByRole("textbox").waitFor();
  const before = system.state.sent.length;
  await sendOff(seen);
  await button(page, t.result.save).click();
  await page.getByRole("radio").nth(1).click();
  await button(page, t.result.save).click();
  await page.getByText(t.result.saved).waitFor();
  assert.equal(system.state.sent.length, before + 1, "keeping sends nothing");
  await page.goto(`${system.url}/diary`);
  await page.getByRole("heading", { name: t.sites.arm }).waitFor();
  assert.equal(await page.getByRole("img").count(), 2);
  await page.getByText(t.diary.rose).waitFor();
  await checkPage({ ...seen, name: "diary" }, "two");
  await button(page, t.diary.removeAll).click();
  await button(page, t.diary.yes).click();
  await page.getByText(t.diary.empty).waitFor();
  await page.reload();
  await page.getByText(t.diary.empty).waitFor();
  await seen.context.close();
});

test("the diary saves an image once, however often one presses, and says so", async () => {
  const seen = await view("low");
  const { page, t } = seen;
  await send(seen);
  await page.evaluate(() => {
    const put = IDBObjectStore.prototype.put;
    globalThis.puts = 0;
    IDBObjectStore.prototype.put = function counted(...all) { globalThis.puts += 1; return put.apply(this, all); };
  });
  await button(page, t.result.save).click();
  await page.getByText(t.diary.site).waitFor();
  await button(page, t.result.save).dblclick({ force: true }); // off after the first
  await page.getByText(t.result.saved).waitFor();
  assert.equal(await page.evaluate(() => globalThis.puts), 1);
  await page.getByRole("link", { name: t.nav.home }).click();
  await button(page, t.start.diary).click();
  await page.getByText(t.diary.photos.replace("{n}", "1")).waitFor();
  assert.equal(await page.getByRole("main").getByRole("img").count(), 1);
  await page.goBack();
  await page.goBack();
  await page.getByText(t.result.saved).waitFor();
  assert.equal(await button(page, t.result.save).count(), 0, "it is kept already");
  await seen.context.close();
});

test("the keyboard is enough, from the first page to the result", async () => {
  const seen = await view("", DESKTOP);
  const { page, t } = seen;
  const reach = async (target) => { // by Tab alone
    for (let n = 0; n < 120; n += 1) {
      if (await target.evaluate((node) => node === document.activeElement)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail("Tab does not get there");
  };
  await reach(page.getByRole("checkbox"));
  await page.keyboard.press("Space");
  await reach(button(page, t.start.begin));
  await page.keyboard.press("Enter");
  await page.locator("#choose").setInputFiles(IMAGE);
  await reach(button(page, t.image.use));
  await page.keyboard.press("Enter");
  await page.getByRole("textbox").waitFor();
  await reach(page.getByRole("radio", { checked: true }).first());
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.getByRole("radio", { checked: true }).first().getAttribute("aria-label"), t.questions.choices.male);
  await reach(button(page, t.questions.send));
  await page.keyboard.press("Enter");
  await page.getByText(t.result.todo).waitFor();
  const slider = page.getByRole("slider");
  await reach(slider);
  const value = await slider.inputValue();
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await slider.inputValue(), value);
  await seen.context.close();
});

for (const [name, size] of [["phone", PHONE], ["desktop", DESKTOP]]) {
  test(`an age that cannot be turns the way on off (${name}): seen, said, and leading to the field`, async () => {
    const seen = await view("", size);
    const { page, t } = seen;
    await toQuestions(seen);
    const on = button(page, size === PHONE ? t.questions.next : t.questions.send), age = page.getByRole("textbox");
    const border = () => on.evaluate((node) => getComputedStyle(node).borderStyle);
    assert.deepEqual([await on.getAttribute("aria-disabled"), await border()], [null, "solid"]);
    await age.fill("130");
    assert.deepEqual([await on.getAttribute("aria-disabled"), await border()], ["true", "dashed"]);
    await on.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("alert").filter({ hasText: t.questions.first.split("{")[0] }).waitFor();
    assert.ok(await age.evaluate((node) => node === document.activeElement), "the wrong field has the focus");
    await checkPage({ ...seen, name }, "off");
    await age.fill("47");
    assert.deepEqual([await on.getAttribute("aria-disabled"), await border()], [null, "solid"]);
    assert.equal(await page.getByRole("alert").count(), 0);
    await seen.context.close();
  });
}

for (const [name, size, scheme] of [["phone", PHONE, "dark"], ["desktop", DESKTOP, "light"]]) {
  test(`printed, the whole result is there and nothing to press (${name})`, async () => {
    const seen = await view("high", size, "en", scheme);
    const { page, t } = seen;
    await send(seen);
    await page.getByText(t.result.todo).waitFor();
    const least = await page.getByRole("main").evaluate((node) => node.scrollHeight);
    assert.ok(least > 2 * size.viewport.height, "longer than the screen");
    await page.emulateMedia({ media: "print" });
    const cut = await page.evaluate(() => [...document.querySelectorAll("html, body, #root, #root div")].filter((node) => node.scrollHeight > node.clientHeight + 50 && getComputedStyle(node).overflowY !== "visible").length);
    assert.equal(cut, 0, "nothing hides a part of itself");
    const [whole, end] = await page.getByRole("main").evaluate((node) => [document.documentElement.scrollHeight, node.getBoundingClientRect().bottom]);
    assert.ok(whole >= end && end > size.viewport.height);
    assert.ok(await page.getByText("Melalog is research software, not a medical device.").isVisible());
    for (const control of [t.result.again, t.result.save, t.result.print]) assert.equal(await button(page, control).count(), 0, control);
    assert.equal(await page.getByRole("heading", { level: 1 }).evaluate((node) => getComputedStyle(node).color), "rgb(17, 17, 17)");
    const pages = (await page.pdf({ format: "A4", printBackground: false })).toString("latin1").match(/\/Type\s*\/Page\b/g).length;
    assert.ok(pages >= 2, `${pages} pages`);
    await shot({ ...seen, name: `print-${name}` }, "result");
    await seen.context.close();
  });
}

test("the PDF has the answers with their sources, both models, the heat map and what was missing, in German", async () => {
  const seen = await view("strange", DESKTOP, "de");
  const { page, t, wrong } = seen;
  await toQuestions(seen);
  const changed = page.getByRole("radiogroup", { name: GERMAN["Has the spot changed in the last weeks or months?"] });
  await changed.getByRole("radio", { name: t.questions.choices.yes, exact: true }).click();
  await sendOff(seen);
  await page.getByText(t.result.todo).waitFor();
  await button(page, t.result.print).click();
  const paper = page.frameLocator("#report");
  await paper.getByRole("heading", { level: 1 }).waitFor({ state: "attached" });
  const text = await paper.locator("body").evaluate((node) => node.textContent);
  const { findings, disclaimer } = assessment(system.state.answers.at(-1));
  const expected = [
    GERMAN["Has the spot changed in the last weeks or months?"], ...findings.questionnaire.factors.map(({ source }) => source), t.result.unfamiliar, GERMAN[disclaimer] ?? disclaimer,
    ...[findings.classifier, findings.vlm].map(({ model }) => `${model.name} ${model.version}`), ...Object.keys(findings.classifier.classes).map((name) => t.words.classes[name]),
  ];
  assert.deepEqual(expected.filter((part) => !text.includes(part)), []);
  assert.ok(findings.questionnaire.factors.length > 0);
  const drawn = await paper.locator("img").evaluateAll((images) => images.map((image) => image.complete && image.naturalWidth > 0));
  assert.deepEqual(drawn, [true, true, true], "the picture, and again with the heat map");
  assert.deepEqual(wrong, []);
  if (process.env.MELALOG_APP_SHOTS) {
    const html = await paper.locator("html").evaluate((node) => node.outerHTML), own = await seen.context.newPage();
    await own.goto(system.url);
    await own.setContent(html);
    await shot({ page: own, name: "report" }, "de");
  }
  await seen.context.close();
});

test("text twice as large, as the browser's own setting asks, cuts nothing", async () => {
  const seen = await view("");
  const { page, t } = seen;
  const small = await page.getByRole("heading", { level: 1 }).evaluate((node) => parseFloat(getComputedStyle(node).fontSize));
  await page.addStyleTag({ content: "html { font-size: 200% }" });
  assert.equal(await page.getByRole("heading", { level: 1 }).evaluate((node) => parseFloat(getComputedStyle(node).fontSize)), 2 * small);
  await checkPage({ ...seen, name: "large" }, "1-start");
  await send(seen);
  await page.getByText(t.result.todo).waitFor();
  await page.waitForTimeout(500);
  await checkPage({ ...seen, name: "large" }, "5-result");
  await shot({ ...seen, name: "large" }, "5-result");
  await seen.context.close();
});

test("read from right to left, the pages turn round and nothing falls out", async () => {
  const seen = await view("high");
  const { page, t } = seen;
  await page.route("**/entry-*.js", async (route) => { // no language of the app is written so yet: the page is told that this one is
    const response = await route.fetch();
    const script = (await response.text()).replaceAll('"rtl":"ltr"', '"rtl":"rtl"');
    assert.ok(script.includes('"rtl":"rtl"'));
    await route.fulfill({ response, body: script });
  });
  await page.reload();
  const name = await page.getByRole("link", { name: t.nav.home }).boundingBox();
  assert.ok(name.x > PHONE.viewport.width / 2, "the name is on the right");
  await checkPage({ ...seen, name: "rtl" }, "1-start");
  await send(seen);
  await page.getByText(t.result.todo).waitFor();
  await page.waitForTimeout(500);
  await checkPage({ ...seen, name: "rtl" }, "5-result");
  await seen.context.close();
});

// Sign-in against a real OpenID provider and the real orchestrator that asks for it.
import assert from "node:assert/strict";
import { after, before } from "node:test";

import { button, launch, checkPage, open, PHONE, IMAGE, send, sendOff, test, toQuestions, use } from "./browser.mjs";
import { issue, settings } from "./issuer.mjs";
import { freePort, serve } from "./system.mjs";

let browser, system, issuer;
before(async () => {
  const port = await freePort();
  system = await serve({ sandbox: true, settings: settings(port) });
  issuer = await issue(port, system.url);
  browser = await launch();
});
after(async () => { await browser?.close(); issuer?.close(); await system?.close(); });

const FONTS = "https://fonts.googleapis.com"; // the provider's own pages ask for one; nothing here may leave this machine

async function view(language = "en") {
  const seen = await open(browser, system.url, PHONE, language, "light", [issuer.url, FONTS]);
  await seen.context.route(`${FONTS}/**`, (route) => route.abort());
  return seen;
}
const authorization = () => system.state.sentHeaders.at(-1).authorization;

/** At the issuer: name and password, then consent. */
async function atIssuer(page, password = true, name = "somebody") {
  if (password) {
    await page.locator("[name=login]").fill(name);
    await page.locator("[name=password]").fill("anything");
    await page.locator("[type=submit]").click();
  }
  await page.getByRole("button", { name: "Continue" }).click();
}

async function signIn({ page, t }) {
  await button(page, t.signIn.go).click();
  await atIssuer(page);
  await page.getByRole("button", { name: t.signIn.out }).waitFor();
}

test("who has to sign in does so first, is signed in anew unseen, and signs out for good", async () => {
  const seen = await view();
  const { page, t, wrong } = seen;
  await page.getByText(t.signIn.first).waitFor();
  assert.equal(await button(page, t.start.begin).count(), 0);
  await checkPage({ ...seen, name: "sign-in" }, "first");
  await signIn(seen);
  assert.equal(new URL(page.url()).search, "", "the code does not stay in the address");
  assert.deepEqual(issuer.state.grants, ["authorization_code"]);
  await checkPage({ ...seen, name: "sign-in" }, "done");
  await send(seen);
  await page.getByText(t.result.todo).waitFor();
  const before = authorization();
  assert.match(before, /^Bearer ey/);
  await page.waitForTimeout(8000); // the token is about to end
  await button(page, t.result.again).click();
  await page.locator("#choose").setInputFiles(IMAGE);
  await use(seen);
  await sendOff(seen);
  await page.getByText(t.result.todo).waitFor();
  assert.ok(issuer.state.grants.includes("refresh_token"));
  assert.notEqual(authorization(), before);
  await page.getByRole("button", { name: t.signIn.out }).click();
  await page.getByText(t.signIn.first).waitFor();
  await page.waitForTimeout(500);
  assert.equal(issuer.state.revoked, 1);
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), ["melalog-signed-out"], "no token stays");
  await button(page, t.signIn.go).click();
  await page.locator("[name=password]").waitFor(); // asked again, although the issuer still knows this browser
  assert.deepEqual(wrong, []);
  await seen.context.close();
});

test("signed out on the way: image and answers wait, and are sent after signing in again", async () => {
  const seen = await view("de");
  const { page, t, wrong } = seen;
  await signIn(seen);
  await toQuestions(seen);
  await page.getByRole("textbox").fill("67");
  issuer.state.refuse = true;
  await page.waitForTimeout(8000);
  await sendOff(seen);
  await page.getByText(t.failure.signedOut[0]).first().waitFor();
  await page.getByText(t.signIn.toGoOn).waitFor();
  await checkPage({ ...seen, name: "sign-in" }, "signed-out");
  issuer.state.refuse = false;
  await button(page, t.signIn.go).click();
  await atIssuer(page, false);
  await page.getByText(t.result.todo).waitFor();
  const body = system.state.sent.at(-1);
  assert.match(body.toString("latin1"), /\{"age":67\}/);
  assert.ok(body.includes(Buffer.from([0xff, 0xd8, 0xff])));
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), ["melalog-tokens"], "nothing else stays");
  assert.deepEqual(wrong, []);
  await seen.context.close();
});

test("a sign-in that was stopped at the issuer, or was never begun, fails with a message and can be tried again", async () => {
  const seen = await view();
  const { page, t } = seen;
  await page.getByRole("checkbox").click();
  await button(page, t.signIn.go).click();
  await page.getByText("[ Cancel ]").click();
  await page.getByRole("heading", { name: t.signIn.failed }).waitFor();
  await checkPage({ ...seen, name: "sign-in" }, "failed");
  await button(page, t.signIn.go).click();
  await atIssuer(page);
  await page.getByText(t.image.hint).waitFor(); // the consent was not lost
  await page.goto(`${system.url}/signed-in?code=stolen&state=guessed`);
  await page.getByRole("heading", { name: t.signIn.failed }).waitFor();
  await seen.context.close();
});

test("signing out leaves nothing for the next person: no result, no consent, no image about to be sent", async () => {
  const seen = await view();
  const { page, t } = seen;
  await signIn(seen);
  await send(seen);
  await page.getByText(t.result.todo).waitFor();
  const sent = system.state.sent.length;
  await page.getByRole("button", { name: t.signIn.out }).click();
  await page.getByText(t.signIn.first).waitFor();
  assert.equal(await page.getByRole("checkbox").getAttribute("aria-checked"), "false");
  await page.goBack();
  await page.getByText(t.signIn.first).waitFor();
  assert.equal(await page.getByRole("heading", { name: t.result.todo }).count(), 0);
  await button(page, t.signIn.go).click();
  await atIssuer(page, true, "another");
  await page.getByRole("button", { name: t.signIn.out }).waitFor();
  await button(page, t.start.begin).waitFor();
  await page.waitForTimeout(1000);
  assert.equal(system.state.sent.length, sent, "nothing is sent that nobody pressed for");
  await seen.context.close();
});

test("an issuer that cannot be reached for a renewal signs nobody out", async () => {
  const seen = await view();
  const { page, t } = seen;
  await signIn(seen);
  await toQuestions(seen);
  await page.waitForTimeout(8000); // the token is about to end
  await page.route(`${issuer.url}/**`, (route) => route.abort());
  await sendOff(seen);
  await page.getByText(t.result.todo).waitFor(); // with the old one, which still holds
  assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), ["melalog-tokens"]);
  await button(page, t.signIn.out).waitFor();
  await seen.context.close();
});

test("an issuer that cannot be reached is said, and nothing is lost", async () => {
  const seen = await view();
  const { page, t } = seen;
  await page.route(`${issuer.url}/**`, (route) => route.abort());
  await button(page, t.signIn.go).click();
  await page.getByText(t.signIn.unreachable).waitFor();
  await seen.context.close();
});

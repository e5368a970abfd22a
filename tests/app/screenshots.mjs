// Screenshots of the app for the README and docs/app.md, from the real services: `node tests/app/screenshots.mjs IMAGE FOLDER`, after `make frontend`.
// Those in docs/app show the drawn spot of spot-with-place.jpg, with 192 colours (Pillow: quantize).
import { join } from "node:path";

import { button, DESKTOP, launch, open, PHONE, sendOff, toQuestions } from "./browser.mjs";
import { serve } from "./system.mjs";

const [picture, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node tests/app/screenshots.mjs IMAGE FOLDER");
  process.exit(2);
}
const SHOWN = [
  { name: "phone-light", options: PHONE, language: "en", scheme: "light", at: null },
  { name: "phone-dark", options: PHONE, language: "de", scheme: "dark", at: "weights" },
  { name: "desktop", options: DESKTOP, language: "en", scheme: "light", at: null },
  { name: "heat-map", options: PHONE, language: "en", scheme: "light", at: "image" },
];
const system = await serve();
const browser = await launch();
for (const { name, options, language, scheme, at } of SHOWN) {
  const view = await open(browser, system.url, options, language, scheme);
  const { page, t } = view;
  await toQuestions(view, picture);
  await page.getByRole("textbox").fill("52");
  const yes = new Set([1, 3, 6, 7]); // female; an earlier skin cancer, atypical moles, skin cancer in the family
  for (let n = 1; n < 8; n += 1) {
    if (options.isMobile) await button(page, t.questions.next).click();
    if (yes.has(n)) await page.getByRole("radiogroup").nth(options.isMobile ? 0 : n - 1).getByRole("radio").first().click();
  }
  await sendOff(view);
  await page.getByText(t.result.todo).waitFor();
  await page.waitForTimeout(500);
  if (at) await page.getByText(t.result[at], { exact: true }).first().evaluate((node) => node.scrollIntoView({ block: "start" }));
  await page.waitForTimeout(300);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await view.context.close();
}
await browser.close();
await system.close();

import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import type { Question } from "@/api/questionnaire";
import type { Assessment } from "@/client";
import { added, days, isSaved, trend, type Photo } from "@/diary/types";
import { start, step, wholeNumber } from "@/flow/state";
import { isHeic } from "@/image/heic";
import { coloured } from "@/result/heat";
import { report } from "@/result/report";
import { bars, resultTexts } from "@/result/texts";
import de from "@/strings/de.json";
import sentences from "@/strings/de.sentences.json";
import en from "@/strings/en.json";
import { fill } from "@/strings/format";
import { contrast, dark, light } from "@/theme/colours";

const answer = JSON.parse(readFileSync("../tests/app/answer.json", "utf8")) as Assessment;

describe.each([["light", light], ["dark", dark]])("%s colours", (_, c) => {
  const pairs = [[c.ink, c.paper], [c.ink, c.card], [c.soft, c.paper], [c.soft, c.card], [c.ink, c.tint], [c.soft, c.tint], [c.accent, c.paper], [c.onAccent, c.accent],
    [c.error, c.card], [c.low, c.lowTint], [c.moderate, c.moderateTint], [c.high, c.highTint]] as const;
  test("carry text at AA", () => { for (const [a, b] of pairs) expect(contrast(a, b), `${a} on ${b}`).toBeGreaterThanOrEqual(4.5); });
  test("draw edges and bars at 3:1", () => { for (const a of [c.edge, c.up, c.down]) expect(contrast(a, c.card), a).toBeGreaterThanOrEqual(3); });
});

test("an unsure answer is not sent", () => {
  const yes = step(start, { is: "answer", id: "change", value: "yes" });
  expect(yes.answers).toEqual({ change: "yes" });
  expect(step(yes, { is: "answer", id: "change", value: "unsure" }).answers).toEqual({});
});

test("starting again keeps the consent and forgets image and answers", () => {
  const used = { ...start, consent: true, answers: { age: 3 }, answer };
  expect(step(used, { is: "again" })).toEqual({ ...start, consent: true });
});

test.each([["", undefined], [" 47 ", 47], ["0", 0], ["120", 120], ["121", null], ["-1", null], ["4.5", null], ["1e2", null], ["old", null]])(
  "an age of %j is %j", (typed, age) => expect(wholeNumber(typed, 0, 120)).toBe(age));

test("bars show every contribution but the starting point, which is said in words", () => {
  const drawn = bars(answer, en, "en");
  expect(drawn.start).toContain("2.5");
  expect(drawn.bars.map(({ id }) => id)).not.toContain("prior");
  for (const { share, log_odds } of drawn.bars) expect(Math.abs(share) <= 1 && Math.sign(share) === Math.sign(log_odds)).toBe(true);
});

test("a contribution of next to nothing is said to be that, not to lower by 1.0", () => {
  const slight = { ...answer, risk: { ...answer.risk, contributions: [{ id: "age_sex", log_odds: -0.04 }, { id: "image", log_odds: -0.7 }] } };
  expect(bars(slight as Assessment, en, "en").bars.map(({ text }) => text)).toEqual([en.result.even, "lowers ÷2.0"]);
});

test("what was missing is said in words", () => {
  expect(resultTexts({ ...answer, degraded: ["vlm"] }, en, "en").missing).toEqual([en.words.missing.vlm]);
});

const { questions } = JSON.parse(readFileSync("../fusion/questionnaire.json", "utf8")) as { questions: Question[] };
const said = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

describe.each([["en", en, (text: string) => text], ["de", de, (text: string) => (sentences as Record<string, string>)[text] ?? text]] as const)("the report in %s", (language, t, say) => {
  const { findings } = answer;
  const full = { ...answer, degraded: ["llm"], findings: { ...findings, classifier: { ...findings.classifier, in_distribution: false, heatmap: "iVBORw0KGgo=" } } } as Assessment;
  const html = report(full, "blob:x", questions, t, language, say);

  test("has all that the screen has", () => {
    const words = resultTexts(full, t, language);
    const asked = questions.find(({ id }) => id === "fair_skin")!;
    const expected = [
      ...full.findings.questionnaire.factors!.map(({ source }) => source), say(asked.text), "efficientnet 1.2.0", "mllama 1.0.0",
      ...words.shares.flatMap(({ name, text }) => [name, text]), words.classifier, words.vlm, t.words.missing.llm, t.result.unfamiliar, t.result.photograph,
      t.result.heatNoteLight, fill(t.result.author, { author: t.result.rules }), say(answer.disclaimer), answer.id,
      new Date(answer.created_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" }),
    ];
    expect(words.shares).toHaveLength(7);
    expect(expected.filter((text) => !html.includes(said(text)))).toEqual([]);
    expect(html).toContain("data:image/png;base64,iVBORw0KGgo=");
  });

  test("names the hosted model, and what it would have said, where it explained", () => {
    const hosted = { ...full, degraded: [], fusion: { engine: "llm", model: "hosted-1", level_proposed: "low" } } as Assessment;
    const other = report(hosted, "blob:x", questions, t, language, say);
    for (const text of [fill(t.result.author, { author: "hosted-1" }), answer.risk.explanation, t.result.levels.low.toLowerCase()]) expect(other).toContain(said(text));
    expect(other).not.toContain(said(t.result.missing));
  });

  test("takes nothing for markup, whatever part it comes in", () => {
    const sly = JSON.parse(JSON.stringify(full), (key, value: unknown) => (typeof value === "string" && !["created_at", "status", "level", "engine", "modality", "quality"].includes(key) ? `<script>"'${value}` : value)) as Assessment;
    const page = report(sly, `blob:x" onerror="alert(1)`, questions, t, language, say);
    expect(page).not.toMatch(/<script|" onerror=/);
    expect(page.match(/&#60;script/g)!.length).toBeGreaterThan(12);
  });
});

test("a report without a heat map says that there is none", () => {
  expect(report(answer, "blob:x", questions, en, "en", (text) => text)).toContain(en.result.noHeat);
});

test("the heat map is transparent where nothing was seen", () => {
  const map = coloured(new Uint8ClampedArray([0, 0, 0, 255, 255, 255, 255, 255]));
  expect([map[3], map[7]]).toEqual([0, 255]);
});

test("the diary puts a photograph to its spot, or begins a new one", () => {
  const photo = (id: string, date: string): Photo => ({ id, date, image: "", level: "low" });
  const one = added([], photo("a", "2026-01-01T12:00:00Z"), { site: "arm" });
  const two = added(one, photo("b", "2026-03-02T12:00:00Z"), { id: "a" });
  expect(two).toHaveLength(1);
  expect(days(two[0]!)).toBe(60);
  expect(trend(one[0]!)).toBe(null);
  expect(trend(two[0]!)).toBe("same");
  expect(trend({ ...two[0]!, photos: [...two[0]!.photos, { ...photo("c", "2026-04-01T12:00:00Z"), level: "high" }] })).toBe("rose");
});

test("a photograph that the diary has changes nothing, whichever spot it is put to, and no two spots share an id", () => {
  const photo = (id: string): Photo => ({ id, date: "2026-01-01T12:00:00Z", image: "", level: "low" });
  const one = added([], photo("a"), { site: "arm" });
  expect(added(one, photo("a"), { site: "leg" })).toBe(one);
  expect(added(one, photo("a"), { id: "a" })).toBe(one);
  const two = added(one, photo("b"), { site: "arm" });
  expect(two.map(({ id }) => id)).toEqual(["a", "b"]);
  expect(added(two, photo("a"), { id: "b" })).toBe(two);
  expect([isSaved(two, "b"), isSaved(two, "c")]).toEqual([true, false]);
});

test("a file is HEIC by its first bytes", () => {
  const heic = new Uint8Array(readFileSync("../tests/app/spot.heic").subarray(0, 12));
  expect(isHeic(heic)).toBe(true);
  expect(isHeic(new Uint8Array(readFileSync("../tests/app/spot-with-place.jpg").subarray(0, 12)))).toBe(false);
  expect(isHeic(new Uint8Array())).toBe(false);
});

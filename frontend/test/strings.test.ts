import { readFileSync, readdirSync } from "node:fs";

import { expect, test, vi } from "vitest";

import de from "@/strings/de.json";
import sentences from "@/strings/de.sentences.json";
import en from "@/strings/en.json";
import { fill, percent, plain } from "@/strings/format";

vi.mock("expo-localization", () => ({ getLocales: () => [] }));
const { refusal } = await import("@/strings");

const leaves = (node: unknown, path = ""): [string, string][] =>
  typeof node === "string" ? [[path, node]] : Object.entries(node as object).flatMap(([key, value]) => leaves(value, `${path}.${key}`));
const slots = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([slot]) => slot).sort();

test("German says everything English says, with the same values in it", () => {
  const german = new Map(leaves(de));
  expect([...german.keys()].sort()).toEqual(leaves(en).map(([key]) => key).sort());
  for (const [key, text] of leaves(en)) expect(slots(german.get(key)!), key).toEqual(slots(text));
});

test("layouts name start and end, never left and right, so that they turn with the language", () => {
  const drawn = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tsx"));
  expect(drawn.length).toBeGreaterThan(20);
  for (const name of drawn) expect(readFileSync(`src/${name}`, "utf8").match(/\b(left|right|[a-z]+(Left|Right)\w*): /g), name).toBe(null);
});

test("every sentence of the questionnaire is there in German", () => {
  const { questions } = JSON.parse(readFileSync("../fusion/questionnaire.json", "utf8")) as { questions: { text: string; help: string; labels?: object }[] };
  const said = questions.flatMap(({ text, help, labels }) => [text, help, ...Object.values(labels ?? {})] as string[]);
  expect(said.filter((text) => !(text in sentences))).toEqual([]);
});

test("a percentage is never nothing and never certain", () => {
  expect(percent(0.0004, en.percent, "en")).toBe("less than 0.1 %");
  expect(percent(0.031, en.percent, "en")).toBe("3.1\u00a0%");
  expect(percent(0.031, de.percent, "de")).toBe("3,1\u00a0%");
  expect(percent(0.999, en.percent, "en")).toBe("more than 99 %");
  expect(percent(null, en.percent, "en")).toBe("unknown");
});

test("a value of a newer server is shown as it is, even when it is named like a method", () => {
  expect(plain(en.words.raised, "some_new_floor")).toBe("some new floor");
  expect(plain(en.words.raised, "constructor")).toBe("constructor");
  expect(fill("{n} of {all}", { n: 1, all: 24 })).toBe("1 of 24");
});

test("why the server refused is said in the app's language or not at all", () => {
  expect(refusal("The picture is empty.", en, "en")).toBe("The picture is empty.");
  expect(refusal("The picture is empty.", de, "de")).toBe("Das Bild ist leer.");
  expect(refusal("The image is 10x12 pixels; its shorter side must have 32.", de, "de")).toBe("Es ist zu klein: 10 × 12 Pixel. Die kürzere Seite braucht mindestens 32.");
  expect(refusal("The image has 61 megapixels; at most 50 are accepted.", de, "de")).toContain("61 Megapixel");
  expect(refusal("The image has more than 15,000,000 bytes.", de, "de")).toBe(de.failure.figures.heavy);
  expect(refusal("A sentence of a newer server.", de, "de")).toBe(null);
  expect(refusal(undefined, de, "de")).toBe(null);
});

test("the sentences with figures are the server's", () => {
  const images = readFileSync("../services/common/images.py", "utf8"), submission = readFileSync("../services/orchestrator/submission.py", "utf8");
  expect(images).toMatch(/f"The (picture|image) is \{width\}x\{height\} pixels; its shorter side must have \{MIN_SIDE\}\."/);
  expect(images).toMatch(/f"The (picture|image) has \{[^}]*\} megapixels; at most \{[^}]*\} are accepted\."/);
  expect(submission).toMatch(/f"The (picture|image) has more than \{[^}]*\} bytes\."/);
});

import { getLocales } from "expo-localization";
import { useSyncExternalStore } from "react";

import { chosen } from "./chosen";
import de from "./de.json";
import deSentences from "./de.sentences.json";
import en from "./en.json";
import { fill } from "./format";

export type Strings = typeof en;
export type Language = "en" | "de";

/** A further language is two files and one line in each of these three. `Strings` makes tsc name what is missing. */
export const STRINGS: Record<Language, Strings> = { en, de };
const SENTENCES: Record<Language, Record<string, string>> = { en: {}, de: deSentences };
export const RIGHT_TO_LEFT: Language[] = [];

export const LANGUAGES = Object.keys(STRINGS) as Language[];

/** The first of the device's languages that the app speaks, else English. */
export function deviceLanguage(): Language {
  const spoken = getLocales().map(({ languageCode }) => languageCode as Language);
  return spoken.find((code) => LANGUAGES.includes(code)) ?? "en";
}

export type Words = { t: Strings; language: Language; choose: (language: Language) => void };

/** The strings in the language that was chosen, else in the device's. */
export function useWords(): Words {
  const code = useSyncExternalStore(chosen.subscribe, chosen.get, () => null) as Language;
  const language = LANGUAGES.includes(code) ? code : deviceLanguage();
  return { t: STRINGS[language], language, choose: chosen.set };
}

/**
 * A sentence of the server in the app's language. The English sentence itself is the key, so that one that
 * was reworded on the server is shown in English rather than in an old translation.
 */
export function sentence(text: string, language: Language): { text: string; language: Language } {
  const translation = SENTENCES[language][text];
  return translation === undefined ? { text, language: "en" } : { text: translation, language };
}

/**
 * Why the server refused, in the app's language: a known sentence, or the app's own words for one with figures in it.
 * Null for others: the kind of failure has a text of its own.
 */
export function refusal(detail: string | undefined, t: Strings, language: Language): string | null {
  if (!detail) return null;
  const translated = sentence(detail, language);
  if (translated.language === language) return translated.text;
  const figure = FIGURES.find(([pattern]) => pattern.test(detail));
  return figure ? fill(t.failure.figures[figure[1]], figure[0].exec(detail)?.groups ?? {}) : null;
}

/** Sentences of services/common/images.py and services/orchestrator/submission.py with figures, and the app's strings for them. */
const FIGURES: [RegExp, keyof Strings["failure"]["figures"]][] = [
  [/^The (?:picture|image) is (?<width>\d+)x(?<height>\d+) pixels; its shorter side must have (?<least>\d+)\.$/, "small"],
  [/^The (?:picture|image) has (?<n>\d+) megapixels; at most (?<most>\d+) are accepted\.$/, "large"],
  [/^The (?:picture|image) has more than [\d,]+ bytes\.$/, "heavy"],
];

export { fill, percent, plain } from "./format";

import type { Question } from "@/api/questionnaire";
import type { Assessment, ModelInfo } from "@/client";
import { fill, percent, plain } from "@/strings/format";
import type { Language, Strings } from "@/strings";

/** Translates a sentence of the server to the app's language, where it is known. */
export type Translate = (text: string) => string;

/** The texts of a result, for the screen and for the PDF. */
export function resultTexts(answer: Assessment, t: Strings, language: Language) {
  const { risk, findings } = answer;
  const p = (value: number | null | undefined) => percent(value, t.percent, language);
  const thousand = risk.melanoma < 0.001 ? t.result.fewer : fill(t.result.thousand, { n: Math.round(risk.melanoma * 1000) });
  const raised = (risk.raised_by ?? []).map((id) => plain(t.words.raised, id));
  return {
    level: t.result.levels[risk.level],
    melanoma: p(risk.melanoma),
    interval: fill(t.result.interval, { low: p(risk.interval[0]), high: p(risk.interval[1]) }),
    thousand,
    malignant: fill(t.result.malignant, { p: p(risk.malignant) }),
    raised: raised.length ? fill(t.result.raised, { reasons: raised.join("; ") }) : "",
    missing: (answer.degraded ?? []).map((id) => plain(t.words.missing, id)),
    classifier: classifier(findings.classifier, t, p),
    vlm: vlm(findings.vlm, t, p),
    quality: quality(answer, t),
    unfamiliar: findings.classifier.in_distribution === false ? t.result.unfamiliar : "",
    photograph: answer.modality === "photograph" ? t.result.photograph : "",
    author: author(answer, t, language),
    ...why(answer, language),
    shares: Object.entries(findings.classifier.classes ?? {}).sort((a, b) => b[1] - a[1])
      .map(([name, share]) => ({ name: plain(t.words.classes, name), share, text: p(share) })),
  };
}

/** The explanation where it can be read in the app's language, or was written by a model; and the reasons that it does not contain. */
function why({ risk, fusion }: Assessment, language: Language) {
  const written = fusion.engine === "llm" || (risk.language ?? "en") === language;
  const reasons = (risk.reasons ?? []).filter((reason) => !(written && risk.explanation.includes(reason)));
  return { explanation: written ? risk.explanation : "", reasons };
}

/** Who wrote the explanation, and the level the hosted model would have said. */
function author({ fusion: { engine, model, level_proposed: level } }: Assessment, t: Strings, language: Language): string {
  const proposed = level ? ` · ${fill(t.result.proposed, { level: t.result.levels[level].toLocaleLowerCase(language) })}` : "";
  return fill(t.result.author, { author: engine === "llm" ? model ?? "" : t.result.rules }) + proposed;
}

export const source = (model: ModelInfo | null | undefined, t: Strings): string => (model ? fill(t.result.model, { name: model.name, version: model.version }) : "");

/** Every answer that changed the odds, with its likelihood ratio and source. */
export function factors({ factors: counted = [], likelihood_ratio: all, version }: Assessment["findings"]["questionnaire"], questions: readonly Question[], t: Strings, language: Language, translate: Translate) {
  const number = (x: number) => x.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const list = counted.map(({ id, answer, likelihood_ratio, source: from }) => {
    const question = questions.find((one) => one.id === id), label = question?.labels?.[answer];
    const text = `${question ? translate(question.text) : plain({}, id)} ${label ? translate(label) : plain(t.questions.choices, answer)}`;
    return { id, text, ratio: `×${number(likelihood_ratio)}`, source: fill(t.questions.source, { source: from }) };
  });
  return { list, together: list.length ? fill(t.result.together, { x: number(all), version }) : t.result.noFactors };
}

type P = (value: number | null | undefined) => string;

function classifier({ status, melanoma, malignant }: Assessment["findings"]["classifier"], t: Strings, p: P): string {
  if (status !== "ok") return fill(t.result.status, { status: plain(t.words.statuses, status ?? "unavailable") });
  return fill(t.result.classifierOk, { melanoma: p(melanoma), malignant: p(malignant) });
}

function vlm({ status, answer, confidence, melanoma }: Assessment["findings"]["vlm"], t: Strings, p: P): string {
  if (status !== "ok") return fill(t.result.status, { status: plain(t.words.statuses, status ?? "unavailable") });
  const opinion = !answer || answer === "Unsure" ? t.result.vlmUnsure : fill(t.result.vlmOk, { answer: t.result.answers[answer], p: p(confidence) });
  return melanoma == null ? opinion : `${opinion} ${fill(t.result.vlmMelanoma, { p: p(melanoma) })}`;
}

function quality({ modality, findings: { picture } }: Assessment, t: Strings): string {
  const why = (picture.problems ?? []).map((id) => plain(t.words.problems, id)).join(", ");
  return `${fill(plain(t.words.quality, picture.quality ?? "unknown"), { why })} ${plain(t.words.taken, modality)}`;
}

export type Bar = { id: string; name: string; text: string; log_odds: number; share: number };

/** Below this it would read "×1.0". */
const EVEN = Math.log(1.05);

/** Contributions as bars around the middle: `share` from -1 to 1 of half the width; the starting point apart. */
export function bars(answer: Assessment, t: Strings, language: Language): { bars: Bar[]; start: string } {
  const others = answer.risk.contributions.filter(({ id, log_odds }) => id !== "prior" && Math.abs(log_odds) > 0.005);
  const widest = Math.max(Math.log(4), ...others.map(({ log_odds }) => Math.abs(log_odds)));
  const prior = answer.risk.contributions.find(({ id }) => id === "prior");
  return {
    bars: others.map(({ id, log_odds }) => {
      const x = Math.exp(Math.abs(log_odds)).toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
      const text = Math.abs(log_odds) < EVEN ? t.result.even : fill(log_odds > 0 ? t.result.raises : t.result.lowers, { x });
      return { id, name: plain(t.words.contributions, id), text, log_odds, share: log_odds / widest };
    }),
    start: prior ? fill(t.result.start, { p: percent(1 / (1 + Math.exp(-prior.log_odds)), t.percent, language) }) : "",
  };
}

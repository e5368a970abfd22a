import type { Question } from "@/api/questionnaire";
import type { Assessment } from "@/client";
import { fill } from "@/strings/format";
import type { Language, Strings } from "@/strings";

import { bars, factors, source, resultTexts, type Translate } from "./texts";

const escape = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const list = (items: readonly string[]) => (items.length ? `<ul>${items.map((item) => `<li>${escape(item)}</li>`).join("")}</ul>` : "");
const part = (title: string, ...body: string[]) => (body.some(Boolean) ? `<h2>${escape(title)}</h2>${body.join("")}` : "");
const text = (words: string) => (words ? `<p>${escape(words)}</p>` : "");
const warning = (words: string) => (words ? `<p class="warning">${escape(words)}</p>` : "");

/** The result screen as HTML to print or to make a PDF of, without script; `image` is a data or blob address. For a doctor too: every figure with its source. */
export function report(answer: Assessment, image: string, questions: readonly Question[], t: Strings, language: Language, translate: Translate): string {
  const { risk, findings: { classifier, vlm, questionnaire } } = answer;
  const words = resultTexts(answer, t, language), weights = bars(answer, t, language), answers = factors(questionnaire, questions, t, language, translate);
  const date = new Date(answer.created_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  return `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><title>Melalog</title><style>${STYLE}</style></head><body>
<h1>${escape(translate(risk.headline))}</h1>
<p class="level">${escape(fill(t.result.levelIs, { level: words.level }))} · ${escape(t.result.probability)}: ${escape(words.melanoma)} (${escape(words.interval)})</p>
${text(date)}${text(translate(risk.advice))}${text(words.thousand)}${text(words.malignant)}${text(words.raised)}
${part(t.result.missing, list(words.missing))}
${part(t.result.image, images(image, classifier.heatmap, t), warning(words.unfamiliar), text(words.quality), text(words.photograph))}
${part(t.result.why, words.explanation ? `<p lang="${escape(risk.language ?? "en")}">${escape(words.explanation)}</p>` : "", list(words.reasons.map(translate)), text(words.author))}
${part(t.result.weights, list(weights.bars.map((bar) => `${bar.name}: ${bar.text}`)), text(weights.start))}
${part(t.result.factors, list(answers.list.map((one) => `${one.text} ${one.ratio}. ${one.source}`)), text(answers.together))}
${part(t.result.classifier, text(words.classifier), list(words.shares.map((one) => `${one.name}: ${one.text}`)), text(source(classifier.model, t)))}
${part(t.result.vlm, text(words.vlm), text(source(vlm.model, t)))}
${part(t.result.doctor, list((risk.questions_for_doctor ?? []).map(translate)))}
<p class="note"><strong>${escape(translate(answer.disclaimer))}</strong></p>
<p class="note">${escape(date)} · ${escape(fill(t.result.id, { id: answer.id }))}</p></body></html>`;
}

/** The image, then again under the heat map, blended as light: there is no script here to colour it. */
function images(image: string, map: string | null | undefined, t: Strings): string {
  const photo = `<img class="photo" src="${escape(image)}" alt="">`;
  if (!map) return `<p>${photo}</p>${text(t.result.noHeat)}`;
  return `<p>${photo} <span class="heat">${photo}<img src="data:image/png;base64,${escape(map)}" alt=""></span></p>${text(`${t.result.heat}: ${t.result.heatNoteLight}`)}`;
}

const STYLE = "body{font:10.5pt/1.4 system-ui,sans-serif;margin:15mm;color:#111}h1{font-size:18pt}h2{font-size:12pt;margin:5mm 0 1mm;break-after:avoid}p,ul{margin:1mm 0}"
  + "li,img,.heat,.note{break-inside:avoid}.photo{width:55mm;height:55mm}.heat{position:relative;display:inline-block;isolation:isolate}"
  + ".heat img+img{position:absolute;inset:0;width:100%;height:100%;opacity:.6;mix-blend-mode:screen}.level,.warning{font-weight:700}.warning{border-left:1mm solid #7d4f00;padding-left:3mm}.note{font-size:9pt;margin-top:4mm}";

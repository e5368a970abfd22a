import type { Assessment } from "@/client";
import type { Language, Strings } from "@/strings";

import { bars, told } from "./told";

type Say = (text: string) => string;

const escape = (text: string) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const list = (items: readonly string[]) => `<ul>${items.map((item) => `<li>${escape(item)}</li>`).join("")}</ul>`;
const part = (title: string, body: string) => (body ? `<h2>${escape(title)}</h2>${body}` : "");
const text = (words: string) => (words ? `<p>${escape(words)}</p>` : "");

/** One page of HTML to print or to make a PDF of, without script; `picture` is a data or blob address. */
export function report(answer: Assessment, picture: string, t: Strings, language: Language, say: Say): string {
  const { risk } = answer;
  const words = told(answer, t, language);
  const why = bars(answer, t, language);
  return `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><title>Melalog</title><style>${STYLE}</style></head><body>
<h1>${escape(say(risk.headline))}</h1>
<p class="level">${escape(t.result.levelIs.replace("{level}", words.level))} · ${escape(words.melanoma)} (${escape(words.interval)})</p>
<img src="${escape(picture)}" alt="">
${text(say(risk.advice))}${text(words.thousand)}${text(words.malignant)}${text(words.raised)}
${part(t.result.missing, words.missing.length ? list(words.missing) : "")}
${part(t.result.why, list((risk.reasons ?? []).map(say)))}
${part(t.result.weights, list(why.bars.map((bar) => `${bar.name}: ${bar.text}`)) + text(why.start))}
${part(t.result.doctor, risk.questions_for_doctor?.length ? list(risk.questions_for_doctor.map(say)) : "")}
${part(t.result.classifier, text(words.classifier))}${part(t.result.vlm, text(words.vlm))}
${text(words.quality)}<p class="note"><strong>${escape(say(answer.disclaimer))}</strong></p>
<p class="note">${escape(new Date(answer.created_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" }))} · ${escape(answer.id)}</p></body></html>`;
}

const STYLE = "body{font:11pt/1.45 system-ui,sans-serif;margin:15mm;color:#111}h1{font-size:18pt}h2{font-size:12pt;margin:6mm 0 1mm}"
  + "img{width:55mm;float:right;margin:0 0 5mm 5mm}.level{font-weight:700}.note{font-size:9pt;clear:both}";

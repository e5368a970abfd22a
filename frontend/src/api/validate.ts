import type { Assessment } from "@/client";

import { Failure } from "./problem";

type Fields = Record<string, unknown>;

/** The answer, if it has every field without which it must not be shown. Throws Failure. */
export function validated(answer: unknown): Assessment {
  if (!isComplete(answer)) throw new Failure("unreadable");
  return answer as Assessment;
}

function isComplete(answer: unknown): boolean {
  if (!isFields(answer)) return false;
  const { risk, findings, fusion } = answer;
  return isFields(risk) && isRisk(risk) && isFields(fusion) && isText(answer.id) && isText(answer.created_at) && isText(answer.disclaimer)
    && isFields(findings) && ["classifier", "vlm", "picture", "questionnaire"].every((name) => isFields(findings[name]));
}

function isRisk({ level, melanoma, malignant, interval, headline, advice, explanation, contributions }: Fields): boolean {
  return ["low", "moderate", "high"].includes(level as string) && isShare(melanoma) && isShare(malignant)
    && Array.isArray(interval) && interval.length === 2 && interval.every(isShare)
    && isText(headline) && isText(advice) && typeof explanation === "string"
    && Array.isArray(contributions) && contributions.every((one) => isFields(one) && isText(one.id) && Number.isFinite(one.log_odds));
}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null;
const isText = (value: unknown): boolean => typeof value === "string" && value.trim() !== "";
const isShare = (value: unknown): boolean => typeof value === "number" && value >= 0 && value <= 1;

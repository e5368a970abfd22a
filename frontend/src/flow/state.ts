import type { Answers } from "@/api/assess";
import type { Failure } from "@/api/problem";
import type { Question } from "@/api/questionnaire";
import type { Assessment } from "@/client";
import type { PreparedImage } from "@/image/types";

/** Everything one assessment needs, in memory only: it is gone when the app is closed. */
export type Flow = {
  consent: boolean; image: PreparedImage | null; questions: Question[]; answers: Answers;
  arrived: Record<string, string>; answer: Assessment | null; failure: Failure | null;
};

export const start: Flow = { consent: false, image: null, questions: [], answers: {}, arrived: {}, answer: null, failure: null };

export type Action =
  | { is: "consent"; given: boolean }
  | { is: "image"; image: PreparedImage }
  | { is: "questions"; questions: Question[] }
  | { is: "answer"; id: string; value: string | number | undefined }
  | { is: "sending" }
  | { is: "arrived"; name: string; status: string }
  | { is: "done"; answer: Assessment }
  | { is: "failed"; failure: Failure }
  | { is: "restored"; flow: Partial<Flow> }
  | { is: "again" }
  | { is: "left" };

export function step(flow: Flow, action: Action): Flow {
  switch (action.is) {
    case "consent": return { ...flow, consent: action.given };
    case "image": return { ...flow, image: action.image, answer: null, failure: null };
    case "questions": return { ...flow, questions: action.questions };
    case "answer": return { ...flow, answers: answered(flow.answers, action.id, action.value) };
    case "sending": return { ...flow, arrived: {}, answer: null, failure: null };
    case "arrived": return { ...flow, arrived: { ...flow.arrived, [action.name]: action.status } };
    case "done": return { ...flow, answer: action.answer };
    case "failed": return { ...flow, failure: action.failure };
    case "restored": return { ...flow, ...action.flow };
    case "again": return { ...start, consent: flow.consent, questions: flow.questions };
    case "left": return start;
  }
}

/** An empty or unsure answer is not sent: both mean the same to the server. */
function answered(answers: Answers, id: string, value: string | number | undefined): Answers {
  const rest = Object.fromEntries(Object.entries(answers).filter(([name]) => name !== id));
  return value === undefined || value === "unsure" ? rest : { ...rest, [id]: value };
}

/** What a person typed for a whole number: undefined when empty, null when it is not one from minimum to maximum. */
export function wholeNumber(text: string, minimum = 0, maximum = Number.MAX_SAFE_INTEGER): number | undefined | null {
  if (!text.trim()) return undefined;
  const value = Number(text);
  return /^\s*\d+\s*$/.test(text) && value >= minimum && value <= maximum ? value : null;
}

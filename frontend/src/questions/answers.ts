import type { Question } from "@/api/questionnaire";
import { wholeNumber } from "@/flow/state";

/** Whether what was typed is neither empty nor a number the question takes. */
export const complaint = ({ minimum, maximum }: Question, text: string): boolean => wholeNumber(text, minimum, maximum) === null;

/** The number that was typed, or undefined where there is none to send. */
export const usable = ({ minimum, maximum }: Question, text: string): number | undefined => wholeNumber(text, minimum, maximum) ?? undefined;

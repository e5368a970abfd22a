import { questions as ask } from "@/client";
import { client } from "@/client/client.gen";

import { API_URL } from "./base";
import { Failure, failureOf } from "./problem";
import { isOffline, send } from "./transport";

export type Question = {
  id: string; section: string; type: "integer" | "choice"; text: string; help: string; source?: string;
  choices?: string[]; labels?: Record<string, string>; minimum?: number; maximum?: number;
};
export type Questionnaire = { version: string; questions: Question[] };

client.setConfig({ baseUrl: API_URL, fetch: send });

/** The questions this app can draw; one of a type it does not know is left out. Throws Failure. */
export async function loadQuestionnaire(): Promise<Questionnaire> {
  const { data, response } = await ask().catch(() => ({ data: undefined, response: undefined }));
  if (!response) throw new Failure(isOffline() ? "offline" : "unreachable");
  if (!response.ok || !data) throw failureOf(response.status, {}, response.headers.get("retry-after"));
  const { version, questions } = data as unknown as Questionnaire;
  return { version, questions: questions.filter(({ type }) => type === "integer" || type === "choice") };
}

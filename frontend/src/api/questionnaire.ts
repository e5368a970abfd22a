import { connect, IDLE_MS } from "./connection";
import { Failure, failureOf } from "./problem";
import { server } from "./server";
import { isOffline, onOffline } from "./transport";

export type Question = {
  id: string; section: string; type: "integer" | "choice"; text: string; help: string; source?: string;
  choices?: string[]; labels?: Record<string, string>; minimum?: number; maximum?: number;
};
export type Questionnaire = { version: string; questions: Question[] };

/** The questions this app can draw; one of a type it does not know is left out. Throws Failure. */
export async function loadQuestionnaire(): Promise<Questionnaire> {
  const { signal, wait } = connect({ isOffline, onOffline });
  const { data, response } = await wait(IDLE_MS, () => server.questions({ signal }));
  if (!response) throw new Failure(isOffline() ? "offline" : "unreachable");
  if (!response.ok || !data) throw failureOf(response.status, {}, response.headers.get("retry-after"));
  const { version, questions } = data as unknown as Questionnaire;
  return { version, questions: questions.filter(({ type }) => type === "integer" || type === "choice") };
}

import type { Assessment, Problem } from "@/client";
import type { Picture } from "@/picture/types";

import { checked } from "./checked";
import { eventReader, type ServerEvent } from "./events";
import { firstWord, IDLE_MS, line, type Connection, type Line } from "./line";
import { Failure, failureOf } from "./problem";

export type Answers = Record<string, string | number>;
export type Arrived = { name: string; status: string; finding: unknown };
/** `bearer` gives a token where the server asks for one; `renew` another one, after the first was refused. */
export type Transport = Connection & {
  url: string; send: typeof fetch; imagePart: (picture: Picture) => Blob; bearer: (renew?: boolean) => Promise<string | null>;
};

/**
 * One assessment. Findings are told as they arrive where the server streams, else only the answer comes.
 * Throws Failure for everything that is not an answer, and an AbortError when `signal` stops it.
 */
export async function assess(
  picture: Picture, answers: Answers, language: string, signal: AbortSignal, arrived: (finding: Arrived) => void, by: Transport,
): Promise<Assessment> {
  const body = new FormData();
  body.append("image", by.imagePart(picture), "picture.jpg");
  body.append("questionnaire", JSON.stringify(answers));
  body.append("language", language);
  const on = line(by, signal);
  const answer = await post(body, picture.bytes.length, on, by);
  if (!answer.ok) throw failureOf(answer.status, await json<Problem>(answer, on).catch(() => ({})), answer.headers.get("retry-after"));
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return checked(await json(answer, on));
  return stream(answer, arrived, on);
}

/** Sent once, and once more with another token where the first was refused. */
async function post(body: FormData, bytes: number, { signal, wait }: Line, by: Transport): Promise<Response> {
  const ask = (token: string | null) => {
    const headers = { Accept: "text/event-stream, application/json;q=0.9", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    return wait(firstWord(bytes), () => by.send(`${by.url}/v1/assessments?heatmap=true`, { method: "POST", body, headers, signal }));
  };
  const token = await by.bearer();
  const answer = await ask(token);
  if (answer.status !== 401 || !token) return answer;
  const other = await by.bearer(true);
  return other ? ask(other) : answer;
}

async function json<T>(answer: Response, { wait }: Line): Promise<T> {
  const text = await wait(IDLE_MS, () => answer.text());
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Failure("unreadable", answer.status);
  }
}

async function stream(answer: Response, arrived: (finding: Arrived) => void, { wait }: Line): Promise<Assessment> {
  const reader = answer.body?.getReader();
  if (!reader) throw new Failure("unreadable", answer.status);
  const decoder = new TextDecoder();
  const read = eventReader();
  for (;;) {
    const { done, value } = await wait(IDLE_MS, () => reader.read());
    for (const event of read(done ? "\n\n" : decoder.decode(value, { stream: true }))) {
      const found = told(event, arrived);
      if (found) return found;
    }
    if (done) throw new Failure("unreachable"); // the stream broke before the answer
  }
}

/** What an event says: a finding is handed on, a problem thrown, the assessment returned. */
function told({ event, data }: ServerEvent, arrived: (finding: Arrived) => void): Assessment | null {
  const body = parsed(data);
  if (event === "assessment") return checked(body);
  if (event === "problem") {
    const problem = body as Partial<Problem>;
    throw failureOf(problem.status ?? 500, problem, null);
  }
  if (event === "finding") for (const [name, finding] of Object.entries(body)) {
    arrived({ name, status: (finding as { status?: string } | null)?.status ?? "ok", finding });
  }
  return null;
}

function parsed(data: string): Record<string, unknown> {
  try {
    return JSON.parse(data) as Record<string, unknown>;
  } catch {
    throw new Failure("unreadable");
  }
}

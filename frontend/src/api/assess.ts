import type { Assessment, Problem } from "@/client";
import type { PreparedImage } from "@/image/types";

import { validated } from "./validate";
import { eventReader, type ServerEvent } from "./events";
import { connect, firstByteMs, IDLE_MS, type Connection, type NetworkStatus } from "./connection";
import { Failure, failureOf } from "./problem";

export type Answers = Record<string, string | number>;
export type Finding = { name: string; status: string; finding: unknown };
/** `bearer` gives a token where the server requires sign-in; with `renew` a new one, after the first was refused. */
export type Transport = NetworkStatus & {
  url: string; send: typeof fetch; imagePart: (image: PreparedImage) => Blob; bearer: (renew?: boolean) => Promise<string | null>;
};

/**
 * Requests one assessment. `onFinding` gets each finding as it arrives where the server streams.
 * Throws Failure for everything that is not an answer, and an AbortError when `signal` stops it.
 */
export async function assess(
  image: PreparedImage, answers: Answers, language: string, signal: AbortSignal, onFinding: (finding: Finding) => void, transport: Transport,
): Promise<Assessment> {
  const body = new FormData();
  body.append("image", transport.imagePart(image), "image.jpg");
  body.append("questionnaire", JSON.stringify(answers));
  body.append("language", language);
  const connection = connect(transport, signal);
  const answer = await post(body, image.bytes.length, connection, transport);
  if (!answer.ok) throw failureOf(answer.status, await json<Problem>(answer, connection).catch(() => ({})), answer.headers.get("retry-after"));
  if (!answer.headers.get("content-type")?.startsWith("text/event-stream")) return validated(await json(answer, connection));
  return stream(answer, onFinding, connection);
}

/** Sends the request, and once more with a new token where the first was refused. */
async function post(body: FormData, bytes: number, { signal, wait }: Connection, transport: Transport): Promise<Response> {
  const request = (token: string | null) => {
    const headers = { Accept: "text/event-stream, application/json;q=0.9", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    return wait(firstByteMs(bytes), () => transport.send(`${transport.url}/v1/assessments?heatmap=true`, { method: "POST", body, headers, signal }));
  };
  const token = await transport.bearer();
  const answer = await request(token);
  if (answer.status !== 401 || !token) return answer;
  const other = await transport.bearer(true);
  return other ? request(other) : answer;
}

async function json<T>(answer: Response, { wait }: Connection): Promise<T> {
  const text = await wait(IDLE_MS, () => answer.text());
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new Failure("unreadable", answer.status);
  }
}

async function stream(answer: Response, onFinding: (finding: Finding) => void, { wait }: Connection): Promise<Assessment> {
  const reader = answer.body?.getReader();
  if (!reader) throw new Failure("unreadable", answer.status);
  const decoder = new TextDecoder();
  const read = eventReader();
  for (;;) {
    const { done, value } = await wait(IDLE_MS, () => reader.read());
    for (const event of read(done ? "\n\n" : decoder.decode(value, { stream: true }))) {
      const assessment = handle(event, onFinding);
      if (assessment) return assessment;
    }
    if (done) throw new Failure("unreachable"); // the stream broke before the answer
  }
}

/** Handles one event: passes a finding to `onFinding`, throws a problem, returns the assessment. */
function handle({ event, data }: ServerEvent, onFinding: (finding: Finding) => void): Assessment | null {
  const body = parsed(data);
  if (event === "assessment") return validated(body);
  if (event === "problem") {
    const problem = body as Partial<Problem>;
    throw failureOf(problem.status ?? 500, problem, null);
  }
  if (event === "finding") for (const [name, finding] of Object.entries(body)) {
    onFinding({ name, status: (finding as { status?: string } | null)?.status ?? "ok", finding });
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

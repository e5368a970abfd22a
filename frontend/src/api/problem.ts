import type { Problem } from "@/client";

/** Why there is no answer; each kind has its own screen. */
export type Kind = "offline" | "unreachable" | "busy" | "tooMany" | "image" | "answers" | "signedOut" | "forbidden" | "unreadable" | "other";

export class Failure extends Error {
  constructor(
    readonly kind: Kind,
    readonly status = 0,
    readonly problem: Partial<Problem> = {},
    readonly wait = 0,
  ) {
    super(kind);
  }
}

/** What a refused answer means: from its status, its problem+json body and its Retry-After, which an event has in its body. */
export function failureOf(status: number, problem: Partial<Problem>, retryAfter: string | null): Failure {
  return new Failure(kindOf(status, problem), status, problem, seconds(retryAfter ?? String(problem.retry_after ?? "")));
}

function kindOf(status: number, problem: Partial<Problem>): Kind {
  if (status === 401) return "signedOut";
  if (status === 403) return "forbidden";
  if (status === 429) return "tooMany"; // of this caller or of all: both answer so
  if (status === 503) return "busy";
  if (status === 413 || status === 415) return "image";
  if (status === 422) return (problem.errors ?? []).some(({ field }) => field.startsWith("questionnaire")) ? "answers" : "image";
  return "other";
}

/** Retry-After: whole seconds or an HTTP date; at most ten minutes, so that a wrong clock locks nobody out. */
export function seconds(header: string | null, now = Date.now()): number {
  if (!header) return 0;
  const left = /^\d+$/.test(header.trim()) ? Number(header) : Math.ceil((Date.parse(header) - now) / 1000);
  return Number.isFinite(left) ? Math.min(Math.max(left, 0), 600) : 0;
}

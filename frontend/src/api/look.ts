import type { Assessment } from "@/client";
import type { Picture } from "@/picture/types";

import { assess, type Transport } from "./assess";
import { Failure } from "./problem";

/** What the API's own check says of a picture before any question is asked. */
export type Look = { problems: string[]; unfamiliar: boolean; refused: Failure | null };

/** Longer than this nobody waits for advice: the assessment itself says it again. */
const PATIENCE_MS = 4000;

/**
 * Asks for an assessment without answers, and leaves as soon as the picture itself has been judged, which stops the work.
 * Null when no advice came in time, for whatever reason but a refused picture: advice holds nobody up.
 */
export async function look(picture: Picture, by: Transport): Promise<Look | null> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  const seen: Partial<Assessment["findings"]> = {};
  const advice = (): Look | null => (seen.picture ? { problems: problems(seen), unfamiliar: seen.classifier?.in_distribution === false, refused: null } : null);
  try {
    const { findings } = await assess(picture, {}, "en", stop.signal, ({ name, finding }) => {
      Object.assign(seen, { [name]: finding });
      if (seen.picture && seen.classifier) stop.abort();
    }, by);
    Object.assign(seen, findings);
    return advice();
  } catch (error) {
    if (error instanceof Failure && error.kind === "picture") return { problems: [], unfamiliar: false, refused: error };
    return advice();
  } finally {
    clearTimeout(timer);
  }
}

function problems({ picture }: Partial<Assessment["findings"]>): string[] {
  return picture?.quality === "poor" ? picture.problems ?? [] : [];
}

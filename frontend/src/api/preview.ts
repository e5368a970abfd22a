import type { Assessment } from "@/client";
import type { PreparedImage } from "@/image/types";

import { assess, type Transport } from "./assess";
import { Failure } from "./problem";

/** What the API's own check says about an image before any question. */
export type Preview = { problems: string[]; unfamiliar: boolean; refused: Failure | null };

/** The assessment itself repeats the advice, so that this need not wait longer. */
const TIMEOUT_MS = 4000;

/**
 * Requests an assessment without answers and aborts it as soon as the image itself has been judged, which stops the work.
 * Null when no advice came in time, for any reason but a refused image: advice must not block.
 */
export async function preview(image: PreparedImage, transport: Transport): Promise<Preview | null> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
  const arrived: Partial<Assessment["findings"]> = {};
  const advice = (): Preview | null => (arrived.picture ? { problems: problems(arrived), unfamiliar: arrived.classifier?.in_distribution === false, refused: null } : null);
  try {
    const { findings } = await assess(image, {}, "en", stop.signal, ({ name, finding }) => {
      Object.assign(arrived, { [name]: finding });
      if (arrived.picture && arrived.classifier) stop.abort();
    }, transport);
    Object.assign(arrived, findings);
    return advice();
  } catch (error) {
    if (error instanceof Failure && error.kind === "image") return { problems: [], unfamiliar: false, refused: error };
    return advice();
  } finally {
    clearTimeout(timer);
  }
}

function problems({ picture }: Partial<Assessment["findings"]>): string[] {
  return picture?.quality === "poor" ? picture.problems ?? [] : [];
}

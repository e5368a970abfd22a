import type { Flow } from "@/flow/state";
import type { PreparedImage } from "@/image/types";

import type { SavedFlow } from "./saved-flow";

const NAME = "melalog-flow";

/**
 * The current flow while a person is at the issuer's page: in this tab only, and removed when it is resumed.
 * PreparedImage and answers only where they were about to be sent (`resume`); from the start page only the consent.
 */
export const savedFlow = {
  put: ({ consent, answers, image }: Flow, resume: boolean): void => {
    const shown = resume && image ? { ...image, uri: "", bytes: text(image.bytes) } : null;
    const rest = { consent, ...(resume ? { answers } : {}) };
    try {
      sessionStorage.setItem(NAME, JSON.stringify({ resume, flow: { ...rest, image: shown } }));
    } catch { // the image is larger than a tab may store: the answers at least
      sessionStorage.setItem(NAME, JSON.stringify({ resume, flow: { ...rest, image: null } }));
    }
  },
  take: (): SavedFlow => {
    const stored = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    if (!stored) return { resume: false, flow: {} };
    const { resume, flow } = JSON.parse(stored) as { resume: boolean; flow: Flow & { image: (Omit<PreparedImage, "bytes"> & { bytes: string }) | null } };
    const { image } = flow;
    return { resume, flow: { ...flow, image: image && shown({ ...image, bytes: Uint8Array.from(atob(image.bytes), (one) => one.charCodeAt(0)) }) } };
  },
  drop: (): void => sessionStorage.removeItem(NAME),
};

const shown = (image: PreparedImage): PreparedImage => ({ ...image, uri: URL.createObjectURL(new Blob([image.bytes as BlobPart], { type: "image/jpeg" })) });

function text(bytes: Uint8Array): string {
  let all = "";
  for (let at = 0; at < bytes.length; at += 0x8000) all += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(all);
}

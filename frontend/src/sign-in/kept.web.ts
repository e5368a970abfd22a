import type { Flow } from "@/flow/state";
import type { Picture } from "@/picture/types";

import type { Kept } from "./kept";

const NAME = "melalog-kept";

/**
 * What is in hand while a person is at the issuer's page: in this tab only, and gone when it is taken up again.
 * Picture and answers only where they were on their way (`resume`); from the start page only the consent.
 */
export const kept = {
  put: ({ consent, answers, picture }: Flow, resume: boolean): void => {
    const shown = resume && picture ? { ...picture, uri: "", bytes: text(picture.bytes) } : null;
    const rest = { consent, ...(resume ? { answers } : {}) };
    try {
      sessionStorage.setItem(NAME, JSON.stringify({ resume, flow: { ...rest, picture: shown } }));
    } catch { // the picture is larger than a tab may keep: the answers at least
      sessionStorage.setItem(NAME, JSON.stringify({ resume, flow: { ...rest, picture: null } }));
    }
  },
  take: (): Kept => {
    const found = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    if (!found) return { resume: false, flow: {} };
    const { resume, flow } = JSON.parse(found) as { resume: boolean; flow: Flow & { picture: (Omit<Picture, "bytes"> & { bytes: string }) | null } };
    const { picture } = flow;
    return { resume, flow: { ...flow, picture: picture && shown({ ...picture, bytes: Uint8Array.from(atob(picture.bytes), (one) => one.charCodeAt(0)) }) } };
  },
  drop: (): void => sessionStorage.removeItem(NAME),
};

const shown = (picture: Picture): Picture => ({ ...picture, uri: URL.createObjectURL(new Blob([picture.bytes as BlobPart], { type: "image/jpeg" })) });

function text(bytes: Uint8Array): string {
  let all = "";
  for (let at = 0; at < bytes.length; at += 0x8000) all += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(all);
}

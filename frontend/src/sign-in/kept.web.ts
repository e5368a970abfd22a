import type { Flow } from "@/flow/state";
import type { Picture } from "@/picture/types";

const NAME = "melalog-kept";

/** What is in hand while a person is at the issuer's page: in this tab only, and gone when it is taken up again. */
export const kept = {
  put: ({ consent, answers, picture }: Flow): void => {
    const shown = picture && { ...picture, uri: "", bytes: text(picture.bytes) };
    try {
      sessionStorage.setItem(NAME, JSON.stringify({ consent, answers, picture: shown }));
    } catch { // the picture is larger than a tab may keep: the answers at least
      sessionStorage.setItem(NAME, JSON.stringify({ consent, answers, picture: null }));
    }
  },
  take: (): Partial<Flow> => {
    const found = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    if (!found) return {};
    const { picture, ...rest } = JSON.parse(found) as Flow & { picture: (Omit<Picture, "bytes"> & { bytes: string }) | null };
    return picture ? { ...rest, picture: shown({ ...picture, bytes: Uint8Array.from(atob(picture.bytes), (one) => one.charCodeAt(0)) }) } : { ...rest, picture: null };
  },
};

const shown = (picture: Picture): Picture => ({ ...picture, uri: URL.createObjectURL(new Blob([picture.bytes as BlobPart], { type: "image/jpeg" })) });

function text(bytes: Uint8Array): string {
  let all = "";
  for (let at = 0; at < bytes.length; at += 0x8000) all += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(all);
}

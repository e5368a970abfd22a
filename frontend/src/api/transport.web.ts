import type { PreparedImage } from "@/image/types";

export const send: typeof fetch = (input, init) => globalThis.fetch(input, init);
export const isOffline = () => navigator.onLine === false;
export const onOffline = (listener: () => void) => {
  addEventListener("offline", listener);
  return () => removeEventListener("offline", listener);
};

/** The image as a form field: the cleaned JPEG bytes, without the name it had on the device. */
export function imagePart(image: PreparedImage): Blob {
  return new Blob([image.bytes as BlobPart], { type: "image/jpeg" });
}

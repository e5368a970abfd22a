import { File, Paths } from "expo-file-system";
import { fetch } from "expo/fetch"; // streams the answer, which React Native's own fetch does not

import type { PreparedImage } from "@/image/types";

export const send = fetch as unknown as typeof globalThis.fetch;
export const isOffline = () => false; // a phone says so by failing to connect
export const onOffline = (_: () => void) => () => undefined;

/** The image as a form field: the cleaned JPEG bytes in a file of the cache, without the name it had on the device. */
export function imagePart(image: PreparedImage): Blob {
  const file = new File(Paths.cache, "image.jpg");
  if (file.exists) file.delete();
  file.create();
  file.write(image.bytes);
  return file as unknown as Blob;
}

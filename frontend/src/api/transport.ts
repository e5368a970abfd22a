import { File, Paths } from "expo-file-system";
import { fetch } from "expo/fetch"; // streams the answer, which React Native's own fetch does not

import type { Picture } from "@/picture/types";

export const send = fetch as unknown as typeof globalThis.fetch;
export const isOffline = () => false; // a phone says so by failing to connect
export const onOffline = (_: () => void) => () => undefined;

/** The picture as a form field: the cleaned JPEG bytes in a file of the cache, without the name it had on the device. */
export function imagePart(picture: Picture): Blob {
  const file = new File(Paths.cache, "picture.jpg");
  if (file.exists) file.delete();
  file.create();
  file.write(picture.bytes);
  return file as unknown as Blob;
}

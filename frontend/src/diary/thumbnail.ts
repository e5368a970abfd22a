import { ImageManipulator, SaveFormat } from "expo-image-manipulator";

/** The image as a small JPEG in a data address, for the diary. */
export async function thumbnail(uri: string): Promise<string> {
  const image = await ImageManipulator.manipulate(uri).resize({ width: 640, height: 640 }).renderAsync();
  const { base64 } = await image.saveAsync({ format: SaveFormat.JPEG, compress: 0.85, base64: true });
  return `data:image/jpeg;base64,${base64}`;
}

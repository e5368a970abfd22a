import { File } from "expo-file-system";
import { ImageManipulator, SaveFormat } from "expo-image-manipulator";

import { LIMITS } from "./check";
import { square } from "./geometry";
import { withoutMetadata } from "./jpeg";
import type { Edit, PreparedImage } from "./types";

const MAX_SIDE = 1536;

/**
 * The image, turned, cut and coded anew as JPEG by the phone (HEIC included), then freed of metadata.
 * Light and sharpness are not judged here: React Native hands out no pixels; the API's check does it.
 */
export async function prepare(uri: string, edit: Edit): Promise<PreparedImage> {
  const turned = await ImageManipulator.manipulate(uri).rotate(90 * edit.turns).renderAsync();
  const { left, top, side } = square(turned.width, turned.height, { ...edit, turns: 0 });
  const cut = ImageManipulator.manipulate(turned).crop({ originX: left, originY: top, width: side, height: side });
  const size = Math.min(side, MAX_SIDE);
  const image = await cut.resize({ width: size, height: size }).renderAsync();
  const saved = await image.saveAsync({ format: SaveFormat.JPEG, compress: 0.92 });
  const file = new File(saved.uri);
  const bytes = withoutMetadata(await file.bytes());
  file.write(bytes);
  return { uri: saved.uri, bytes, width: size, height: size, warnings: side < LIMITS.side ? ["small"] : [] };
}

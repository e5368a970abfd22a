import { check, greyOf } from "./check";
import { square } from "./geometry";
import { bitmap } from "./heic";
import { withoutMetadata } from "./jpeg";
import type { Edit, PreparedImage } from "./types";

const MAX_SIDE = 1536;
const CHECK_SIDE = 256;

/** The chosen file, drawn anew on a canvas, so that nothing but pixels is left of it. Throws when the browser cannot read it. */
export async function prepare(uri: string, edit: Edit): Promise<PreparedImage> {
  const source = await bitmap(await (await fetch(uri)).blob());
  const { left, top, side } = square(source.width, source.height, edit);
  const scale = Math.min(1, MAX_SIDE / side);
  const size = Math.max(1, Math.round(side * scale));
  const canvas = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("no canvas");
  const [w, h] = edit.turns % 2 ? [source.height, source.width] : [source.width, source.height];
  pen.imageSmoothingQuality = "high";
  pen.scale(scale, scale);
  pen.translate(w / 2 - left, h / 2 - top);
  pen.rotate((edit.turns * Math.PI) / 2);
  pen.drawImage(source, -source.width / 2, -source.height / 2);
  source.close();
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  if (!blob) throw new Error("no JPEG");
  const bytes = withoutMetadata(new Uint8Array(await blob.arrayBuffer()));
  const clean = URL.createObjectURL(new Blob([bytes as BlobPart], { type: "image/jpeg" }));
  return { uri: clean, bytes, width: size, height: size, warnings: check(greyOf(pixels(canvas)), CHECK_SIDE, side) };
}

function pixels(canvas: HTMLCanvasElement): Uint8ClampedArray {
  const small = Object.assign(document.createElement("canvas"), { width: CHECK_SIDE, height: CHECK_SIDE });
  const pen = small.getContext("2d", { willReadFrequently: true });
  if (!pen) throw new Error("no canvas");
  pen.drawImage(canvas, 0, 0, CHECK_SIDE, CHECK_SIDE);
  return pen.getImageData(0, 0, CHECK_SIDE, CHECK_SIDE).data;
}

import type { Warning } from "./types";

/** Limits of the warnings, on a grey 256-pixel square. The API's own check decides. */
export const LIMITS = { side: 224, dark: 45, bright: 235, sharpness: 12 };

/** What to warn of: `grey` is size × size luma, 0 to 255; `side` the image's side in pixels. */
export function check(grey: Uint8Array | Float32Array, size: number, side: number): Warning[] {
  let sum = 0;
  for (const value of grey) sum += value;
  const mean = sum / grey.length;
  const warnings: Warning[] = [];
  if (side < LIMITS.side) warnings.push("small");
  if (mean < LIMITS.dark) warnings.push("dark");
  else if (mean > LIMITS.bright) warnings.push("bright");
  if (laplacianVariance(grey, size) < LIMITS.sharpness) warnings.push("blurred");
  return warnings;
}

/** Variance of the 4-neighbour Laplacian: small where there are no edges (Pech-Pacheco 2000). */
export function laplacianVariance(grey: Uint8Array | Float32Array, size: number): number {
  let sum = 0, squares = 0, n = 0;
  for (let y = 1; y < size - 1; y += 1)
    for (let x = 1; x < size - 1; x += 1) {
      const i = y * size + x;
      const edge = grey[i - 1]! + grey[i + 1]! + grey[i - size]! + grey[i + size]! - 4 * grey[i]!;
      sum += edge; squares += edge * edge; n += 1;
    }
  return n ? squares / n - (sum / n) ** 2 : 0;
}

/** Luma (BT.601) of RGBA bytes. */
export function greyOf(rgba: Uint8ClampedArray | Uint8Array): Uint8Array {
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < grey.length; i += 1) grey[i] = 0.299 * rgba[4 * i]! + 0.587 * rgba[4 * i + 1]! + 0.114 * rgba[4 * i + 2]!;
  return grey;
}

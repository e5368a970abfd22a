const STOPS = [[70, 20, 170], [225, 50, 140], [255, 235, 70]] as const;

/** Grey RGBA pixels to the heat map's colours; the same length. */
export function coloured(rgba: Uint8ClampedArray): Uint8ClampedArray {
  const out = new Uint8ClampedArray(rgba.length);
  for (let i = 0; i < rgba.length; i += 4) {
    const value = rgba[i]! / 255, from = value < 0.5 ? 0 : 1;
    STOPS[from].forEach((c, k) => { out[i + k] = c + (STOPS[from + 1]![k]! - c) * (value * 2 - from); });
    out[i + 3] = 330 * value;
  }
  return out;
}

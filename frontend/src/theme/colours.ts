/** Both palettes of the first page; test/contrast.test.ts checks every pair that carries text against AA (4.5:1). */
export const light = {
  paper: "#eff3f3", card: "#ffffff", ink: "#14262b", soft: "#4a5e64", line: "#cfdadb", edge: "#728589",
  accent: "#0b5964", onAccent: "#ffffff", tint: "#e2eeee", error: "#a3163a",
  low: "#1f5687", lowTint: "#e4eef7", moderate: "#7d4f00", moderateTint: "#fbeed2", high: "#a3163a", highTint: "#fbe4e9",
  up: "#b4375a", down: "#2a6ca6",
};

export type Colours = typeof light;

export const dark: Colours = {
  paper: "#0e1719", card: "#162225", ink: "#e4eded", soft: "#a6b8bb", line: "#2b3c40", edge: "#71868b",
  accent: "#74c8d0", onAccent: "#05262b", tint: "#1c2f33", error: "#ff9db0",
  low: "#93c5f0", lowTint: "#15293b", moderate: "#f2c36b", moderateTint: "#33280f", high: "#ff9db0", highTint: "#3b1822",
  up: "#e8748f", down: "#6aaee6",
};

/** WCAG 2.2 contrast of two #rrggbb colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x! + 0.05) / (y! + 0.05);
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

/** "{n} of {all}" with values in the places of their names. */
export const fill = (pattern: string, values: Record<string, string | number>): string =>
  pattern.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));

/** The plain word for a value, or the value itself when a newer server says something new. */
export const plain = (words: object, value: string): string =>
  (Object.hasOwn(words, value) ? (words as Record<string, string>)[value] : undefined) ?? value.replaceAll("_", " ");

type Percent = { under: string; over: string; unknown: string };

/** A probability as a person reads it, never "0 %" and never "100 %": nothing here is that certain. */
export function percent(p: number | null | undefined, words: Percent, language: string): string {
  if (p == null) return words.unknown;
  if (p < 0.001) return words.under;
  if (p > 0.99) return words.over;
  const digits = p >= 0.1 ? 0 : 1;
  return `${(p * 100).toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })}\u00a0%`;
}

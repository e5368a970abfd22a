import { createElement } from "react";

import { useColours } from "@/theme";

export type SliderProps = { label: string; value: number; text: string; onChange: (value: number) => void };

/** A share from 0 to 1. On web the browser's own slider: it knows keyboards and screen readers. */
export function Slider({ label, value, text, onChange }: SliderProps) {
  const { accent } = useColours();
  return createElement("input", {
    type: "range", min: 0, max: 100, value: Math.round(value * 100), "aria-label": label, "aria-valuetext": text,
    style: { width: "100%", height: 44, accentColor: accent, margin: 0 },
    onChange: (event: { target: { value: string } }) => onChange(Number(event.target.value) / 100),
  });
}

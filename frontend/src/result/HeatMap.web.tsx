import { useEffect, useRef } from "react";

import { coloured } from "./heat";

export const COLOURED = true;

/** The map over the image: violet, pink, yellow, which skin does not have, and the lower the more transparent. */
export function HeatMap({ base64, opacity }: { base64: string; opacity: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const map = new Image();
    map.onload = () => {
      const pen = canvas.current && Object.assign(canvas.current, { width: map.width, height: map.height }).getContext("2d");
      if (!pen) return;
      pen.drawImage(map, 0, 0);
      const pixels = pen.getImageData(0, 0, map.width, map.height);
      pixels.data.set(coloured(pixels.data));
      pen.putImageData(pixels, 0, 0);
    };
    map.src = `data:image/png;base64,${base64}`;
  }, [base64]);
  return <canvas ref={canvas} aria-hidden style={{ position: "absolute", inset: 0, width: "100%", height: "100%", opacity }} />;
}

import type { Edit } from "./types";

export type Square = { left: number; top: number; side: number };

/** The square that stays, in pixels of the turned image, inside it whatever the edit says. */
export function square(width: number, height: number, { turns, zoom, x, y }: Edit): Square {
  const [w, h] = turns % 2 ? [height, width] : [width, height];
  const side = Math.max(1, Math.round(Math.min(w, h) / Math.min(Math.max(zoom, 1), 8)));
  const place = (share: number, all: number) => Math.round(Math.min(Math.max(share * all - side / 2, 0), all - side));
  return { left: place(x, w), top: place(y, h), side };
}

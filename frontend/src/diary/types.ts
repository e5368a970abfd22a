import type { LevelName } from "@/result/Level";

export type Photo = { id: string; date: string; image: string; level: LevelName };
export type Spot = { id: string; site: string; photos: Photo[] };

/** Where spots are saved: on this device, and nowhere else. */
export type Store = { load(): Promise<Spot[]>; save(spots: Spot[]): Promise<void>; clear(): Promise<void> };

/** Whether the photograph of that assessment is in the diary. */
export const isSaved = (spots: Spot[], id: string): boolean => spots.some(({ photos }) => photos.some((photo) => photo.id === id));

/**
 * The spots with one more photograph: of the spot `id`, or of a new one at `site`. A photograph that is there is no
 * second point in time and changes nothing; so a new spot, named after its first one, never shares its id.
 */
export function added(spots: Spot[], photo: Photo, to: { id: string } | { site: string }): Spot[] {
  if (isSaved(spots, photo.id)) return spots;
  if ("site" in to) return [...spots, { id: photo.id, site: to.site, photos: [photo] }];
  return spots.map((spot) => (spot.id === to.id ? { ...spot, photos: [...spot.photos, photo] } : spot));
}

const ORDER: LevelName[] = ["low", "moderate", "high"];

/** How the latest photograph was rated against the one before it; null where there is none. */
export function trend({ photos }: Spot): "rose" | "fell" | "same" | null {
  const [before, latest] = photos.slice(-2);
  if (!before || !latest) return null;
  const step = ORDER.indexOf(latest.level) - ORDER.indexOf(before.level);
  return step > 0 ? "rose" : step < 0 ? "fell" : "same";
}

/** Whole days from the first to the latest photograph. */
export function days({ photos }: Spot): number {
  const times = photos.map(({ date }) => Date.parse(date));
  return Math.round((Math.max(...times) - Math.min(...times)) / 86_400_000);
}

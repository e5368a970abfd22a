import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { check, greyOf, laplacianVariance } from "@/image/check";
import { square } from "@/image/geometry";
import { withoutMetadata } from "@/image/jpeg";

const located = new Uint8Array(readFileSync("../tests/app/spot-with-place.jpg"));
const has = (bytes: Uint8Array, text: string) => Buffer.from(bytes).includes(text);

describe("what leaves the device", () => {
  test("has neither the place nor anything else that was written beside the image", () => {
    expect(has(located, "Exif") && has(located, "taken at home") && has(located, "Melalog test")).toBe(true);
    const clean = withoutMetadata(located);
    expect(has(clean, "Exif") || has(clean, "taken at home") || has(clean, "Melalog test")).toBe(false);
    expect(clean.length).toBeLessThan(located.length);
  });

  test("is the same image: the coded data is unchanged, byte for byte", () => {
    const scan = (bytes: Uint8Array) => Buffer.from(bytes).subarray(Buffer.from(bytes).indexOf(Buffer.from([0xff, 0xda])));
    expect(scan(withoutMetadata(located)).equals(scan(located))).toBe(true);
    expect(withoutMetadata(withoutMetadata(located))).toEqual(withoutMetadata(located));
  });

  test("ends where the image ends: what is hung on behind it goes too", () => {
    const more = new Uint8Array([...located, ...Buffer.from("Exif GPS 52.52 13.40")]);
    expect(withoutMetadata(more)).toEqual(withoutMetadata(located));
  });

  test("is nothing at all when the bytes are no whole JPEG", () => {
    expect(() => withoutMetadata(new Uint8Array(Buffer.from("ftypheic")))).toThrow(RangeError);
    for (const length of [2, 3, 5, 30, located.length >> 1]) expect(() => withoutMetadata(located.subarray(0, length)), String(length)).toThrow(RangeError);
  });
});

describe("the check on the device", () => {
  const size = 64;
  const noise = Uint8Array.from({ length: size * size }, (_, i) => 100 + ((i * 7919) % 61));
  const smooth = Uint8Array.from({ length: size * size }, (_, i) => 80 + (i % size));

  test("lets a lit, sharp, large image pass", () => expect(check(noise, size, 800)).toEqual([]));
  test("finds a blurred one", () => expect(check(smooth, size, 800)).toEqual(["blurred"]));
  test("finds a dark and a small one", () => expect(check(noise.map((v) => v / 8), size, 100)).toEqual(expect.arrayContaining(["small", "dark"])));
  test("finds a glaring one", () => expect(check(noise.map(() => 250), size, 800)).toEqual(["bright", "blurred"]));
  test("takes a slope for no edge", () => expect(laplacianVariance(Float32Array.from({ length: 25 }, (_, i) => i), 5)).toBe(0));
  test("weighs colours as the eye does", () => expect([...greyOf(new Uint8Array([255, 0, 0, 255, 0, 255, 0, 255]))]).toEqual([76, 149]));
});

describe("the square", () => {
  test("is the middle of an untouched image", () => expect(square(480, 360, { turns: 0, zoom: 1, x: 0.5, y: 0.5 })).toEqual({ left: 60, top: 0, side: 360 }));
  test("turns with the image", () => expect(square(480, 360, { turns: 1, zoom: 1, x: 0.5, y: 0.5 })).toEqual({ left: 0, top: 60, side: 360 }));
  test("never leaves the image", () => {
    for (const [x, y] of [[0, 0], [1, 1], [-3, 9]] as const)
      for (const zoom of [0.1, 1, 3, 99]) {
        const { left, top, side } = square(480, 360, { turns: 3, zoom, x, y });
        expect(left >= 0 && top >= 0 && left + side <= 360 && top + side <= 480, `${x} ${y} ${zoom}`).toBe(true);
      }
  });
});

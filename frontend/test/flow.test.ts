import { beforeEach, describe, expect, test, vi } from "vitest";

import { act, inHand } from "@/flow/context";
import { start } from "@/flow/state";
import type { Picture } from "@/picture/types";
import { kept } from "@/sign-in/kept.web";

const picture: Picture = { uri: "blob:x", bytes: new Uint8Array([1, 2, 255]), width: 1, height: 1, warnings: [] };
const tab = new Map<string, string>();

beforeEach(() => {
  tab.clear();
  vi.stubGlobal("sessionStorage", { getItem: (name: string) => tab.get(name) ?? null, setItem: (name: string, text: string) => tab.set(name, text), removeItem: (name: string) => tab.delete(name) });
  act({ is: "left" });
  act({ is: "consent", given: true });
  act({ is: "picture", picture });
  act({ is: "answer", id: "age", value: 67 });
});

describe("what is in hand", () => {
  test("is held outside the screens, and is all gone for who signs out", () => {
    expect(inHand()).toMatchObject({ consent: true, picture, answers: { age: 67 } });
    act({ is: "left" });
    expect(inHand()).toEqual(start);
  });

  test("keeps the answers for another picture of the same spot, and none for another spot", () => {
    act({ is: "picture", picture: { ...picture, uri: "blob:y" } });
    expect(inHand().answers).toEqual({ age: 67 });
    act({ is: "again" });
    expect(inHand()).toMatchObject({ consent: true, picture: null, answers: {} });
  });

  test("waits at the issuer's page only where it was on its way to the server", () => {
    kept.put(inHand(), true);
    const back = kept.take();
    expect(back).toMatchObject({ resume: true, flow: { consent: true, answers: { age: 67 } } });
    expect(back.flow.picture?.bytes).toEqual(picture.bytes);
    kept.put(inHand(), false);
    expect(JSON.parse(tab.get("melalog-kept")!)).toEqual({ resume: false, flow: { consent: true, picture: null } });
    kept.drop();
    expect(kept.take()).toEqual({ resume: false, flow: {} });
  });
});

test("the language that was chosen is there after the page was left", async () => {
  const { chosen } = await import("@/strings/chosen");
  expect(chosen.get()).toBe(null);
  chosen.set("de");
  vi.resetModules();
  const anew = await import("@/strings/chosen");
  expect(anew.chosen.get()).toBe("de");
});

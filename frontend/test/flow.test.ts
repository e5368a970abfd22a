import { beforeEach, describe, expect, test, vi } from "vitest";

import { act, currentFlow } from "@/flow/context";
import { start } from "@/flow/state";
import type { PreparedImage } from "@/image/types";
import { savedFlow } from "@/sign-in/saved-flow.web";

const image: PreparedImage = { uri: "blob:x", bytes: new Uint8Array([1, 2, 255]), width: 1, height: 1, warnings: [] };
const tab = new Map<string, string>();

beforeEach(() => {
  tab.clear();
  vi.stubGlobal("sessionStorage", { getItem: (name: string) => tab.get(name) ?? null, setItem: (name: string, text: string) => tab.set(name, text), removeItem: (name: string) => tab.delete(name) });
  act({ is: "left" });
  act({ is: "consent", given: true });
  act({ is: "image", image });
  act({ is: "answer", id: "age", value: 67 });
});

describe("what is in hand", () => {
  test("is held outside the screens, and is all gone for who signs out", () => {
    expect(currentFlow()).toMatchObject({ consent: true, image, answers: { age: 67 } });
    act({ is: "left" });
    expect(currentFlow()).toEqual(start);
  });

  test("keeps the answers for another image of the same spot, and none for another spot", () => {
    act({ is: "image", image: { ...image, uri: "blob:y" } });
    expect(currentFlow().answers).toEqual({ age: 67 });
    act({ is: "again" });
    expect(currentFlow()).toMatchObject({ consent: true, image: null, answers: {} });
  });

  test("waits at the issuer's page only where it was on its way to the server", () => {
    savedFlow.put(currentFlow(), true);
    const back = savedFlow.take();
    expect(back).toMatchObject({ resume: true, flow: { consent: true, answers: { age: 67 } } });
    expect(back.flow.image?.bytes).toEqual(image.bytes);
    savedFlow.put(currentFlow(), false);
    expect(JSON.parse(tab.get("melalog-flow")!)).toEqual({ resume: false, flow: { consent: true, image: null } });
    savedFlow.drop();
    expect(savedFlow.take()).toEqual({ resume: false, flow: {} });
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

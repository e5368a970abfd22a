import { beforeEach, describe, expect, test, vi } from "vitest";

import type { Tokens } from "@/sign-in/oidc";

const signIn = vi.fn(), refreshed = vi.fn();
const stored = new Map<string, string>();
vi.mock("react-native", () => ({ Platform: { OS: "web" } }));
vi.mock("@/api/server", () => ({ server: { signIn } }));
vi.mock("@/api/transport", () => ({ isOffline: () => false, onOffline: () => () => undefined }));
vi.mock("@/sign-in/oidc", () => ({ refreshed }));
vi.mock("@/sign-in/store", () => ({
  store: { get: async (name: string) => stored.get(name) ?? null, set: async (name: string, text: string) => stored.set(name, text), remove: async (name: string) => stored.delete(name) },
}));

const requirements = { data: { required: true, issuer: "https://issuer", client_id: "app" }, response: new Response() };
const inSeconds = (seconds: number): Tokens => ({ bearer: "old", until: Date.now() + 1000 * seconds, refresh: "again" });

async function session(tokens: Tokens) {
  stored.set("melalog-tokens", JSON.stringify(tokens));
  vi.resetModules();
  return import("@/sign-in/session");
}

beforeEach(() => {
  stored.clear();
  signIn.mockReset().mockResolvedValue(requirements);
  refreshed.mockReset().mockRejectedValue(new TypeError("Failed to fetch"));
});

describe("a token that is about to end, and an issuer that cannot be reached", () => {
  test("is sent as long as it holds", async () => {
    const { bearer } = await session(inSeconds(10));
    expect(await bearer()).toBe("old");
    expect(refreshed).toHaveBeenCalledTimes(1);
    expect(stored.has("melalog-tokens")).toBe(true);
  });

  test.each([["that ended", -1, false], ["that the server refused", 600, true]])("signs nobody out: one %s", async (_, seconds, renew) => {
    const { bearer } = await session(inSeconds(seconds));
    await expect(bearer(renew)).rejects.toMatchObject({ kind: "unreachable" });
    expect(stored.has("melalog-tokens")).toBe(true);
    refreshed.mockResolvedValue({ ...inSeconds(600), bearer: "new" });
    expect(await bearer(renew)).toBe("new");
  });
});

test("an issuer that says that the grant has ended signs out", async () => {
  refreshed.mockRejectedValue(Object.assign(new Error(), { code: "invalid_grant" }));
  const { bearer } = await session(inSeconds(-1));
  expect(await bearer()).toBe(null);
  expect(stored.has("melalog-tokens")).toBe(false);
});

test("without a refresh token the token is sent to its end, and then no more", async () => {
  const { bearer } = await session({ bearer: "old", until: Date.now() + 10_000 });
  expect(await bearer()).toBe("old");
  const { bearer: later } = await session({ bearer: "old", until: Date.now() - 1 });
  expect(await later()).toBe(null);
});

test.each([["cannot be reached", { data: undefined, response: undefined }, "unreachable"], ["is busy", { data: undefined, response: new Response("", { status: 503 }) }, "busy"]])(
  "a server that %s when asked for sign-in is that, and nothing goes without a token", async (_, answer, kind) => {
    signIn.mockResolvedValueOnce(answer);
    const { bearer } = await session(inSeconds(600));
    await expect(bearer()).rejects.toMatchObject({ kind });
    expect(await bearer()).toBe("old");
  });

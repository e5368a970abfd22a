import { readFileSync } from "node:fs";

import { afterEach, describe, expect, test, vi } from "vitest";

import { assess, type Transport } from "@/api/assess";
import { eventReader } from "@/api/events";
import { firstByteMs, IDLE_MS } from "@/api/connection";
import { failureOf, seconds } from "@/api/problem";
import type { Assessment } from "@/client";
import type { PreparedImage } from "@/image/types";

const image: PreparedImage = { uri: "", bytes: new Uint8Array([1]), width: 1, height: 1, warnings: [] };
const answer = JSON.parse(readFileSync("../tests/app/answer.json", "utf8")) as Assessment;

function transport(reply: () => Response | Promise<Response>, offline = false) {
  const sent: { url: string; init: RequestInit }[] = [];
  const by: Transport = {
    url: "http://api", isOffline: () => offline, onOffline: () => () => undefined, bearer: async () => null, imagePart: ({ bytes }) => new Blob([bytes as BlobPart], { type: "image/jpeg" }),
    send: async (url, init) => { sent.push({ url: String(url), init: init! }); return reply(); },
  };
  return { by, sent };
}

const ask = (by: Transport, arrived: string[] = []) =>
  assess(image, { age: 67 }, "de", new AbortController().signal, ({ name, status }) => arrived.push(`${name} ${status}`), by);
const streamed = (text: string) => new Response(text, { headers: { "content-type": "text/event-stream; charset=utf-8" } });

describe("an assessment", () => {
  test("is one multipart request with the image, the answers and the language, and nothing else", async () => {
    const { by, sent } = transport(() => Response.json(answer));
    expect(await ask(by)).toEqual(answer);
    const form = sent[0]!.init.body as FormData;
    expect([...(form as unknown as Map<string, unknown>).keys()]).toEqual(["image", "questionnaire", "language"]);
    expect(form.get("questionnaire")).toBe('{"age":67}');
    expect((form.get("image") as File).name).toBe("image.jpg");
  });

  test("reports every finding of a stream as it comes", async () => {
    const arrived: string[] = [];
    const text = `: working\n\nevent: finding\ndata: {"classifier": {"status": "ok"}}\n\nevent: finding\ndata: {"vlm": {"status": "timeout"}}\n\nevent: assessment\ndata: ${JSON.stringify(answer)}\n\n`;
    expect(await ask(transport(() => streamed(text)).by, arrived)).toEqual(answer);
    expect(arrived).toEqual(["classifier ok", "vlm timeout"]);
  });

  test.each([
    ["a problem in the stream", () => streamed('event: problem\ndata: {"status": 503}\n\n'), "busy"],
    ["a stream that breaks", () => streamed('event: finding\ndata: {"vlm": {}}\n\n'), "unreachable"],
    ["nonsense in the stream", () => streamed("event: assessment\ndata: {\n\n"), "unreadable"],
    ["a page instead of JSON", () => new Response("<html>"), "unreadable"],
    ["a level that is none", () => Response.json({ risk: { level: "fine" } }), "unreadable"],
    ["an error without a body", () => new Response("", { status: 500 }), "other"],
    ["no connection", () => { throw new TypeError("failed"); }, "unreachable"],
  ])("fails as what it is: %s", async (_, reply, kind) => {
    await expect(ask(transport(reply as () => Response).by)).rejects.toMatchObject({ kind });
  });

  test("knows an offline device", async () => {
    await expect(ask(transport(() => { throw new TypeError("failed"); }, true).by)).rejects.toMatchObject({ kind: "offline" });
  });
});

test.each<[string, unknown]>([
  ["but its level", { risk: { level: "low" } }], ["in a list", [answer]], ["but a level", { ...answer, risk: { ...answer.risk, level: "fine" } }],
  ["but half the interval", { ...answer, risk: { ...answer.risk, interval: [0.1] } }], ["but the probability", { ...answer, risk: { ...answer.risk, melanoma: undefined } }],
  ["but a probability above 1", { ...answer, risk: { ...answer.risk, malignant: 3 } }], ["but what weighed", { ...answer, risk: { ...answer.risk, contributions: [{ id: "prior" }] } }],
  ["but the advice", { ...answer, risk: { ...answer.risk, advice: " " } }], ["but the headline", { ...answer, risk: { ...answer.risk, headline: undefined } }],
  ["but the findings", { ...answer, findings: undefined }], ["but one finding", { ...answer, findings: { ...answer.findings, vlm: null } }],
  ["but its author", { ...answer, fusion: undefined }], ["but the disclaimer", { ...answer, disclaimer: "" }], ["nothing", null],
])("an answer that is everything %s is not shown", async (_, incomplete) => {
  await expect(ask(transport(() => Response.json(incomplete)).by)).rejects.toMatchObject({ kind: "unreadable" });
  await expect(ask(transport(() => streamed(`event: assessment\ndata: ${JSON.stringify(incomplete)}\n\n`)).by)).rejects.toMatchObject({ kind: "unreadable" });
});

describe("a server that says nothing", () => {
  afterEach(() => { vi.useRealTimers(); });

  /** Begins to answer, sends `beats` heartbeats 2 s apart, and then nothing. */
  const falling = (beats: number) => new Response(new ReadableStream<Uint8Array>({
    start: (to) => { for (let n = 1; n <= beats; n += 1) setTimeout(() => to.enqueue(new TextEncoder().encode(": working\n\n")), 2000 * n); },
  }), { headers: { "content-type": "text/event-stream" } });

  const kindOf = (by: Transport) => {
    const found: { kind?: string } = {};
    ask(by).catch((error: { kind: string }) => { found.kind = error.kind; });
    return found;
  };

  test("is given up before its first word, after the time that sending the image needs", async () => {
    vi.useFakeTimers();
    const { by, sent } = transport(() => new Promise<Response>(() => undefined));
    const found = kindOf(by);
    await vi.advanceTimersByTimeAsync(firstByteMs(1) - 1000);
    expect(found.kind).toBe(undefined);
    await vi.advanceTimersByTimeAsync(2000);
    expect(found.kind).toBe("unreachable");
    expect(sent[0]!.init.signal!.aborted, "the request is not left open").toBe(true);
    expect(firstByteMs(1_000_000)).toBeGreaterThanOrEqual(firstByteMs(0) + 60_000);
  });

  test("is given up in the middle, but not as long as it sends heartbeats", async () => {
    vi.useFakeTimers();
    const found = kindOf(transport(() => falling(20)).by);
    await vi.advanceTimersByTimeAsync(40_000 + IDLE_MS - 1000);
    expect(found.kind).toBe(undefined);
    await vi.advanceTimersByTimeAsync(2000);
    expect(found.kind).toBe("unreachable");
  });

  test("is not waited for when the device goes offline", async () => {
    const { by } = transport(() => falling(0));
    let cut = () => undefined as void;
    const failed = expect(ask({ ...by, onOffline: (listener) => { cut = listener; return () => undefined; } })).rejects.toMatchObject({ kind: "offline" });
    await new Promise((done) => setTimeout(done, 10));
    cut();
    await failed;
  });
});

test.each([[401, "signedOut"], [403, "forbidden"], [413, "image"], [415, "image"], [422, "image"], [429, "tooMany"], [503, "busy"], [404, "other"], [500, "other"]])(
  "status %i is %s", (status, kind) => expect(failureOf(status, {}, null).kind).toBe(kind));

test("a wrong answer is not the image's fault", () => {
  expect(failureOf(422, { errors: [{ field: "questionnaire.age", message: "no" }] }, null).kind).toBe("answers");
});

test("Retry-After is seconds or a date, and never locks anybody out", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  expect(seconds("7")).toBe(7);
  expect(seconds("Sat, 21 Nov 2026 10:00:30 GMT", now)).toBe(30);
  expect(seconds("Sat, 21 Nov 2026 09:00:00 GMT", now)).toBe(0);
  expect(seconds("999999")).toBe(600);
  expect(seconds("soon")).toBe(0);
  expect(seconds(null)).toBe(0);
});

test("events are the same however the bytes are cut, and whatever ends the lines", () => {
  const whole = "event: a\ndata: 1\ndata: 2\n\n: heartbeat\n\nevent: b\ndata:3\n\n";
  const expected = [{ event: "a", data: "1\n2" }, { event: "b", data: "3" }];
  for (const text of [whole, whole.replaceAll("\n", "\r\n"), whole.replaceAll("\n", "\r") + "x"])
    for (let cut = 1; cut <= 7; cut += 1) {
      const read = eventReader();
      const found = [];
      for (let at = 0; at < text.length; at += cut) found.push(...read(text.slice(at, at + cut)));
      expect(found, JSON.stringify([text, cut])).toEqual(expected);
    }
});

// A small server that speaks the public contract: the app's files, the questionnaire as it is, and an answer by situation.
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const DIST = process.env.MELALOG_APP_DIST ?? join(here, "../../frontend/dist");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".json": "application/json", ".png": "image/png", ".ico": "image/x-icon" };
const answer = JSON.parse(readFileSync(join(here, "answer.json"), "utf8"));
answer.findings.classifier.heatmap = readFileSync(join(here, "heat.png")).toString("base64");
const questionnaire = JSON.parse(readFileSync(join(here, "../../fusion/questionnaire.json"), "utf8"));
for (const question of questionnaire.questions) { delete question.evidence; delete question.sign; }

const DEGRADED = { ...answer, degraded: ["vlm", "llm"], findings: { ...answer.findings, vlm: { status: "timeout", answer: null, confidence: null, melanoma: null } } };
const REFUSED = {
  busy: [429, "Too many requests at once.", { "retry-after": "3" }], unavailable: [503, "No model can judge the picture.", { "retry-after": "2" }],
  rejected: [422, "The picture cannot be decoded."], type: [415, "This is not one of the four formats."], large: [413, "The picture has more than 15,000,000 bytes."],
  signedout: [401, "Sign in."], broken: [500, "An internal error occurred."],
};

/** Starts on a free port. `situation` is changed by the test; `received` holds the bodies of the assessments. */
export async function serve() {
  const state = { situation: "stream", received: [], gone: 0 };
  const server = createServer((request, response) => void route(request, response, state));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { state, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

async function route(request, response, state) {
  const path = new URL(request.url, "http://stub").pathname;
  if (path === "/v1/questionnaire") return json(response, 200, questionnaire);
  if (path === "/v1/assessments" && request.method === "POST") return assess(request, response, state);
  return file(path, response);
}

async function assess(request, response, state) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  state.received.push(Buffer.concat(chunks));
  const refused = REFUSED[state.situation];
  if (refused) return problem(response, ...refused);
  if (state.situation === "json") return json(response, 200, answer);
  const body = state.situation === "degraded" ? DEGRADED : answer;
  response.on("close", () => { if (!response.writableEnded) state.gone += 1; });
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const tell = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  for (const name of ["picture", "classifier", "vlm", "questionnaire"]) {
    await new Promise((done) => setTimeout(done, state.situation === "slow" ? 1500 : 150));
    tell("finding", { [name]: body.findings[name] });
  }
  tell("assessment", body);
  response.end();
}

function problem(response, status, detail, headers = {}) {
  json(response, status, { type: "about:blank", title: "", status, detail, request_id: answer.id, errors: [] }, { ...headers, "content-type": "application/problem+json" });
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

function file(path, response) {
  let name = join(DIST, normalize(path));
  if (existsSync(name) && statSync(name).isDirectory()) name = join(name, "index.html");
  if (!name.startsWith(DIST) || !existsSync(name)) return json(response, 404, {});
  response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" });
  createReadStream(name).pipe(response);
}

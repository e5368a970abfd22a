// The real thing: `melalog serve` on free ports, and in front of it a relay that keeps what the server is sent and what it answers.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { Agent, createServer, request as ask } from "node:http";
import { createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PYTHON = process.env.MELALOG_PYTHON ?? join(ROOT, ".venv/bin/python");
const READY_MS = 150_000;

/** Settings as `MELALOG_…`; `sandbox` for canned answers. The app is the build in services/orchestrator/app. Returns once it is ready. */
export async function serve({ sandbox = false, settings = {} } = {}) {
  const relay = await relayed();
  const system = { relay, url: relay.url, state: relay.state, settings: { ...settings }, sandbox, child: null, home: mkdtempSync(join(tmpdir(), "melalog-")) };
  for (const name of ["ORCHESTRATOR", "CLASSIFIER", "VLM", "FUSION"]) system.settings[`MELALOG_${name}_BIND_PORT`] = String(await freePort());
  system.start = () => start(system);
  system.stop = () => stop(system);
  system.close = async () => { await stop(system); relay.close(); rmSync(system.home, { recursive: true, force: true }); };
  system.signal = (name, signal) => signalled(system.settings[`MELALOG_${name.toUpperCase()}_BIND_PORT`], signal);
  await start(system);
  return system;
}

async function start(system) {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MELALOG_") && !name.startsWith("NODE_")));
  const env = { ...inherited, ...system.settings, BENTOML_HOME: system.home, COLUMNS: "200" };
  const child = spawn(join(dirname(PYTHON), "melalog"), ["serve", ...(system.sandbox ? ["--sandbox"] : [])], { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  system.child = child;
  let log = "";
  await new Promise((ready, failed) => {
    const timer = setTimeout(() => failed(new Error(`not ready:\n${log}`)), READY_MS);
    const read = (chunk) => { log += chunk; if (log.includes("Melalog is ready")) { clearTimeout(timer); ready(); } };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => { clearTimeout(timer); failed(new Error(`ended with ${code}:\n${log}`)); });
  });
  system.relay.state.port = Number(system.settings.MELALOG_ORCHESTRATOR_BIND_PORT);
}

async function stop(system) {
  const { child } = system;
  if (!child || child.exitCode !== null) return;
  const ended = new Promise((done) => child.on("exit", done));
  child.kill("SIGTERM");
  await ended;
}

/** A signal to every process of the service on that port (SIGSTOP: it hangs, as a service without a processor does). */
function signalled(port, signal) {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => ({ pid: Number(pid), command: text(`/proc/${pid}/cmdline`), parent: Number(/\) \S (\d+)/.exec(text(`/proc/${pid}/stat`))?.[1]) }));
  const family = processes.filter(({ command }) => command.includes(`--port\0${port}\0`)).map(({ pid }) => pid);
  for (let before = 0; before < family.length;) {
    before = family.length;
    for (const { pid, parent } of processes) if (family.includes(parent) && !family.includes(pid)) family.push(pid);
  }
  if (!family.length) throw new Error(`no service on port ${port}`);
  for (const pid of family) process.kill(pid, signal);
}

function text(path) {
  try { return readFileSync(path, "utf8"); } catch { return ""; }
}

export async function freePort() {
  const server = listen();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** `sent`, `sentHeaders`: assessments as the server gets them; `answers`: what it answered; `gone`: how many were left before the end.
 *  `instead` may answer in the server's place, for what no server can be brought to. */
async function relayed() {
  const state = { port: 0, sent: [], sentHeaders: [], answers: [], gone: 0, instead: null, headers: {} };
  const agent = new Agent({ keepAlive: false });
  const server = createServer(async (request, response) => {
    const assessment = request.method === "POST" && request.url.startsWith("/v1/assessments");
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    if (assessment) { state.sent.push(body); state.sentHeaders.push(request.headers); }
    if (assessment && state.instead) return state.instead(response);
    const onward = ask({ port: state.port, host: "127.0.0.1", path: request.url, method: request.method, headers: { ...request.headers, ...state.headers }, agent }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      const said = [];
      answer.on("data", (chunk) => { if (assessment) said.push(chunk); response.write(chunk); });
      answer.on("end", () => { if (assessment) state.answers.push(Buffer.concat(said).toString()); response.end(); });
      answer.on("error", () => response.destroy());
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => { if (!response.writableEnded) { if (assessment) state.gone += 1; onward.destroy(); } });
    onward.end(body);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { state, url: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close(); } };
}

/** The assessment a stream ended with. */
export const assessment = (stream) => JSON.parse(/event: assessment\ndata: (.*)/.exec(stream.replaceAll("\r", ""))[1]);

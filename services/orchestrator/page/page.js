// The first page: one form, one request, one answer in words. It talks to this server's HTTP API only.
// What came from outside is shown with textContent, never as markup.
import {
  CHOICES, CLASSES, CONTRIBUTIONS, FIELDS, LEVELS, MISSING, PROBLEMS, QUALITY, RAISED, REFUSALS, SECTIONS, STATUSES, TAKEN, percent, plain,
} from "./words.js";

const $ = (selector) => document.querySelector(selector);
const slot = (name) => $(`[data-slot="${name}"]`);
const form = $("#form"), result = $("#result"), problem = $("#problem"), preview = $("#preview"), note = $("#picture-note");
const hint = note.textContent;
let questions = [], picture = null, running = null, waiting = 0, stale = false;

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Text into a slot of the result; a slot without text is not shown. */
function put(name, text) {
  slot(name).textContent = text || "";
  slot(name).hidden = !text;
}

/** Rows into a slot; without any, the part of the page they stand in is not shown. */
function rows(name, nodes) {
  slot(name).replaceChildren(...nodes);
  (slot(name).closest("[data-part]") ?? slot(name)).hidden = nodes.length === 0;
}

const items = (texts) => texts.map((text) => make("li", { textContent: text }));
/** What a field is called on the page: its question, or a plain word. */
const asked = (field) => questions.find(({ id }) => id === field)?.text ?? plain(FIELDS, field);
const say = (text) => { $("#status").textContent = text; };

/** What went wrong, in words: key of REFUSALS, what the server added, the fields concerned, seconds to wait. */
class Failure extends Error {
  constructor(kind, { detail = "", errors = [], requestId = "", wait = 0 } = {}) {
    super(kind);
    const [title, way] = REFUSALS[kind] ?? REFUSALS[kind >= 500 ? "5xx" : "4xx"];
    const lines = [detail, way].filter((line) => line && !errors.some(({ message }) => message === line));
    Object.assign(this, { title, lines, errors, requestId, wait });
  }
}

// --- The picture

function choose(file) {
  if (!file) return;
  picture = file;
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  const megabytes = file.size / 1e6;
  note.textContent = `${file.name}, ${megabytes < 1 ? `${Math.ceil(file.size / 1e3)} kB` : `${megabytes.toFixed(1)} MB`}.`
    + (megabytes > 15 ? " It may be refused: pictures up to 15 MB are accepted." : "");
}

function previewed(shown) {
  preview.hidden = !shown;
  $("#empty").hidden = shown;
}

preview.addEventListener("load", () => previewed(true));
preview.addEventListener("error", () => {
  previewed(false);
  if (!picture) return;
  const heic = /hei[cf]/i.test(picture.type) || /\.hei[cf]$/i.test(picture.name);
  note.textContent = `${picture.name}. ` + (heic
    ? "Your browser cannot show HEIC pictures. That does no harm: it is sent and judged all the same."
    : "Your browser cannot show this file. If it is a JPEG, PNG, WebP or HEIC picture, you can still send it.");
});
for (const input of [$("#choose"), $("#take")]) input.addEventListener("change", () => choose(input.files[0]));
$("#frame").addEventListener("click", () => $("#choose").click());

// --- The questions. Per type: how one is drawn around its help, and what was answered (undefined: nothing).

const TYPES = {
  integer: {
    draw(question, help) {
      const name = `q-${question.id}`;
      const input = make("input", { id: name, name, type: "number", inputMode: "numeric", step: "1",
        min: question.minimum ?? "", max: question.maximum ?? "" });
      return make("div", {}, make("label", { htmlFor: input.id, textContent: question.text }), help, input);
    },
    read(question) {
      const input = form.elements[`q-${question.id}`];
      if (!input.value && !input.validity.badInput) return undefined;
      if (input.validity.valid) return Number(input.value);
      const message = `Give a whole number from ${question.minimum} to ${question.maximum}, or leave it empty.`;
      throw new Failure(422, { errors: [{ field: question.id, message }] });
    },
  },
  choice: {
    draw(question, help) {
      const values = [...question.choices.filter((value) => value !== "unsure"), "unsure"];
      return make("fieldset", {}, make("legend", { textContent: question.text }), help,
        make("div", { className: "pills" }, ...values.map((value) => make("label", {},
          make("input", { type: "radio", name: `q-${question.id}`, value, defaultChecked: value === "unsure" }),
          make("span", { textContent: question.labels?.[value] ?? plain(CHOICES, value) })))));
    },
    read(question) {
      const { value } = form.elements[`q-${question.id}`];
      return value === "unsure" ? undefined : value;
    },
  },
};

function draw(question) {
  const help = make("p", { id: `help-${question.id}`, className: "soft small", textContent: question.help });
  const error = make("p", { id: `error-${question.id}`, className: "error", hidden: true });
  const node = TYPES[question.type].draw(question, help);
  (node.querySelector(":scope > input") ?? node).setAttribute("aria-describedby", `${help.id} ${error.id}`);
  node.classList.add("question");
  node.dataset.field = question.id;
  node.append(error);
  return node;
}

async function loadQuestions() {
  const place = $("#questions");
  try {
    const answer = await fetch("v1/questionnaire", { headers: { Accept: "application/json" } });
    questions = (await answer.json()).questions.filter((question) => question.type in TYPES);
    place.replaceChildren(...Object.entries(SECTIONS).flatMap(([section, title]) =>
      [make("h3", { textContent: title }), ...questions.filter((one) => one.section === section).map(draw)]));
  } catch {
    const retry = make("button", { type: "button", textContent: "Load the questions again", onclick: loadQuestions });
    const words = "The questions could not be loaded. You can send the picture without them.";
    place.replaceChildren(make("p", { className: "notice", textContent: words }), retry);
  }
  place.removeAttribute("aria-busy");
}

// --- Sending

function collect() {
  const message = "Choose a picture or take a photograph first.";
  if (!picture) throw new Failure(422, { errors: [{ field: "image", message }] });
  const answers = questions.map((question) => [question.id, TYPES[question.type].read(question)]);
  const body = new FormData();
  body.append("image", picture, picture.name);
  body.append("questionnaire", JSON.stringify(Object.fromEntries(answers))); // undefined is left out
  body.append("modality", $("#modality").value);
  return body;
}

/** Seconds that Retry-After asks for: a number or a date; at least one, at most ten minutes. */
function retryAfter(header) {
  const wait = Number(header ?? 5);
  return Math.ceil(Math.min(Math.max(Number.isNaN(wait) ? (Date.parse(header) - Date.now()) / 1000 || 5 : wait, 1), 600));
}

async function ask(body, signal) {
  const answer = await fetch("v1/assessments?heatmap=true", { method: "POST", body, signal, headers: { Accept: "application/json" } })
    .catch((error) => { throw signal.aborted ? error : new Failure(navigator.onLine ? "unreachable" : "offline"); });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({}));
  throw new Failure(answer.status, {
    detail: told.detail, errors: told.errors, requestId: told.request_id ?? answer.headers.get("X-Request-ID"),
    wait: [429, 503].includes(answer.status) ? retryAfter(answer.headers.get("Retry-After")) : 0,
  });
}

function button(label, off) {
  $("#submit").textContent = label;
  $("#submit").setAttribute("aria-disabled", String(off)); // not `disabled`: that would lose the focus
}

function busy(on) {
  form.classList.toggle("busy", on);
  $("#cancel").hidden = !on;
  button(on ? "Assessing …" : "Assess this picture", on);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running || waiting) return;
  problem.hidden = result.hidden = true;
  for (const node of form.querySelectorAll("[data-field]")) blame(node.dataset.field, "");
  let patience = 0, failure = null;
  try {
    const body = collect();
    running = new AbortController();
    stale = false;
    busy(true);
    say("Your picture is being judged. This takes a few seconds.");
    patience = setTimeout(say, 8000, "Still at it. A large picture or a slow connection takes longer.");
    await show(await ask(body, running.signal), body.get("image"));
  } catch (error) {
    failure = error;
  }
  clearTimeout(patience);
  running = null;
  busy(false);
  failure ? fail(failure) : arrive(); // only now: the page above has its final height
});

function arrive() {
  say("The result is below.");
  $("#stale").hidden = !stale;
  result.hidden = false;
  slot("headline").focus({ preventScroll: true });
  result.scrollIntoView();
}

/** Says what is wrong with a field beside it. Returns what to focus, undefined if the page has no such field. */
function blame(field, message) {
  const error = document.getElementById(`error-${field}`);
  if (!error) return undefined;
  error.textContent = message;
  error.hidden = !message;
  const inputs = [...error.closest("[data-field]").querySelectorAll("input, select")];
  for (const input of inputs) input.setAttribute("aria-invalid", String(Boolean(message)));
  return inputs.find((input) => input.checked) ?? inputs[0];
}

function fail(error) {
  say("");
  if (error.name === "AbortError") {
    $("#submit").focus();
    return say("Stopped. Nothing was assessed.");
  }
  const { title, lines, errors, requestId, wait } = error instanceof Failure ? error : new Failure("unreadable");
  const wrong = errors.map(({ field, message }) => ({ field: field.split(".").at(-1), message }));
  problem.replaceChildren(make("h3", { textContent: title }), ...lines.map((line) => make("p", { textContent: line })),
    make("ul", {}, ...items(wrong.map(({ field, message }) => `${asked(field)} – ${message}`))));
  if (requestId) problem.append(make("p", { className: "soft small", textContent: `Request id: ${requestId}` }));
  problem.hidden = false;
  const blamed = wrong.map(({ field, message }) => blame(field, message));
  (blamed.find(Boolean) ?? problem).focus();
  if (wait) countDown(wait);
}

function countDown(left) {
  waiting = left;
  button(left ? `Try again in ${left} s` : "Try again", left > 0);
  if (left) setTimeout(countDown, 1000, left - 1);
  else say("You can try again now.");
}

// --- The answer

async function show(answer, sent) {
  const { risk, findings } = answer;
  if (!(risk.level in LEVELS)) throw new Error("a level this page does not know");
  result.dataset.level = risk.level;
  put("level", `Risk level: ${risk.level}`);
  for (const [level, word] of Object.entries(LEVELS)) {
    const here = level === risk.level;
    slot(`level-${level}`).textContent = here ? `${word} risk` : word;
    slot(`level-${level}`).parentNode.classList.toggle("here", here);
  }
  put("headline", risk.headline);
  put("advice", risk.advice);
  const raised = (risk.raised_by ?? []).map((id) => plain(RAISED, id));
  put("raised", raised.length && `Rated higher than the figures alone would: ${raised.join("; ")}.`);
  const missing = (answer.degraded ?? []).map((id) => plain(MISSING, id));
  put("missing", missing.length && `This answer is incomplete: ${missing.join("; ")}.`);
  put("explanation", risk.explanation);
  rows("reasons", items((risk.reasons ?? []).filter((reason) => !risk.explanation.includes(reason))));
  rows("doctor", items(risk.questions_for_doctor ?? []));
  showProbability(risk);
  showContributions(risk.contributions);
  showFactors(findings.questionnaire);
  showClassifier(findings.classifier);
  showVlm(findings.vlm);
  put("disclaimer", answer.disclaimer);
  const author = answer.fusion.engine === "llm" ? answer.fusion.model ?? "a hosted language model" : "fixed rules";
  put("small", `Explanation by ${author} · ${new Date(answer.created_at).toLocaleString()} · Request id ${answer.id}`);
  await showPicture(findings, answer.modality, sent);
}

/** A box from one share of its surroundings to another, both in percent; page.css draws it. */
function mark(className, from, to = from, text = "") {
  const node = make("span", { className, textContent: text });
  node.style.setProperty("--from", `${from}%`);
  node.style.setProperty("--size", `${to - from}%`);
  return node;
}

function showProbability(risk) {
  const place = (p) => Math.min(Math.max((Math.log10(p) + 3) / 3, 0), 1) * 100; // three decades, 0.1 % to 100 %
  const [low, high] = risk.interval;
  put("melanoma", percent(risk.melanoma));
  put("interval", `90\u00a0% interval: ${percent(low)} to ${percent(high)}`);
  const steps = [0.001, 0.01, 0.1].flatMap((decade) => [1, 2, 3, 4, 5, 6, 7, 8, 9].map((step) => decade * step));
  slot("ruler").replaceChildren(...steps.map((p) => mark("tick", place(p))),
    ...[0.001, 0.01, 0.1, 1].map((p) => mark("tick named", place(p), place(p), `${p * 100} %`)),
    mark("band", place(low), place(high)), mark("value", place(risk.melanoma)));
  const many = risk.melanoma < 0.001 ? "fewer than one" : `about ${Math.round(risk.melanoma * 1000)}`;
  put("ofThousand", `Of 1000 spots like this on people with such answers, ${many} would be melanoma. `
    + `Any skin cancer, melanoma among it: ${percent(risk.malignant)}.`);
}

function showContributions(contributions) {
  const prior = contributions.find(({ id }) => id === "prior");
  const others = contributions.filter(({ id, log_odds: x }) => id !== "prior" && Math.abs(x) > 0.005);
  const widest = Math.max(Math.log(4), ...others.map(({ log_odds: x }) => Math.abs(x)));
  rows("contributions", others.map(({ id, log_odds: x }) => {
    const end = 50 + (50 * x) / widest;
    return make("li", { className: x > 0 ? "up" : "" }, make("span", { textContent: plain(CONTRIBUTIONS, id) }),
      make("span", { className: "track" }, mark("fill", Math.min(50, end), Math.max(50, end))),
      make("span", { className: "weight" }, x > 0 ? "raises ×" : "lowers ÷", Math.exp(Math.abs(x)).toFixed(1)));
  }));
  put("start", prior && `The starting point is ${percent(1 / (1 + Math.exp(-prior.log_odds)))}, the share of melanoma among `
    + "spots that people show. Each bar multiplies or divides the odds.");
}

function showFactors(finding) {
  rows("factors", (finding.factors ?? []).map((factor) => make("tr", {},
    make("th", { scope: "row" }, asked(factor.id), make("small", { textContent: factor.source })),
    make("td", { textContent: questions.find(({ id }) => id === factor.id)?.labels?.[factor.answer] ?? plain(CHOICES, factor.answer) }),
    make("td", { textContent: `×${factor.likelihood_ratio.toFixed(2)}` }))));
  put("together", `Together ×${finding.likelihood_ratio.toFixed(2)}: less than multiplied, because such answers overlap. `
    + `Questionnaire ${finding.version}.`);
}

const source = (model) => model && `Model: ${model.name} ${model.version}`;

function showClassifier(finding) {
  put("classifier", finding.status === "ok"
    ? `Melanoma ${percent(finding.melanoma)}, any skin cancer ${percent(finding.malignant)}: from the picture alone, at the mix `
      + "of spots it was tested on. The risk above also weighs your answers and how rare melanoma is."
    : `The classifier ${plain(STATUSES, finding.status)}.`);
  put("unfamiliar", finding.in_distribution === false
    && "This picture is unlike those the classifier learned from. Take its figures with care.");
  const shares = Object.entries(finding.classes ?? {}).sort((a, b) => b[1] - a[1]);
  slot("classes").hidden = !shares.length;
  slot("classes").tBodies[0].replaceChildren(...shares.map(([name, share]) => make("tr", {},
    make("th", { scope: "row", textContent: plain(CLASSES, name) }),
    make("td", {}, make("span", {}, percent(share).replace("less than", "<"), mark("share", 0, share * 100))))));
  put("classifierModel", source(finding.model));
}

function showVlm(finding) {
  const sure = finding.confidence == null ? "" : ` (${percent(finding.confidence)} sure)`;
  const said = finding.answer === "Unsure" ? "it could not say" : `it answered “${finding.answer}”${sure}`;
  const share = finding.melanoma == null ? ""
    : ` Calibrated, this means ${percent(finding.melanoma)} melanoma, from the picture alone.`;
  put("vlm", finding.status === "ok" ? `Asked whether this is melanoma, ${said}.${share}`
    : `The vision-language model ${plain(STATUSES, finding.status)}.`);
  put("vlmModel", source(finding.model));
}

async function showPicture({ classifier, picture: { quality, problems = [] } }, modality, sent) {
  const why = quality === "poor" ? `: ${problems.map((id) => plain(PROBLEMS, id)).join(", ")}. A better one may help.` : "";
  put("quality", `${plain(QUALITY, quality)}${why} It was judged as ${plain(TAKEN, modality)}.`);
  const image = slot("picture");
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(sent);
  const seen = await image.decode().then(() => true, () => false);
  slot("overlay").hidden = !seen;
  put("unseen", seen ? "" : "Your browser cannot show this picture, so there is no heat map to show.");
  slot("canvas").hidden = slot("heat").hidden = !(seen && classifier.heatmap && await drawHeat(classifier.heatmap));
}

/** Colours the grey map: violet, pink, yellow, which skin does not have, and the lower the more transparent. */
async function drawHeat(base64) {
  const map = new Image();
  map.src = `data:image/png;base64,${base64}`;
  if (!await map.decode().then(() => true, () => false)) return false;
  const pen = Object.assign(slot("canvas"), { width: map.width, height: map.height }).getContext("2d", { willReadFrequently: true });
  pen.drawImage(map, 0, 0);
  const pixels = pen.getImageData(0, 0, map.width, map.height);
  const stops = [[70, 20, 170], [225, 50, 140], [255, 235, 70]];
  for (let i = 0; i < pixels.data.length; i += 4) {
    const value = pixels.data[i] / 255, from = value < 0.5 ? 0 : 1;
    pixels.data.set(stops[from].map((c, k) => c + (stops[from + 1][k] - c) * (value * 2 - from)), i);
    pixels.data[i + 3] = 330 * value;
  }
  pen.putImageData(pixels, 0, 0);
  return true;
}

// --- The rest

const fade = () => { slot("canvas").style.opacity = $("#strength").value / 100; };
$("#strength").addEventListener("input", fade);
fade();
form.addEventListener("input", (event) => {
  stale = true;
  $("#stale").hidden = false;
  blame(event.target.closest("[data-field]")?.dataset.field, "");
});
$("#cancel").addEventListener("click", () => running?.abort());
$("#print").addEventListener("click", () => print());
$("#again").addEventListener("click", () => {
  running?.abort();
  form.reset();
  picture = null;
  preview.removeAttribute("src");
  previewed(false);
  problem.hidden = result.hidden = true;
  note.textContent = hint;
  say("");
  scrollTo(0, 0);
  $("#choose").focus({ preventScroll: true });
});
loadQuestions();

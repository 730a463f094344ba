"use strict";

const element = (id) => document.getElementById(id);

/** Makes an element with text in it; nothing that comes from a model or a user is ever read as HTML. */
function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** So many labels are shown at once; the others can be unfolded. */
const SHOWN = 5;

/** What a regression says is a figure, and no share of anything. */
function showFigure({ label, score }) {
  const row = make("div", undefined, "score best");
  row.append(make("span", label, "label"), make("span", String(score), "number"));
  return row;
}

/** Bold is what the text is given: the best label, or those that reach their thresholds. */
function showScore({ label, score }, place, thresholds) {
  const isGiven = thresholds ? score >= thresholds[label] : place === 0;
  const row = make("div", undefined, isGiven ? "score best" : "score");
  const bar = make("progress");
  bar.max = 1;
  bar.value = score;
  bar.setAttribute("aria-label", label);
  row.append(make("span", label, "label"), bar, make("span", (100 * score).toFixed(1) + " %", "number"));
  return row;
}

function showResult(text, scores, { task, label_thresholds: thresholds }) {
  const result = make("div", undefined, "result");
  const show = task === "regression" ? showFigure : showScore;
  const rows = scores.map((entry, place) => show(entry, place, thresholds));
  // One more is as short as the line that unfolds it.
  const n_shown = rows.length > SHOWN + 1 ? SHOWN : rows.length;
  result.append(make("blockquote", text || "(empty)"), ...rows.slice(0, n_shown));
  if (n_shown < rows.length) {
    const others = make("details");
    others.append(make("summary", rows.length - n_shown + " more labels"), ...rows.slice(n_shown));
    result.append(others);
  }
  return result;
}

function showModel(entries) {
  const list = element("model");
  list.replaceChildren();
  for (const [name, value] of entries) {
    if (value) list.append(make("dt", name), make("dd", value, "mono"));
  }
}

async function showProvenance() {
  const answer = await fetch("v1/provenance");
  const { digest, reference, kitfile } = await answer.json();
  const name = kitfile && kitfile.package && kitfile.package.name;
  showModel([["Name", name], ["Reference", reference], ["ModelKit", digest || "a plain folder, without a digest"]]);
}

/** Asks for all scores of some texts, no more than one request may have. */
async function ask(texts) {
  const answer = await fetch("predict", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs: texts.map((text) => [text]) }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(answer.status + ": " + (body.error || JSON.stringify(body.detail)));
  return { answers: body, tokens: Number(answer.headers.get("x-tokens")), isCut: answer.headers.has("x-truncated") };
}

/** Asks as often as it takes. */
async function classify(texts) {
  const info = await (await fetch("info")).json();
  const most = info.max_client_batch_size;
  const began = performance.now();
  const all = { answers: [], tokens: 0, isCut: false };
  for (let n = 0; n < texts.length; n += most) {
    const { answers, tokens, isCut } = await ask(texts.slice(n, n + most));
    all.answers.push(...answers);
    all.tokens += tokens;
    all.isCut ||= isCut;
  }
  return { ...all, info, took: performance.now() - began };
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const lines = element("texts").value.split("\n").map((line) => line.trim());
  const texts = lines.filter((line) => line !== "");
  const state = element("state");
  element("ask").disabled = true;
  state.className = "soft";
  state.textContent = "…";
  try {
    const { answers, tokens, isCut, info, took } = await classify(texts.length ? texts : [" "]);
    element("results").replaceChildren(...answers.map((scores, n) => showResult(texts[n], scores, info)));
    state.textContent = answers.length + (answers.length === 1 ? " text" : " texts") + ", " + tokens + " tokens, " + took.toFixed(0) + " ms"
      + (isCut ? "; what was too long was cut" : "");
  } catch (error) {
    state.className = "error";
    state.textContent = String(error.message || error);
  } finally {
    element("ask").disabled = false;
  }
});

element("texts").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("form").requestSubmit();
});

const asked = new URLSearchParams(location.search).get("text");
if (asked !== null) {
  element("texts").value = asked;
  element("form").requestSubmit();
}
showProvenance().catch((error) => showModel([["Unknown", String(error)]]));

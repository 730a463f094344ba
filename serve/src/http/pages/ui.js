"use strict";

const element = (id) => document.getElementById(id);

/** Makes an element with text in it; nothing that comes from a model or a user is ever read as HTML. */
function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showResult(text, scores) {
  const result = make("div", undefined, "result");
  result.append(make("blockquote", text || "(empty)"));
  scores.forEach(({ label, score }, place) => {
    const row = make("div", undefined, place === 0 ? "score best" : "score");
    const bar = make("progress");
    bar.max = 1;
    bar.value = score;
    bar.setAttribute("aria-label", label);
    row.append(make("span", label, "label"), bar, make("span", (100 * score).toFixed(1) + " %", "number"));
    result.append(row);
  });
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

/** Asks for all scores of all texts. */
async function classify(texts) {
  const began = performance.now();
  const answer = await fetch("predict", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs: texts.map((text) => [text]) }),
  });
  const took = performance.now() - began;
  const body = await answer.json();
  if (!answer.ok) throw new Error(answer.status + ": " + (body.error || JSON.stringify(body.detail)));
  return { answers: body, headers: answer.headers, took };
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
    const { answers, headers, took } = await classify(texts.length ? texts : [" "]);
    element("results").replaceChildren(...answers.map((scores, n) => showResult(texts[n], scores)));
    const cut = headers.get("x-truncated") ? ", the end was cut off" : "";
    state.textContent = took.toFixed(0) + " ms (" + headers.get("server-timing") + ")" + cut;
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

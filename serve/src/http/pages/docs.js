"use strict";

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Prose, in which backticks stand around code. */
function prose(name, text) {
  const made = make(name);
  made.append(...text.split("`").map((part, n) => (n % 2 ? make("code", part) : part)));
  return made;
}

/** What is in a body, and its examples. */
function json(holder) {
  return (holder && holder.content && holder.content["application/json"]) || {};
}

function examples(operation) {
  return Object.entries(json(operation.requestBody).examples || {}).map(([name, { value }]) => [name, JSON.stringify(value)]);
}

/** A schema in the words of types: `{ text: string | string[] }`. */
function outline(schema, resolve, indent = "") {
  const at = resolve(schema);
  if (!at || typeof at !== "object") return "any";
  const one = (inner) => outline(inner, resolve, indent);
  if (at.anyOf || at.oneOf) return [...new Set((at.anyOf || at.oneOf).map(one))].join(" | ");
  if (at.enum) return at.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (Array.isArray(at.type)) return at.type.map((type) => one({ ...at, type })).join(" | ");
  if (at.type === "array") {
    const items = at.items ? one(at.items) : "any";
    return (items.includes(" | ") ? "(" + items + ")" : items) + "[]" + (at.maxItems > 1 ? " (at most " + at.maxItems + ")" : "");
  }
  if (at.type !== "object") return at.type || "any";
  const deeper = indent + "  ";
  const keys = Object.entries(at.properties || {}).map(([key, inner]) => {
    const mark = (at.required || []).includes(key) ? "" : "?";
    const { description } = resolve(inner);
    return deeper + key + mark + ": " + outline(inner, resolve, deeper) + (description ? "  // " + description : "");
  });
  if (at.additionalProperties && at.additionalProperties.type !== "null") {
    keys.push(deeper + "[name]: " + outline(at.additionalProperties, resolve, deeper));
  }
  return keys.length ? "{\n" + keys.join("\n") + "\n" + indent + "}" : "object";
}

/** The path with the values that its parameters have on this server. */
function filled(path, operation) {
  const parameters = (operation.parameters || []).filter((parameter) => parameter.in === "path");
  return parameters.reduce((left, { name, schema }) => left.replace("{" + name + "}", encodeURIComponent((schema.enum || [""])[0])), path);
}

/** A form that sends the request and shows what comes back. */
function tryIt(method, path, operation) {
  const form = make("form");
  const known = examples(operation);
  const body = known.length ? known[0][1] : undefined;
  const input = make("textarea");
  if (body !== undefined) {
    const choices = make("div", undefined, "bar");
    for (const [name, value] of known.length > 1 ? known : []) {
      const choice = make("button", name, "choice");
      choice.type = "button";
      choice.addEventListener("click", () => { input.value = value; });
      choices.append(choice);
    }
    input.value = body;
    input.setAttribute("aria-label", "Request body");
    form.append(choices, input);
  }
  const bar = make("div", undefined, "bar");
  const button = make("button", "Send");
  button.type = "submit";
  bar.append(button, make("code", method.toUpperCase() + " " + filled(path, operation)));
  const output = make("pre", undefined, "answer");
  output.hidden = true;
  form.append(bar, output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const request = body === undefined ? { method } : { method, headers: { "content-type": "application/json" }, body: input.value };
    try {
      const answer = await fetch("." + filled(path, operation), { ...request, method: method.toUpperCase() });
      const headers = [...answer.headers].map(([name, value]) => name + ": " + value).join("\n");
      output.textContent = answer.status + " " + answer.statusText + "\n" + headers + "\n\n" + (await answer.text());
    } catch (error) {
      output.textContent = String(error);
    }
    output.hidden = false;
  });
  return form;
}

/** What a request, and each answer, holds. */
function bodies(operation, resolve) {
  const made = [];
  const request = json(operation.requestBody).schema;
  if (request) made.push(make("h3", "Body"), make("pre", outline(request, resolve)));
  const answers = make("dl");
  for (const [status, response] of Object.entries(operation.responses)) {
    const told = prose("dd", response.description || "");
    const { schema } = json(response);
    if (schema && status.startsWith("2")) told.append(make("pre", outline(schema, resolve)));
    answers.append(make("dt", status), told);
  }
  return [...made, make("h3", "Answers"), answers];
}

function show(method, path, operation, resolve) {
  const details = make("details", undefined, "route");
  const summary = make("summary", undefined, "head");
  summary.append(make("span", method.toUpperCase(), "method"), make("code", path), make("span", operation.summary || ""));
  details.append(summary);
  if (operation.description) details.append(prose("p", operation.description));
  details.append(...bodies(operation, resolve), make("h3", "Try it"), tryIt(method, path, operation));
  return details;
}

async function main() {
  const description = await (await fetch("openapi.json")).json();
  // References are few and point into this document.
  const resolve = (value) => (value && value.$ref ? value.$ref.slice(2).split("/").reduce((at, key) => at[key], description) : value);
  document.getElementById("title").textContent = description.info.title + " " + description.info.version;
  document.getElementById("about").append(...prose("p", description.info.description).childNodes);
  const operations = [];
  for (const [path, item] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const responses = Object.fromEntries(Object.entries(operation.responses).map(([status, response]) => [status, resolve(response)]));
      const parameters = (operation.parameters || []).map(resolve);
      operations.push(show(method, path, { ...operation, responses, parameters }, resolve));
    }
  }
  document.getElementById("operations").replaceChildren(...operations);
}

main().catch((error) => {
  document.getElementById("operations").textContent = String(error);
});

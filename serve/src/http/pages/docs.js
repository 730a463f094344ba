"use strict";

function make(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** The first example of a request's body. */
function example(operation) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  return content && content.examples && Object.values(content.examples)[0].value;
}

/** The path with the values that its parameters have on this server. */
function filled(path, operation) {
  const parameters = (operation.parameters || []).filter((parameter) => parameter.in === "path");
  return parameters.reduce((left, { name, schema }) => left.replace("{" + name + "}", encodeURIComponent((schema.enum || [""])[0])), path);
}

/** A form that sends the request and shows what comes back. */
function tryIt(method, path, operation) {
  const form = make("form");
  const body = example(operation);
  const input = make("textarea");
  if (body !== undefined) {
    input.value = JSON.stringify(body);
    input.setAttribute("aria-label", "Request body");
    form.append(input);
  }
  const bar = make("div", undefined, "bar");
  const button = make("button", "Send");
  bar.append(button, make("code", method.toUpperCase() + " " + filled(path, operation)));
  const output = make("pre");
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

function show(method, path, operation) {
  const details = make("details");
  const summary = make("summary");
  summary.append(make("span", method.toUpperCase(), "method"), make("code", path), " " + (operation.summary || ""));
  details.append(summary);
  if (operation.description) details.append(make("p", operation.description));
  const answers = make("dl");
  for (const [status, { description }] of Object.entries(operation.responses)) {
    answers.append(make("dt", status), make("dd", description || ""));
  }
  details.append(answers, tryIt(method, path, operation));
  return details;
}

async function main() {
  const description = await (await fetch("openapi.json")).json();
  // References are few and point into this document.
  const resolve = (value) => (value && value.$ref ? value.$ref.slice(2).split("/").reduce((at, key) => at[key], description) : value);
  document.getElementById("title").textContent = description.info.title + " " + description.info.version;
  document.getElementById("about").textContent = description.info.description;
  const operations = [];
  for (const [path, item] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const responses = Object.fromEntries(Object.entries(operation.responses).map(([status, response]) => [status, resolve(response)]));
      const parameters = (operation.parameters || []).map(resolve);
      operations.push(show(method, path, { ...operation, responses, parameters }));
    }
  }
  document.getElementById("operations").replaceChildren(...operations);
}

main().catch((error) => {
  document.getElementById("operations").textContent = String(error);
});

// The charts of a search, drawn anew while it goes on.
import { dataOf } from "./charts.js";
import { Drawing } from "./drawing.js";
import { morph } from "./live.js";
import { parallel, progressOf, scatter } from "./plots.js";
import { measured } from "./plots_axes.js";
import { contour, heat } from "./plots_fields.js";
import { freshenTimes } from "./times.js";

const place = document.getElementById("charts");
const address = place.dataset.run;
const drawing = (name) => new Drawing(document.getElementById(`p-${name}`), document.getElementById(`n-${name}`), address);
const drawings = { progress: drawing("progress"), heat: drawing("heat"), parallel: drawing("parallel") };
const fields = { score: document.getElementById("score"), x: document.getElementById("heat-x"), y: document.getElementById("heat-y"), how: document.getElementById("heat-how"), kind: document.getElementById("heat-kind") };
const given = new URLSearchParams(location.search);
let model = null;
// The axes in the order in which they were first drawn: what comes does not turn the lines around.
const drawnAxes = [];
let chosenKind = given.has("kind");

function modelOf(data) {
  const rows = data.candidates;
  const params = data.params.map((key, index) => ({ kind: "param", key, values: rows.map((row) => row.params[index]) }));
  const scores = data.scorers.map((key, index) => ({ kind: "metric", key, values: rows.map((row) => row.scores[index]) }));
  const time = { kind: "metric", key: "fit time (s)", values: rows.map((row) => row.fit) };
  return { rows, params, scores, time, columns: [...params, ...scores, time], best: data.best, running: data.running, word: data.word === "chosen" ? "chosen one" : data.word };
}

function fill(select, columns, first) {
  const before = select.value || given.get(select.name) || "";
  const keys = columns.map((each) => each.key);
  const present = [...select.options].map((each) => each.value);
  if (keys.join("\n") === present.join("\n")) return;
  select.replaceChildren(...columns.map((each) => new Option(each.key, each.key)));
  select.value = keys.includes(before) ? before : (columns[first]?.key ?? "");
}

const named = (columns, key) => columns.find((each) => each.key === key);

function draw() {
  place.hidden = model.scores.length === 0;
  if (place.hidden) return;
  fill(fields.score, model.scores, 0);
  fields.score.hidden = model.scores.length < 2;
  // Those with most values first: a heat map of two values by two tells little.
  const varied = model.params.filter((each) => measured(each).distinct.length > 1)
    .sort((a, b) => b.numeric - a.numeric || b.distinct.length - a.distinct.length);
  fill(fields.x, varied, 0);
  fill(fields.y, varied, 1);
  const score = named(model.scores, fields.score.value) ?? model.scores[0];
  const table = { columns: ["candidate", ...model.columns.map((each) => each.key)], rows: () => model.rows.slice(0, 1000).map((row, index) => [row.name, ...model.columns.map((each) => each.values[index])]) };
  drawings.progress.show(progressOf(model, score, drawings.progress.element), table);
  const card = drawings.heat.element.closest("section");
  card.hidden = varied.length < 2;
  if (!card.hidden) {
    const [x, y] = [named(varied, fields.x.value), named(varied, fields.y.value)];
    if (!chosenKind) fields.kind.value = sparse(x, y) ? "contour" : "cells";
    fields.how.hidden = fields.kind.value !== "cells" || model.rows.length <= x.distinct.length * y.distinct.length;
    drawings.heat.show(x === y ? { nothing: "Choose two different params." } : pairPlot(x, y, score));
  }
  for (const each of varied) if (!drawnAxes.includes(each.key)) drawnAxes.push(each.key);
  const params = drawnAxes.map((key) => named(model.params, key)).filter(Boolean);
  const axes = [...(params.length ? params : model.params), ...model.scores.slice(0, 3), ...(model.scores.length < 2 ? [model.time] : [])];
  drawings.parallel.show(parallel(model, axes, score, drawings.parallel.element));
}

/** Whether most pairs of values were not tried, as in a random search: cells would be holes. */
function sparse(x, y) {
  const tried = new Set(model.rows.map((_, row) => `${x.values[row]}\n${y.values[row]}`)).size;
  return x.numeric && y.numeric && tried < 0.4 * x.distinct.length * y.distinct.length && tried > 5;
}

function pairPlot(x, y, score) {
  const { element } = drawings.heat;
  if (fields.kind.value === "contour") return contour(model, x, y, score, element);
  if (fields.kind.value === "scatter") return scatter(model, x, y, score, element);
  return heat(model, x, y, score, fields.how.value, element);
}

function remember() {
  const query = new URLSearchParams(location.search);
  for (const field of Object.values(fields)) if (!field.hidden && field.value && (field !== fields.kind || chosenKind)) query.set(field.name, field.value);
  history.replaceState(null, "", `${location.pathname}?${query}`);
}

/** Show what came with the live part: rows, charts and numbers are of one reading. */
function renew(part) {
  const fresh = (id) => document.getElementById(id);
  if (!fresh("fresh-rows")) return;
  const head = document.getElementById("candidates-head");
  const cells = fresh("fresh-head").content.firstElementChild.cloneNode(true);
  if (head.innerHTML !== cells.innerHTML) head.replaceChildren(...cells.children);
  const body = document.getElementById("candidates");
  if (morph(body, fresh("fresh-rows").content.querySelector("tbody").cloneNode(true))) body.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
  model = modelOf(dataOf("fresh-data"));
  draw();
  if (!model.running && part.dataset.live) freshen(part);
}

/** It has ended: what can be done with it, and how many there are, stand outside the live part. */
async function freshen(part) {
  delete part.dataset.live;
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const whole = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const place of [".page-head", "#candidates-title", "#candidates-parts"]) {
    const [old, fresh] = [document.querySelector(place), whole.querySelector(place)];
    if (old && fresh) old.replaceWith(fresh);
  }
  freshenTimes(document.querySelector(".page-head"));
}

for (const form of place.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    chosenKind ||= event.target === fields.kind;
    remember();
    draw();
  });
}
for (const name of ["how", "kind"]) if (given.get(name)) fields[name].value = given.get(name);
place.hidden = false;
model = modelOf(dataOf("data"));
draw();
// The live parts of the page tell when there is something new.
document.getElementById("progress").addEventListener("live:changed", (event) => renew(event.currentTarget));

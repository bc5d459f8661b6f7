// The charts of a comparison: what they show is chosen in a form and kept in the address.
import { dataOf } from "./charts.js";
import { Drawing } from "./drawing.js";
import { box, curves, parallel, scatter } from "./plots.js";
import { measured, shortNumber } from "./plots_axes.js";
import { contour } from "./plots_fields.js";

const form = document.getElementById("choices");
const view = form.dataset.view;
const given = new URLSearchParams(location.search);
let data = dataOf("data");
const drawing = new Drawing(document.getElementById("plot"), document.getElementById("plot-note"), dataOf("addresses").run);

function option(select, value, text, group) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  (group ?? select).append(made);
}

/** Columns as one names them in addresses: `param.C`, `metric.accuracy`. */
const nameOf = (column) => `${column.kind}.${column.key}`;
const column = (name) => data.columns.find((each) => nameOf(each) === name) ?? null;

function fillColumns(select, columns, none) {
  if (none) option(select, "", none);
  for (const [kind, label] of [["about", "About"], ["param", "Params"], ["metric", "Metrics"]]) {
    for (const differs of [true, false]) {
      const some = columns.filter((each) => each.kind === kind && each.differs === differs);
      if (!some.length) continue;
      const group = document.createElement("optgroup");
      group.label = differs ? label : `${label}, the same in all`;
      for (const each of some) option(select, nameOf(each), each.key, group);
      select.append(group);
    }
  }
}

const valuesOf = (each) => each.values.filter((value) => value !== null && value !== undefined && value !== "");
/** Whether at least half of the runs have it, and not all the same. */
const telling = (each) => 2 * valuesOf(each).length >= each.values.length && new Set(valuesOf(each)).size > 1;

/** What is shown at first: params that most runs have and that differ, and the metric that tells most. */
function standard() {
  const usable = data.columns.filter((each) => each.differs);
  const params = usable.filter((each) => each.kind === "param");
  // Those of most runs first, of them what was varied on purpose, then numbers, then those with more values.
  params.sort((a, b) => telling(b) - telling(a) || a.late - b.late || measured(b).numeric - measured(a).numeric || b.distinct.length - a.distinct.length);
  const metrics = usable.filter((each) => each.kind === "metric").sort((a, b) => telling(b) - telling(a));
  const main = metrics.find((each) => measured(each).numeric) ?? data.columns.findLast((each) => measured(each).numeric);
  const rest = metrics.filter((each) => each !== main);
  // What is seldom varied on purpose, such as a seed, comes after all that tells more.
  const [tried, dull] = [params.filter((each) => each.late < 2), params.filter((each) => each.late === 2)];
  const any = [...tried.filter(telling), ...rest.filter(telling), ...tried, ...dull, ...rest, ...data.columns.filter((each) => each !== main)];
  return { params, tried, metrics, main, any: (place) => any[Math.min(place, any.length - 1)] ?? main };
}

/** What boxes are made by: a value that several runs share, the kind of estimator before others. */
function grouping(main) {
  const rows = main.values.map((_, row) => row).filter((row) => main.values[row] !== null);
  const count = (each) => new Set(rows.map((row) => each.values[row] ?? null)).size;
  const fit = data.columns.filter((each) => each.kind !== "metric" && count(each) > 1 && 2 * count(each) <= rows.length);
  return fit.sort((a, b) => (b.kind === "about") - (a.kind === "about") || telling(b) - telling(a) || (a.late ?? 0) - (b.late ?? 0) || count(a) - count(b))[0] ?? null;
}

function start() {
  if (view === "curves") return startCurves();
  const numeric = data.columns.filter((each) => measured(each).numeric);
  if (!numeric.length) return drawing.show({ nothing: "These runs have no numbers that could be drawn." });
  form.hidden = false;
  const { params, tried, metrics, main, any } = standard();
  const color = view === "parallel" ? main : metrics.find((each) => each !== main && telling(each)) ?? null;
  const defaults = { x: any(0), y: view === "contour" ? any(1) : main, z: main, color, by: grouping(main) };
  for (const select of form.querySelectorAll("select")) {
    const onlyNumbers = select.name === "z" || (select.name === "y" && view !== "contour");
    fillColumns(select, onlyNumbers ? numeric : data.columns, { color: "one colour", by: "all runs together" }[select.name]);
    const wanted = given.get(select.name);
    select.value = given.has(select.name) ? wanted : defaults[select.name] ? nameOf(defaults[select.name]) : "";
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  }
  if (view === "parallel") {
    const shown = [tried.filter(telling), params.filter(telling)].find((some) => some.length) ?? params;
    const scores = metrics.some(telling) ? metrics.filter(telling) : metrics;
    const about = data.columns.filter((each) => each.kind === "about");
    fillAxes([...about, ...shown.slice(0, 6), ...scores.slice(0, 2)], [...about, ...params, ...metrics]);
  }
  form.addEventListener("change", () => { remember(); draw(); });
  return draw();
}

function fillAxes(first, ordered) {
  const field = document.getElementById("choice-axes");
  const named = given.getAll("axes");
  const wanted = named.length ? named : first.map(nameOf);
  // Those that the address names first, in its order.
  const every = new Set([...named.map(column).filter(Boolean), ...ordered, ...data.columns]);
  for (const each of every) {
    const label = field.appendChild(document.createElement("label"));
    const tick = label.appendChild(document.createElement("input"));
    tick.type = "checkbox";
    tick.value = nameOf(each);
    tick.checked = wanted.includes(tick.value);
    label.append(each.key);
  }
}

const axes = () => [...document.querySelectorAll("#choice-axes input:checked")].map((each) => column(each.value));

function remember() {
  const query = new URLSearchParams(location.search);
  for (const field of form.querySelectorAll("select, input[type=range]")) {
    // An empty choice is one, too.
    if (field.value === "" && view === "curves") query.delete(field.name);
    else query.set(field.name, field.value);
  }
  query.delete("axes");
  if (view === "parallel") for (const each of axes()) query.append("axes", nameOf(each));
  history.replaceState(null, "", `${location.pathname}?${query.toString().replaceAll("%2C", ",")}`);
}

function table() {
  const held = view === "parallel" ? axes() : [...new Set([...form.querySelectorAll("select")].map((each) => column(each.value)))].filter(Boolean);
  return {
    columns: ["run", ...held.map((each) => each.key)],
    rows: () => data.runs.map((run, row) => [run.name, ...held.map((each) => each.values[row])]),
  };
}

function draw() {
  const element = drawing.element;
  const chosen = (name) => column(form.elements[name]?.value);
  const model = { rows: data.runs, columns: data.columns };
  if (view === "scatter") return drawing.show(scatter(model, chosen("x"), chosen("y"), chosen("color"), element), table());
  if (view === "contour") return drawing.show(contour(model, chosen("x"), chosen("y"), chosen("z"), element), table());
  if (view === "box") return drawing.show(box(model, chosen("by"), chosen("y"), element), table());
  if (axes().length < 2) return drawing.show({ nothing: "Choose two axes or more." });
  return drawing.show(parallel(model, axes(), chosen("color"), element), table());
}

function startCurves() {
  form.hidden = form.elements.metric.options.length === 0;
  if (form.hidden) return drawing.show({ nothing: "These runs have no metrics." });
  for (const name of ["across", "scale", "smooth"]) if (given.has(name)) form.elements[name].value = given.get(name);
  const source = dataOf("source").curves;
  const show = () => {
    const choices = Object.fromEntries(new FormData(form));
    if (!data.curves.length) return drawing.show({ nothing: "None of these runs has this metric." });
    return drawing.show(curves(data, choices, drawing.element), {
      columns: ["run", "step", "seconds", data.metric],
      rows: () => data.curves.flatMap((curve) => curve.points.slice(0, 200).map((point) => [curve.name, point[0], shortNumber(point[1]), point[2]])),
    });
  };
  form.addEventListener("input", async (event) => {
    remember();
    if (event.target.name === "metric") {
      const answer = await fetch(`${source}&metric=${encodeURIComponent(event.target.value)}`);
      if (!answer.ok) return;
      data = await answer.json();
    }
    show();
  });
  return show();
}

form.addEventListener("submit", (event) => event.preventDefault());
start();

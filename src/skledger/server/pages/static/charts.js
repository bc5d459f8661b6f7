// A thin wrapper of ECharts: colours from the page's own variables, size, words, a table beside.
//
//   import { chart } from "./charts.js";
//   const drawn = await chart(element, (colors) => ({ xAxis: {}, series: [] }), "What it shows");
//   drawn.redraw();   // after the data behind the function changed
//
// The function gets the theme's colours and returns ECharts' options; it is called again when the
// theme changes. Tooltips are drawn on the canvas: those of HTML bring inline styles, which the
// pages' policy refuses.

let library = null;

/** The ECharts module, loaded once, when the first chart is drawn. */
export function echarts() {
  library ??= import("./vendor/echarts-6.1.0/echarts.esm.min.js");
  return library;
}

/** Colours of the present theme: `text`, `muted`, `line`, `surface`, `accent`, `series`, ... */
export function themeColors() {
  const probe = document.createElement("span");
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["text", "muted", "line", "line-strong", "surface", "sunken", "accent", "accent-soft", "ok", "bad", "warn", "info"];
  const colors = Object.fromEntries(names.map((name) => [name, read(name)]));
  colors.series = Array.from({ length: 8 }, (_, index) => read(`series-${index + 1}`));
  // From few to many, for heat maps and contours: readable in both themes.
  colors.scale = isDark()
    ? ["#17393a", "#1f6a6d", "#3fa39b", "#a5d8a0", "#f4e89a"]
    : ["#f3efd2", "#a8d3a5", "#4aa79f", "#1d6f7d", "#143f57"];
  probe.remove();
  return colors;
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function axis(colors) {
  return {
    axisLine: { lineStyle: { color: colors["line-strong"] } },
    axisTick: { lineStyle: { color: colors["line-strong"] } },
    axisLabel: { color: colors.muted },
    nameTextStyle: { color: colors.muted },
    splitLine: { lineStyle: { color: colors.line } },
  };
}

function theme(colors) {
  const axes = axis(colors);
  return {
    color: colors.series,
    backgroundColor: "transparent",
    textStyle: { color: colors.text, fontFamily: getComputedStyle(document.body).fontFamily },
    categoryAxis: { ...axes, splitLine: { show: false } },
    valueAxis: axes,
    logAxis: axes,
    timeAxis: axes,
    legend: { textStyle: { color: colors.text }, pageTextStyle: { color: colors.text } },
    tooltip: {
      renderMode: "richText",
      backgroundColor: colors.surface,
      borderColor: colors["line-strong"],
      textStyle: { color: colors.text, fontSize: 12 },
      confine: true,
    },
    grid: { left: 12, right: 24, top: 36, bottom: 36, containLabel: true },
    parallel: { parallelAxisDefault: { ...axes, areaSelectStyle: { color: colors.accent, borderColor: colors.accent, opacity: 0.25 } } },
    visualMap: { textStyle: { color: colors.muted } },
    line: { symbolSize: 5, lineStyle: { width: 2 } },
  };
}

/**
 * Draw a chart into an element (class `chart`), and keep its size and colours right.
 *
 * `words` says in a sentence what is to be seen; the numbers belong into a table beside it, for
 * those who do not see it: `data-table="id"` on the element names one, or `numbersTable` makes it.
 */
export async function chart(element, options, words) {
  const library_ = await echarts();
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", words);
  if (element.dataset.table) element.setAttribute("aria-describedby", element.dataset.table);
  let colors = themeColors();
  let drawn = null;
  const settings = () => ({ animation: false, aria: { enabled: false }, ...options(colors) });
  const start = () => {
    drawn = library_.init(element, theme(colors), { renderer: "canvas" });
    drawn.setOption(richTooltip(settings()));
  };
  start();
  const resizing = new ResizeObserver(() => drawn.resize());
  resizing.observe(element);
  const rethemed = () => {
    colors = themeColors();
    drawn.dispose();
    start();
    for (const [name, handler] of listeners) drawn.on(name, handler);
  };
  const listeners = [];
  document.addEventListener("themechange", rethemed);
  return {
    get instance() { return drawn; },
    /** Listen to an event of ECharts, also after a change of theme. */
    on(name, handler) {
      listeners.push([name, handler]);
      drawn.on(name, handler);
    },
    redraw() { drawn.setOption(richTooltip(settings()), { notMerge: true }); },
    dispose() {
      document.removeEventListener("themechange", rethemed);
      resizing.disconnect();
      drawn.dispose();
    },
  };
}

function richTooltip(settings) {
  if (settings.tooltip) settings.tooltip = { renderMode: "richText", ...settings.tooltip };
  return settings;
}

/** The JSON of `<script type="application/json" id="...">`. */
export function dataOf(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** A folded table of numbers below a chart: its alternative in text. */
export function numbersTable(element, columns, rows, title = "Show the numbers") {
  const fold = document.createElement("details");
  fold.className = "fold small";
  const summary = fold.appendChild(document.createElement("summary"));
  summary.textContent = title;
  fold.addEventListener("toggle", () => {
    if (!fold.open || fold.querySelector("table")) return;
    const wrap = fold.appendChild(document.createElement("div"));
    wrap.className = "table-wrap";
    wrap.tabIndex = 0;
    const table = wrap.appendChild(document.createElement("table"));
    table.className = "table";
    const head = table.createTHead().insertRow();
    for (const name of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows()) {
      const line = body.insertRow();
      for (const value of row) {
        const cell = line.insertCell();
        cell.textContent = value ?? "–";
        if (typeof value === "number") cell.className = "num";
      }
    }
  });
  element.after(fold);
  return fold;
}

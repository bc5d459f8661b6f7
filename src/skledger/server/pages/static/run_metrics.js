// Curves of metrics over steps or time; each is drawn when it comes into sight.
import { chart, numbersTable } from "./charts.js";
import { durationText } from "./times.js";

const holder = document.querySelector("[data-curves]");
const tools = document.querySelector("[data-curve-tools]");
const drawn = new Map();
let settings = { x: "step", smooth: 0, log: false };

function short(value) {
  if (value === null) return "not finite";
  return Number.isInteger(value) && Math.abs(value) < 1e9 ? String(value) : Number(value.toPrecision(5)).toString();
}

/** A moving average that starts where the curve does. */
function smoothed(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let norm = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    norm = norm * weight + (1 - weight);
    return sum / norm;
  });
}

/** What an estimator keeps of its iterations is booked at one moment: that has no time axis. */
function alongTime(data) {
  return settings.x === "time" && data.times.at(-1) > data.times[0];
}

function along(data) {
  if (!alongTime(data)) return data.steps;
  return data.times.map((time) => (time - data.times[0]) / 1000);
}

function options(key, entry, colors) {
  const { data } = entry;
  const x = along(data);
  // A logarithm is of what is above zero.
  const usable = (value) => (value !== null && (!settings.log || value > 0) ? value : null);
  const raw = data.values.map(usable);
  const line = smoothed(raw, settings.smooth);
  const pairs = (values) => values.map((value, index) => [x[index], value]);
  const series = [{
    type: "line", name: key, data: pairs(line), showSymbol: x.length <= 40, symbolSize: 5, connectNulls: false,
    lineStyle: { width: 2 }, z: 3,
  }];
  if (settings.smooth) {
    series.push({
      type: "line", name: "as booked", data: pairs(raw), showSymbol: false, silent: true,
      lineStyle: { width: 1, opacity: 0.35 }, itemStyle: { color: colors.series[0] }, z: 2,
    });
  }
  const isTime = alongTime(data);
  return {
    grid: { left: 8, right: 20, top: 14, bottom: 24, containLabel: true },
    xAxis: {
      type: "value", name: isTime ? "since the first" : "step", nameLocation: "middle", nameGap: 26,
      min: "dataMin", max: "dataMax", splitLine: { show: false },
      minInterval: isTime ? undefined : 1,
      axisLabel: { hideOverlap: true, formatter: isTime ? (value) => durationText(value * 1000) : (value) => String(value) },
    },
    yAxis: { type: settings.log ? "log" : "value", scale: true, axisLabel: { hideOverlap: true, formatter: short } },
    tooltip: {
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: colors.muted } },
      formatter: (points) => {
        const index = points[0].dataIndex;
        const lines = [`step ${data.steps[index]}`, short(data.values[index])];
        if (settings.smooth) lines.push(`smoothed ${short(line[index])}`);
        return lines.join("\n");
      },
    },
    series,
  };
}

function words(key, data) {
  const finite = data.values.filter((value) => value !== null);
  const ends = finite.length ? `, from ${short(finite[0])} to ${short(finite.at(-1))}` : "";
  return `${key} over ${data.count} values${ends}`;
}

async function ask(keys) {
  const address = new URL(holder.dataset.curves, location.href);
  for (const key of keys) address.searchParams.append("key", key);
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the curves cannot be read (${answer.status})`);
  return answer.json();
}

async function draw(card) {
  const key = card.dataset.key;
  const place = card.querySelector(".chart");
  try {
    const { metrics } = await ask([key]);
    const data = metrics[key];
    if (data.count < 2) {
      card.remove();
      return;
    }
    const entry = { data };
    entry.chart = await chart(place, (colors) => options(key, entry, colors), words(key, data));
    drawn.set(key, entry);
    if (!place.dataset.table) {
      numbersTable(place, ["Step", "Value"], () => entry.data.steps.map((step, index) => [step, entry.data.values[index]]));
    }
  } catch (error) {
    place.textContent = error.message;
  }
}

async function follow() {
  if (!document.hidden && drawn.size) {
    try {
      const { metrics, status } = await ask([...drawn.keys()]);
      for (const [key, entry] of drawn) {
        if (metrics[key].count === entry.data.count) continue;
        entry.data = metrics[key];
        entry.chart.redraw();
      }
      if (status !== "RUNNING") return void location.reload();
    } catch {
      // The server may be back the next time.
    }
  }
  setTimeout(follow, 3000);
}

function read() {
  const form = new FormData(tools);
  settings = { x: form.get("x"), smooth: Number(form.get("smooth")), log: form.has("log") };
}

/** What is chosen stands in the address, so that it can be shared. */
function remember() {
  const address = new URL(location.href);
  const put = (name, value) => (value ? address.searchParams.set(name, value) : address.searchParams.delete(name));
  put("x", settings.x === "step" ? "" : settings.x);
  put("smooth", settings.smooth ? String(settings.smooth) : "");
  put("log", settings.log ? "1" : "");
  history.replaceState(history.state, "", address);
}

function start() {
  if (tools) {
    const asked = new URLSearchParams(location.search);
    for (const name of ["x", "smooth"]) {
      const field = tools.elements[name];
      if ([...field.options].some((each) => each.value === asked.get(name))) field.value = asked.get(name);
    }
    tools.elements.log.checked = asked.get("log") === "1";
    tools.hidden = false;
    read();
    tools.addEventListener("change", () => {
      read();
      remember();
      for (const entry of drawn.values()) entry.chart.redraw();
    });
    tools.addEventListener("submit", (event) => event.preventDefault());
  }
  const watching = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watching.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const card of holder.querySelectorAll("[data-key]")) watching.observe(card);
  if ("running" in holder.dataset) setTimeout(follow, 3000);
}

if (holder) start();

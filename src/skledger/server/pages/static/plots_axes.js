// What plots have in common: columns of values and their axes, colours, words.

const LOG_SPAN = 100;
const FEW = 20;
/** What stands where a run has no value. */
export const NONE = "no value";

/** What kind of values a column has: numbers (on a linear or logarithmic axis) or categories. */
export function measured(column) {
  if (column.scale) return column;
  const known = column.values.filter((value) => value !== null && value !== undefined && value !== "");
  const numbers = known.map(asNumber);
  const numeric = known.length > 0 && numbers.every(Number.isFinite);
  column.numeric = numeric;
  if (numeric) {
    column.numbers = column.values.map((value) => (value === null || value === undefined || value === "" ? null : asNumber(value)));
    const distinct = [...new Set(numbers)].sort((a, b) => a - b);
    column.distinct = distinct;
    const [low, middle, high] = [distinct[0], distinct[distinct.length >> 1], distinct.at(-1)];
    const steep = Math.abs(Math.log(middle / low) / Math.log(high / low) - 0.5);
    column.log = low > 0 && high / low >= LOG_SPAN * (1 - 1e-9)
      && (distinct.length <= FEW || steep < Math.abs(middle / high - 0.5));
    column.scale = column.log ? "log" : "value";
  } else {
    const seen = [...new Set(column.values.map((value) => value ?? NONE))];
    seen.sort((a, b) => {
      if (a === NONE || b === NONE) return (b === NONE) - (a === NONE);
      const [x, y] = [asNumber(a), asNumber(b)];
      if (Number.isFinite(x) && Number.isFinite(y)) return x - y;
      return Number.isFinite(x) - Number.isFinite(y) || (a < b ? -1 : a > b ? 1 : 0);
    });
    column.distinct = seen;
    column.texts = column.values.map((value) => value ?? NONE);
    column.scale = "category";
  }
  return column;
}

export function asNumber(value) {
  if (typeof value === "number") return value;
  const text = String(value).trim();
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : NaN;
}

/** The value of a row on a column's axis. */
export function at(column, row) {
  return column.numeric ? column.numbers[row] : column.texts[row];
}

/** A number for reading. */
export function shortNumber(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  return String(Number(value.toPrecision(4)));
}

export function short(text, length = 24) {
  const line = String(text).replace(/\s+/g, " ");
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

export function narrow(element) {
  return element.clientWidth < 500;
}

/** An axis for a column; `across` is the one at the bottom. */
export function axisOf(column, across, element, more = {}) {
  const small = narrow(element);
  const base = across
    ? { name: short(column.key, small ? 34 : 60), nameLocation: "middle", nameGap: 30 }
    : { name: short(column.key, small ? 34 : 50), nameLocation: "end", nameTextStyle: { align: "left", padding: [0, 0, 0, -30] } };
  if (column.scale === "category") {
    return {
      ...base,
      type: "category",
      data: column.distinct.map(String),
      axisLabel: { formatter: (text) => short(text, across ? 16 : small ? 10 : 18), interval: 0, hideOverlap: true, rotate: across && column.distinct.length > (small ? 4 : 10) ? 30 : 0 },
      ...more,
    };
  }
  return {
    ...base,
    type: column.scale,
    scale: true,
    // The ends of a logarithmic axis are where the values end: no round numbers.
    axisLabel: { formatter: shortNumber, hideOverlap: true, ...(column.log ? { showMinLabel: false, showMaxLabel: false } : {}) },
    splitNumber: small ? 3 : 5,
    ...(column.log ? logBounds(column) : {}),
    ...more,
  };
}

export function logBounds(column) {
  const [low, high] = [column.distinct[0], column.distinct.at(-1)];
  const room = (high / low) ** 0.05;
  return { min: low / room, max: high * room };
}

const shown = (value) => short(shortNumber(value), 14);

/** How many pixels the labels of a column take on an axis of parallel coordinates. */
export function labelRoom(column, rows) {
  const texts = column.distinct.map(shown);
  if (column.numeric) {
    // Round numbers between the values may have a digit more, as 10,000 beyond 9,800.
    texts.push(`${shown(Math.trunc(column.distinct.at(-1)))}0`.slice(0, 14));
    if (rows.some((row) => at(column, row) === null)) texts.push(NONE);
  }
  return Math.ceil(Math.max(0, ...texts.map((text) => text.length)) * 6.9) + 14;
}

/** An axis of parallel coordinates and each row's place on it; no value is a place below the others. */
export function parallelAxis(column, rows, colors) {
  const label = { hideOverlap: true, color: colors.text, textBorderColor: colors.surface, textBorderWidth: 3 };
  if (!column.numeric || rows.every((row) => at(column, row) !== null)) {
    return {
      axis: {
        type: column.scale,
        scale: true,
        ...(column.log ? logBounds(column) : {}),
        ...(column.scale === "category" ? { data: column.distinct.map(String) } : {}),
        axisLabel: { ...label, formatter: shown, ...(column.log ? { showMinLabel: false, showMaxLabel: false } : {}) },
      },
      place: (row) => at(column, row),
    };
  }
  const [to, back] = column.log ? [Math.log10, (value) => 10 ** value] : [Number, Number];
  const [low, high] = [to(column.distinct[0]), to(column.distinct.at(-1))];
  const span = high - low || Math.abs(high) / 10 || 1;
  const foot = low - span / 5;
  const customValues = [foot, ...ticks(column, low, high)];
  return {
    axis: {
      type: "value",
      min: foot,
      max: high,
      axisLabel: { ...label, customValues, formatter: (value) => (value < low - span / 10 ? NONE : shown(back(value))) },
      axisTick: { customValues },
    },
    place: (row) => (at(column, row) === null ? foot : to(at(column, row))),
  };
}

/** Round numbers between two ends, or each value of a few. */
function ticks(column, low, high) {
  if (column.distinct.length <= 5) return column.distinct.map(column.log ? Math.log10 : Number);
  const rough = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = column.log ? Math.max(1, Math.round(rough)) : unit * [1, 2, 5, 10].find((each) => each * unit >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, index) => Number((first + index * step).toPrecision(12)));
}

/** Which way colours run, and the part of the page that says so. */
export function colourMap(column, colors, dimension, seriesIndex, element, faint = true) {
  const range = [column.distinct[0], column.distinct.at(-1)];
  return {
    type: "continuous",
    min: range[0],
    max: range[1] === range[0] ? range[0] + 1 : range[1],
    dimension,
    seriesIndex,
    inRange: { color: faint ? colors.scale : colors.scale.slice(1) },
    orient: "horizontal",
    left: "right",
    top: 6,
    itemWidth: 10,
    itemHeight: narrow(element) ? 70 : 110,
    text: [shortNumber(range[1]), shortNumber(range[0])],
    calculable: false,
    hoverLink: false,
    padding: 0,
  };
}

export function said(model, row, columns) {
  const seen = new Set();
  const lines = columns.filter((column) => column && !seen.has(column.key) && seen.add(column.key));
  return [model.rows[row].name, ...lines.map((column) => `${short(column.key, 40)}: ${short(shortNumber(column.values[row]), 50)}`)].join("\n");
}

export function missing(model, rows) {
  const left = model.rows.length - rows.length;
  return left ? ` ${left} of ${model.rows.length} without these values ${left === 1 ? "is" : "are"} left out.` : "";
}

export function complete(model, columns) {
  return model.rows.map((_, row) => row).filter((row) => columns.every((column) => !column || at(column, row) !== null));
}

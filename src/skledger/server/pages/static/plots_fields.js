// Plots of one column over two others: heat maps and contours. See plots.js for what they take.
import { at, axisOf, colourMap, complete, measured, missing, narrow, said, short, shortNumber } from "./plots_axes.js";

/** Values of a colour scale between its stops, as in ECharts. */
function between(scale, share) {
  const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const low = Math.min(Math.floor(place), scale.length - 2);
  const [from, to] = [scale[low], scale[low + 1]].map((text) => [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16)));
  return from.map((each, index) => each + (to[index] - each) * (place - low));
}

function inkOn([red, green, blue]) {
  const linear = [red, green, blue].map((each) => ((each /= 255) <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 ? "#10201f" : "#ffffff";
}

const BINS = 12;

/** The places of a column's values on an axis of cells: each value, or ranges of many numbers. */
function cells(column) {
  measured(column);
  if (!column.numeric || column.distinct.length <= 25) {
    const names = column.distinct.map((value) => (column.numeric ? shortNumber(value) : String(value)));
    const places = new Map(column.distinct.map((value, place) => [value, place]));
    return { names, place: (row) => places.get(at(column, row)) };
  }
  const to = column.log ? Math.log : (value) => value;
  const back = column.log ? Math.exp : (value) => value;
  const [low, high] = [to(column.distinct[0]), to(column.distinct.at(-1))];
  const edge = (index) => back(low + ((high - low) * index) / BINS);
  return {
    names: Array.from({ length: BINS }, (_, index) => `${Number(edge(index).toPrecision(2))}–${Number(edge(index + 1).toPrecision(2))}`),
    place: (row) => (at(column, row) === null ? undefined : Math.min(BINS - 1, Math.floor(((to(at(column, row)) - low) / (high - low)) * BINS))),
    ranges: true,
  };
}

/** A cell for each pair of values; `how` is "best" (the highest of a cell) or "mean". */
export function heat(model, x, y, z, how, element) {
  measured(z);
  const [across, up] = [cells(x), cells(y)];
  const held = new Map();
  model.rows.forEach((_, row) => {
    const [i, j] = [across.place(row), up.place(row)];
    if (i === undefined || j === undefined) return;
    const key = `${i},${j}`;
    if (!held.has(key)) held.set(key, { i, j, values: [], failed: 0, row: null, top: -Infinity });
    const cell = held.get(key);
    const value = z.numeric ? at(z, row) : null;
    if (value === null) cell.failed += model.rows[row].status === "FAILED" ? 1 : 0;
    else {
      cell.values.push(value);
      if (value > cell.top) { cell.top = value; cell.row = row; }
    }
  });
  const full = [...held.values()].filter((cell) => cell.values.length);
  const number = (cell) => (how === "mean" ? cell.values.reduce((a, b) => a + b, 0) / cell.values.length : cell.top);
  // Cells paint over those before them: one with a frame comes last.
  const chosen = (cell) => cell.row !== null && model.rows[cell.row].id === model.best;
  full.sort((a, b) => chosen(a) - chosen(b));
  const numbers = full.map(number);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const failed = [...held.values()].filter((cell) => !cell.values.length && cell.failed);
  const room = (element.clientWidth - 90) / across.names.length;
  const several = full.some((cell) => cell.values.length > 1);
  const axis = (part, column, isAcross) => axisOf({ key: column.key, scale: "category", distinct: part.names }, isAcross, element, { splitArea: { show: false }, axisTick: { show: false } });
  return {
    options: (colors) => ({
      grid: { left: 16, right: 16, top: 44, bottom: 44, containLabel: true },
      tooltip: {
        trigger: "item",
        formatter: (item) => {
          const cell = item.data.cell;
          const place = `${short(x.key, 30)}: ${across.names[cell.i]}\n${short(y.key, 30)}: ${up.names[cell.j]}`;
          if (!cell.values.length) return `${place}\nfailed: ${cell.failed}`;
          return `${place}\n${z.key}: ${shortNumber(number(cell))}${cell.values.length > 1 ? ` (${how} of ${cell.values.length})` : ""}`;
        },
      },
      xAxis: axis(across, x, true),
      yAxis: axis(up, y, false),
      visualMap: numbers.length ? { ...colourMap({ distinct: [low, high] }, colors, 2, 0, element) } : undefined,
      series: [
        {
          type: "heatmap",
          data: full.map((cell) => ({
            value: [cell.i, cell.j, number(cell)],
            cell,
            id: model.rows[cell.row].id,
            label: { color: inkOn(between(colors.scale, high > low ? (number(cell) - low) / (high - low) : 0)) },
            itemStyle: chosen(cell) ? { borderColor: colors.series[1], borderWidth: 3 } : { borderColor: colors.surface, borderWidth: 1 },
          })),
          label: { show: room > 40 && (element.clientHeight - 120) / up.names.length > 15, formatter: (item) => String(Number(item.data.value[2].toPrecision(3))), fontSize: 11 },
          cursor: "pointer",
        },
        {
          type: "scatter",
          symbol: "path://M2 2L12 12M12 2L2 12",
          symbolSize: 10,
          itemStyle: { color: "transparent", borderColor: colors.bad, borderWidth: 2 },
          data: failed.map((cell) => ({ value: [cell.i, cell.j], cell })),
        },
      ],
    }),
    words: `Heat map of ${z.key} over ${x.key} and ${y.key}, from ${shortNumber(low)} to ${shortNumber(high)}`,
    note: [
      several ? (how === "mean" ? "A cell is the mean of its candidates." : "A cell is the best of its candidates.") : "",
      model.best ? `The ${model.word} has a frame.` : "",
      failed.length ? "A cross: all failed." : "",
    ].filter(Boolean).join(" "),
  };
}

let contouring = null;

/** d3-contour, loaded when the first contour is drawn; both files put themselves into one name. */
async function d3Contour() {
  contouring ??= (async () => {
    await import("./vendor/d3-array-3.2.5/d3-array.min.js");
    await import("./vendor/d3-contour-4.0.3/d3-contour.min.js");
    return globalThis.d3;
  })();
  return contouring;
}

// Cells that are seen, and how many more there are on each side: contours are cut off at corners.
const GRID = [90, 70];
const BEYOND = 1;
const WHOLE = GRID.map((each) => each + 2 * BEYOND);

/** Labels of an axis on which texts stand at whole numbers. */
function texts(column, isAcross, element) {
  const customValues = column.distinct.map((_, place) => place);
  const many = column.distinct.length > (narrow(element) ? 4 : 10);
  return {
    axisTick: { customValues },
    axisLabel: { customValues, hideOverlap: true, rotate: isAcross && many ? 30 : 0, formatter: (value) => short(column.distinct[value], 14) },
  };
}

/** Lines of equal height between points, which stand in it as dots. */
export async function contour(model, x, y, z, element) {
  [x, y, z].forEach(measured);
  const rows = complete(model, [x, y, z]);
  const onAxis = (column) => {
    const to = column.log ? Math.log10 : (value) => (column.numeric ? value : column.distinct.indexOf(value));
    const numbers = rows.map((row) => to(at(column, row)));
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const room = (high - low) * 0.03;
    const back = column.log ? (value) => 10 ** value : (value) => value;
    return { numbers, low: low - room, high: high + room, back };
  };
  const [across, up] = [onAxis(x), onAxis(y)];
  const heights = z.numeric ? rows.map((row) => at(z, row)) : [];
  if (rows.length < 3 || !(across.high > across.low) || !(up.high > up.low) || new Set(heights).size < 2) {
    return { nothing: "A contour needs three runs or more that differ in all three. Choose others, or compare more runs." };
  }
  const points = across.numbers.map((value, index) => [
    (value - across.low) / (across.high - across.low),
    (up.numbers[index] - up.low) / (up.high - up.low),
    heights[index],
  ]);
  const surface = interpolated(points);
  const [low, high] = [Math.min(...heights), Math.max(...heights)];
  const levels = 10;
  const thresholds = Array.from({ length: levels }, (_, index) => low + ((high - low) * index) / levels);
  thresholds[0] = -Infinity;
  const d3 = await d3Contour();
  const found = d3.contours().size(WHOLE).smooth(true).thresholds(thresholds.slice(1))(surface);
  const bands = [{ coordinates: [[[[0, 0], [WHOLE[0], 0], WHOLE, [0, WHOLE[1]]]]], value: low }, ...found];
  const place = ([i, j], api) => api.coord([
    across.back(across.low + ((i - BEYOND) / GRID[0]) * (across.high - across.low)),
    up.back(up.low + ((j - BEYOND) / GRID[1]) * (up.high - up.low)),
  ]);
  const bounds = (part) => ({ min: part.back(part.low), max: part.back(part.high), scale: true });
  const numbered = { axisLabel: { formatter: shortNumber, hideOverlap: true, showMinLabel: false, showMaxLabel: false } };
  const axis = (column, part, isAcross) => axisOf(
    column.numeric ? column : { key: column.key, scale: "value", log: false, distinct: column.distinct },
    isAcross,
    element,
    { ...bounds(part), ...(column.numeric ? numbered : texts(column, isAcross, element)), splitLine: { show: false } },
  );
  return {
    options: (colors) => ({
      grid: { left: 16, right: 24, top: 44, bottom: 44, containLabel: true },
      tooltip: { trigger: "item", formatter: (item) => (item.data.row === undefined ? "" : said(model, item.data.row, [x, y, z])) },
      xAxis: axis(x, across, true),
      yAxis: axis(y, up, false),
      visualMap: colourMap(z, colors, 2, 1, element),
      series: [
        {
          type: "custom",
          silent: true,
          clip: true,
          z: 1,
          data: bands.map((_, index) => [0, 0, index]),
          encode: { x: [], y: [] },
          renderItem: (params, api) => {
            const band = bands[params.dataIndex];
            const share = params.dataIndex / (bands.length - 1);
            const ring = (points_) => `M${points_.map((point) => place(point, api).map((each) => each.toFixed(1)).join(" ")).join("L")}Z`;
            return {
              type: "path",
              shape: { pathData: band.coordinates.flat().map(ring).join("") },
              style: { fill: `rgb(${between(colors.scale, share).map(Math.round).join(",")})`, stroke: colors.surface, lineWidth: 0.5 },
            };
          },
        },
        {
          type: "scatter",
          z: 3,
          symbolSize: 10,
          cursor: "pointer",
          // A light ring with a dark edge shows on every colour of the scale.
          itemStyle: { borderColor: "#fff", borderWidth: 2, shadowColor: "#000", shadowBlur: 3 },
          data: rows.map((row) => ({ value: [x.numeric ? at(x, row) : x.distinct.indexOf(at(x, row)), y.numeric ? at(y, row) : y.distinct.indexOf(at(y, row)), at(z, row)], row, id: model.rows[row].id })),
        },
      ],
    }),
    words: `Contour plot of ${z.key} over ${x.key} and ${y.key}, from ${shortNumber(low)} to ${shortNumber(high)}, ${rows.length} runs`,
    note: `Dots are runs; between them heights are weighted means of those nearby.${missing(model, rows)}`,
  };
}

/** Heights on the grid: means of all points, weighted by the inverse of their distance cubed. */
function interpolated(points) {
  const values = new Float64Array(WHOLE[0] * WHOLE[1]);
  for (let j = 0; j < WHOLE[1]; j += 1) {
    for (let i = 0; i < WHOLE[0]; i += 1) {
      const [u, v] = [(i - BEYOND + 0.5) / GRID[0], (j - BEYOND + 0.5) / GRID[1]];
      let [weights, sum] = [0, 0];
      for (const [px, py, height] of points) {
        const distance = (px - u) ** 2 + (py - v) ** 2;
        const weight = 1 / (distance + 1e-6) ** 1.5;
        weights += weight;
        sum += weight * height;
      }
      values[j * WHOLE[0] + i] = sum / weights;
    }
  }
  return values;
}

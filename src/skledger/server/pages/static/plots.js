// Plots of params against metrics, for comparisons and searches.
//
// A model is { rows: [{ id, name, ... }], columns: [{ key, kind, values }] }. Values are numbers, or
// texts that may be numbers (params are booked as text). Each function here returns
// { options(colors), words, note } for `chart` of charts.js.
import { asNumber, at, axisOf, colourMap, complete, labelRoom, measured, missing, narrow, NONE, parallelAxis, said, short, shortNumber } from "./plots_axes.js";

/** One point for each row. */
export function scatter(model, x, y, color, element) {
  [x, y, color].forEach((column) => column && measured(column));
  const rows = complete(model, [x, y]);
  const point = (row) => ({
    value: [at(x, row), at(y, row), color?.numeric ? at(color, row) : 0],
    row,
    id: model.rows[row].id,
    symbol: model.best === model.rows[row].id ? "diamond" : "circle",
    symbolSize: model.best === model.rows[row].id ? 16 : 11,
  });
  const groups = color && !color.numeric
    ? color.distinct.slice(0, 8).map((name) => [String(name), rows.filter((row) => at(color, row) === name)])
    : [["runs", rows]];
  return {
    options: (colors) => ({
      grid: { left: 16, right: 24, top: 44, bottom: 44, containLabel: true },
      tooltip: { trigger: "item", formatter: (item) => said(model, item.data.row, [x, y, color]) },
      legend: groups.length > 1 ? { top: 0, right: 0, type: "scroll", left: "40%", formatter: (name) => short(name, 18) } : undefined,
      xAxis: axisOf(x, true, element),
      yAxis: axisOf(y, false, element),
      visualMap: color?.numeric ? colourMap(color, colors, 2, 0, element, false) : undefined,
      series: groups.map(([name, held]) => ({
        type: "scatter",
        name,
        data: held.map(point),
        itemStyle: { borderColor: colors.surface, borderWidth: 1, opacity: 0.95 },
        emphasis: { scale: 1.4 },
        cursor: "pointer",
      })),
    }),
    words: `Scatter plot of ${y.key} over ${x.key}, ${rows.length} points${color ? `, coloured by ${color.key}` : ""}`,
    note: missing(model, rows),
  };
}

/** One line for each row, over one axis for each column. */
export function parallel(model, columns, color, element) {
  columns.forEach(measured);
  if (color) measured(color);
  const has = (row) => columns.filter((column) => column.values[row] !== null && column.values[row] !== undefined).length;
  const rows = model.rows.map((_, row) => row).filter(has);
  const partly = rows.filter((row) => has(row) < columns.length).length;
  // With many axes the chart is wider than its card, which scrolls.
  element.style.minWidth = `${columns.length * 92}px`;
  const wide = element.clientWidth / Math.max(columns.length, 1);
  const names = columns.map((column) => short(column.key.replace(/^.*__/, ""), Math.max(8, Math.floor(wide / 7.5))));
  // Names stand over the middle of their axes: half of the outer ones is beyond them.
  const beside = (name, least) => Math.max(least, Math.ceil((name ?? "").length * 4.1) + 6);
  const best = rows.filter((row) => model.rows[row].id === model.best);
  const colored = color?.numeric && color.distinct.length > 1;
  const drawn = (colors) => {
    const axes = columns.map((column) => parallelAxis(column, rows, colors));
    const line = (row) => ({
      value: [...axes.map((axis) => axis.place(row)), colored ? at(color, row) ?? 0 : 0],
      row,
      id: model.rows[row].id,
    });
    return { axes, line };
  };
  return {
    options: (colors) => {
      const { axes, line } = drawn(colors);
      // The labels of an axis stand at its right.
      const lastRoom = labelRoom(columns.at(-1), rows);
      return {
        tooltip: { trigger: "item", formatter: (item) => said(model, item.data.row, [...columns, color]) },
        parallel: { left: beside(names[0], narrow(element) ? 36 : 60), right: Math.max(beside(names.at(-1), narrow(element) ? 44 : 70), lastRoom), top: 64, bottom: 24 },
        parallelAxis: axes.map(({ axis }, dim) => ({ ...axis, dim, name: names[dim], z: 10, nameTextStyle: { color: colors.text, fontWeight: 600 } })),
        visualMap: colored ? { ...colourMap(color, colors, columns.length, 0, element, false), left: 0 } : undefined,
        series: [
          // Those without a value for the colour are grey, in a series that the colours are not for.
          ...[[true, colors.accent], [false, colors.muted]].map(([has, ink]) => ({
            type: "parallel",
            data: rows.filter((row) => (!colored || at(color, row) !== null) === has).map(line),
            lineStyle: { width: rows.length > 100 ? 1 : 2, opacity: rows.length > 200 ? 0.35 : 0.8, color: ink },
            inactiveOpacity: 0.06,
            emphasis: { lineStyle: { width: 4 } },
          })),
          ...(best.length ? [{
            type: "parallel",
            silent: true,
            data: best.map(line),
            lineStyle: { width: 4, opacity: 1, color: colors.series[1] },
            z: 4,
          }] : []),
        ],
      };
    },
    words: `Parallel coordinates of ${rows.length} runs over ${columns.map((column) => column.key).join(", ")}${partly ? `; ${partly} of them ${partly === 1 ? "has" : "have"} no value on some` : ""}`,
    note: [
      `Drag along an axis to pick lines; a click on the axis lets them all back.${best.length ? " The best is the thick line." : ""}`,
      partly ? `${partly} of ${rows.length} runs ${partly === 1 ? "has" : "have"} no value on some of the axes: their lines pass at the foot, at “${NONE}”.` : "",
      model.rows.length > rows.length ? `${model.rows.length - rows.length} with none of these values are left out.` : "",
    ].filter(Boolean).join(" "),
  };
}

/** A box for each value of a column: quartiles, whiskers to 1.5 times the box, every value a dot. */
export function box(model, by, value, element) {
  measured(value);
  const rows = complete(model, [value]);
  const texts = by ? by.values.map((each) => String(each ?? NONE)) : model.rows.map(() => "all runs");
  let names = [...new Set(rows.map((row) => texts[row]))];
  names.sort((a, b) => (Number.isFinite(asNumber(a)) && Number.isFinite(asNumber(b)) ? asNumber(a) - asNumber(b) : a < b ? -1 : 1));
  const cut = names.length > 30;
  names = names.slice(0, 30);
  const held = names.map((name) => rows.filter((row) => texts[row] === name));
  const quartiles = held.map((group) => five(group.map((row) => at(value, row))));
  return {
    options: (colors) => ({
      grid: { left: 16, right: 24, top: 44, bottom: 44, containLabel: true },
      tooltip: {
        trigger: "item",
        formatter: (item) => (item.seriesType === "scatter"
          ? said(model, item.data.row, [by, value])
          : `${names[item.dataIndex]}: ${held[item.dataIndex].length} runs\n${["lowest", "lower quartile", "median", "upper quartile", "highest"].map((word, place) => `${word} ${shortNumber(quartiles[item.dataIndex][place])}`).join("\n")}`),
      },
      xAxis: axisOf({ key: by?.key ?? "", scale: "category", distinct: names }, true, element),
      yAxis: axisOf(value, false, element),
      series: [
        { type: "boxplot", data: quartiles, boxWidth: [14, 60], itemStyle: { color: colors["accent-soft"], borderColor: colors.accent, borderWidth: 1.5 } },
        {
          type: "scatter",
          cursor: "pointer",
          symbolSize: 8,
          itemStyle: { color: colors.series[1], borderColor: colors.surface, borderWidth: 1 },
          data: held.flatMap((group, place) => group.map((row) => ({ value: [place, at(value, row)], row, id: model.rows[row].id }))),
        },
      ],
    }),
    words: `Box plots of ${value.key}${by ? ` for each value of ${by.key}` : ""}: medians ${names.map((name, place) => `${name} ${shortNumber(quartiles[place][2])}`).join(", ")}`,
    note: `Boxes reach from the lower to the upper quartile, the line is the median.${cut ? " The first 30 values are shown." : ""}${missing(model, rows)}`,
  };
}

function five(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const quantile = (share) => {
    const place = (sorted.length - 1) * share;
    const low = Math.floor(place);
    return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (place - low);
  };
  const [lower, median, upper] = [0.25, 0.5, 0.75].map(quantile);
  const reach = 1.5 * (upper - lower);
  const inside = sorted.filter((each) => each >= lower - reach && each <= upper + reach);
  return [inside[0], lower, median, upper, inside.at(-1)];
}

/** Curves of a metric, one for each run. */
export function curves(data, choices, element) {
  if (data.curves.every((curve) => curve.of < 2)) return bars(data, element);
  const log = choices.scale === "log";
  const time = choices.across === "time";
  const smooth = Number(choices.smooth) || 0;
  const drawn = data.curves.map((curve) => {
    let mean = null;
    let weight = 0;
    return {
      ...curve,
      line: curve.points.map(([step, seconds, value]) => {
        let shown = value;
        if (value !== null && smooth) {
          mean = (mean ?? 0) * smooth + value * (1 - smooth);
          weight = weight * smooth + (1 - smooth);
          shown = mean / weight;
        }
        return [time ? seconds : step, log && shown <= 0 ? null : shown];
      }),
    };
  });
  const thin = data.curves.filter((curve) => curve.of > curve.points.length);
  const dots = drawn.some((curve) => curve.line.length < 30);
  // A legend of many names is cut to a few: pointing at a line tells its run.
  const crowded = drawn.length > (narrow(element) ? 5 : 12);
  const below = log && data.curves.some((curve) => curve.points.some((point) => point[2] !== null && point[2] <= 0));
  return {
    options: (colors) => ({
      grid: { left: 16, right: 24, top: crowded ? 44 : 68, bottom: 44, containLabel: true },
      legend: crowded ? undefined : { type: "scroll", top: 2, left: 0, right: 0, icon: "roundRect", itemHeight: 4, itemWidth: 16, formatter: (name) => short(name, 34) },
      tooltip: {
        trigger: crowded ? "item" : "axis",
        order: "valueDesc",
        formatter: (found) => ((items) => [`${time ? `${shortNumber(items[0].axisValue)} s` : `step ${items[0].axisValue}`}`, ...items.slice(0, 15).map((item) => `${item.seriesName}: ${shortNumber(item.value[1])}`), ...(items.length > 15 ? [`and ${items.length - 15} more`] : [])].join("\n"))([found].flat().map((item) => ({ ...item, axisValue: item.axisValue ?? item.value[0] }))),
      },
      xAxis: { type: "value", name: time ? "seconds since the start of the run" : "step", nameLocation: "middle", nameGap: 30, scale: true, minInterval: time ? 0 : 1, axisLabel: { formatter: shortNumber, hideOverlap: true } },
      yAxis: { type: log ? "log" : "value", name: short(data.metric, narrow(element) ? 34 : 60), nameTextStyle: { align: "left", padding: [0, 0, 0, -30] }, scale: true, axisLabel: { formatter: shortNumber } },
      series: drawn.map((curve, index) => ({
        type: "line",
        name: curve.name,
        id: curve.id,
        data: curve.line,
        showSymbol: dots,
        symbolSize: 5,
        lineStyle: { width: 2, type: ["solid", "dashed", "dotted"][Math.floor(index / colors.series.length) % 3] },
        itemStyle: { color: colors.series[index % colors.series.length] },
        emphasis: { focus: "series" },
      })),
    }),
    words: `${data.metric} over ${time ? "time" : "steps"}, ${drawn.length} curves`,
    note: [
      thin.length ? `${thin.length === drawn.length ? "Curves" : `${thin.length} curves`} of more than 1,000 steps are thinned: the lowest and highest of each piece stay.` : "",
      smooth ? "Smoothed: an exponential mean." : "",
      below ? "Values of 0 and less are not on a logarithmic axis." : "",
      crowded ? "Point at a curve to see which run it is of." : "",
      without(data),
    ].filter(Boolean).join(" "),
  };
}

/** The values of a metric that was booked once in each run, a bar for each, as the runs are ordered. */
export function bars(data, element) {
  const held = data.curves.map((curve) => ({ id: curve.id, name: curve.name, value: curve.points[0]?.[2] ?? null }));
  const known = held.map((each) => each.value).filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  // Bars of scores that hardly differ would all look alike: dots on an axis of their own do not.
  const close = known.length > 1 && low > 0 && high - low < high / 2;
  const many = held.length > (narrow(element) ? 6 : 14);
  return {
    options: (colors) => ({
      grid: { left: 16, right: 24, top: 44, bottom: many ? 24 : 44, containLabel: true },
      tooltip: { trigger: "item", formatter: (item) => `${held[item.dataIndex].name}\n${short(data.metric, 40)}: ${shortNumber(held[item.dataIndex].value)}` },
      xAxis: { type: "category", data: held.map((each) => each.name), axisLabel: { hideOverlap: true, formatter: (name) => short(name, 14), rotate: many ? 40 : 0 } },
      yAxis: { type: "value", scale: close, name: short(data.metric, narrow(element) ? 34 : 60), nameTextStyle: { align: "left", padding: [0, 0, 0, -30] }, axisLabel: { formatter: shortNumber } },
      series: [{
        type: close ? "scatter" : "bar",
        symbolSize: 12,
        barMaxWidth: 40,
        cursor: "pointer",
        itemStyle: { color: colors.accent },
        data: held.map((each) => ({ value: each.value ?? "-", id: each.id })),
      }],
    }),
    words: `${data.metric} of ${held.length} runs, one value each${known.length ? `, from ${shortNumber(low)} to ${shortNumber(high)}` : ""}`,
    note: `One value in each run, so there is no curve. ${without(data)}`,
  };
}

/** Which of the runs have no value of a metric. */
function without(data) {
  const { length } = data.without ?? [];
  if (!length) return "";
  const named = data.without.slice(0, 3).map((name) => short(name, 30)).join(", ");
  return `${length} of ${length + data.curves.length} runs ${length === 1 ? "has" : "have"} no ${short(data.metric, 40)}: ${named}${length > 3 ? ` and ${length - 3} more` : ""}.`;
}

/** The scores of candidates in the order in which they came, and the best so far. */
export function progressOf(model, score, element) {
  measured(score);
  const rows = model.rows.map((_, row) => row);
  let best = -Infinity;
  const line = [];
  const known = rows.filter((row) => score.numeric && at(score, row) !== null);
  for (const row of known) {
    best = Math.max(best, at(score, row));
    line.push([model.rows[row].number, best]);
  }
  const low = Math.min(...known.map((row) => at(score, row)));
  const failed = rows.filter((row) => model.rows[row].status === "FAILED" && at(score, row) === null);
  const rungs = [...new Set(known.map((row) => model.rows[row].rung))].filter((rung) => rung !== null).sort((a, b) => a - b);
  const groups = rungs.length > 1 ? rungs.map((rung) => [`rung ${rung}`, known.filter((row) => model.rows[row].rung === rung)]) : [["candidates", known]];
  return {
    options: (colors) => ({
      grid: { left: 16, right: 20, top: 44, bottom: 44, containLabel: true },
      legend: { top: 2, right: 0, type: "scroll", left: narrow(element) ? 48 : "35%", itemGap: narrow(element) ? 6 : 10, itemWidth: narrow(element) ? 14 : 25 },
      tooltip: { trigger: "item", formatter: (item) => (item.data.row === undefined ? `best so far: ${shortNumber(item.value[1])}` : said(model, item.data.row, model.columns)) },
      xAxis: { type: "value", name: "candidate", nameLocation: "middle", nameGap: 30, minInterval: 1, scale: true, axisLabel: { formatter: shortNumber, hideOverlap: true } },
      yAxis: axisOf({ ...score, log: false, scale: "value" }, false, element),
      series: [
        ...(rungs.length > 1 ? [] : [{ type: "line", name: "best so far", step: "end", data: line, showSymbol: false, silent: true, lineStyle: { width: 2, color: colors.series[1] }, itemStyle: { color: colors.series[1] } }]),
        ...groups.map(([name, held], index) => ({
          type: "scatter",
          name,
          symbolSize: known.length > 300 ? 6 : 9,
          cursor: "pointer",
          itemStyle: { color: groups.length > 1 ? colors.series[(index + (index > 0)) % 8] : colors.series[0], borderColor: colors.surface, borderWidth: 1 },
          data: held.map((row) => ({
            value: [model.rows[row].number, at(score, row)],
            row,
            id: model.rows[row].id,
            ...(model.rows[row].id === model.best ? { symbol: "diamond", symbolSize: 17 } : {}),
          })),
        })),
        ...(failed.length && known.length ? [{
          type: "scatter",
          name: "failed",
          symbol: "path://M2 2L12 12M12 2L2 12",
          symbolSize: 9,
          cursor: "pointer",
          itemStyle: { color: "transparent", borderColor: colors.bad, borderWidth: 2 },
          data: failed.map((row) => ({ value: [model.rows[row].number, low], row, id: model.rows[row].id })),
        }] : []),
      ],
    }),
    words: `Scores of ${known.length} candidates in the order in which they came; the best is ${shortNumber(Math.max(best, low))}`,
    note: [
      model.best ? `The diamond is the ${model.word}.` : "",
      failed.length && known.length ? "Crosses at the bottom failed." : "",
    ].filter(Boolean).join(" "),
  };
}

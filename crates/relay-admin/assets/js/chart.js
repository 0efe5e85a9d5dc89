// Charts over time in SVG: stacked bars or lines, with axes, units, and values for the pointer and the keyboard.

import { h } from "./dom.js";
import { NONE, timeOfDay, minuteOfDay } from "./format.js";
import { durationTicks, timeTicks, valueTicks } from "./scale.js";
import { changed, store } from "./store.js";

const HEIGHT = 168;
const MARGIN = { top: 8, right: 8, bottom: 22, left: 52 };
const widths = new Map(); // of plots by id
const observer = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) widths.set(target.dataset.chart, Math.round(contentRect.width));
  changed();
});

// A figure. `series`: `{ name, tone, value(point) }`, drawn from the first at the bottom; `kind` is `bars` or `lines`;
// `format(value)` gives a value with its unit, and `tick(value)` one on the axis; `isTime` values are in ms.
export function chart({ id, title, unit, kind, series, points, from, to, format, tick = format, isTime }) {
  const width = widths.get(id) ?? 480;
  const inner = { width: Math.max(40, width - MARGIN.left - MARGIN.right), height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const ticks = (isTime ? durationTicks : valueTicks)(highest(kind, series, points));
  const scale = {
    x: (time) => MARGIN.left + ((time - from) / Math.max(1, to - from)) * inner.width,
    y: (value) => MARGIN.top + inner.height * (1 - value / ticks.at(-1)),
    step: (store.stepMs ?? 10_000),
  };
  const cursor = indexAt(points, store.ui.cursor);
  const marks = kind === "bars" ? bars(id, series, points, scale, from, to) : lines(series, points, scale);
  return h("figure", { class: "chart", key: id },
    h("figcaption", { class: "chart-head" },
      h("h2", { class: "chart-title", id: `${id}-title` }, title, " ", h("span", { class: "unit" }, unit))),
    legend(id, series),
    h("div", plotAttributes(id, title, unit, series, points, cursor, format, scale, from, to, inner),
      h("svg", { class: "plot-svg", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
        h("defs", { key: "defs" }, series.map((one, index) => hatch(id, one, index))),
        axes(ticks, tick, timeTicks(from, to, inner.width), scale, inner),
        marks,
        cursor >= 0 && crosshair(kind, series, points[cursor], scale, inner)),
      cursor >= 0 && store.ui.cursorChart === id && tooltip(id, series, points[cursor], format, scale.x(points[cursor].unix_ms + scale.step / 2), width)));
}

function highest(kind, series, points) {
  let most = 0;
  for (const point of points) {
    let sum = 0;
    for (const one of series) {
      const value = valueOf(one, point) ?? 0;
      sum = kind === "bars" ? sum + value : Math.max(sum, value);
    }
    most = Math.max(most, sum);
  }
  return most;
}

function valueOf(one, point) {
  const value = one.value(point);
  return typeof value === "number" && Number.isFinite(value) ? Math.max(0, value) : null;
}

function axes(valueMarks, tick, timeMarks, scale, inner) {
  const bottom = MARGIN.top + inner.height;
  const right = MARGIN.left + inner.width;
  return h("g", { class: "axes", key: "axes" },
    valueMarks.map((value) => h("g", { key: `v${value}` },
      h("line", { x1: MARGIN.left, x2: right, y1: scale.y(value), y2: scale.y(value), class: value === 0 ? "base" : "grid" }),
      h("text", { x: MARGIN.left - 6, y: scale.y(value) + 4, "text-anchor": "end" }, tick(value)))),
    timeMarks.map((time) => h("g", { key: `t${time}` },
      h("line", { x1: scale.x(time), x2: scale.x(time), y1: bottom, y2: bottom + 4, class: "base" }),
      h("text", { x: Math.min(scale.x(time), right - 12), y: bottom + 16, "text-anchor": "middle" }, minuteOfDay(time)))));
}

// One path for each series, so that an hour of points stays a handful of elements.
function bars(id, series, points, scale, from, to) {
  const paths = series.map(() => "");
  for (const point of points) {
    if (point.unix_ms + scale.step <= from || point.unix_ms > to) continue;
    let sum = 0;
    const left = Math.max(MARGIN.left, scale.x(point.unix_ms) + 0.5);
    const right = Math.max(left + 0.5, scale.x(point.unix_ms + scale.step) - 0.5);
    series.forEach((one, index) => {
      const value = valueOf(one, point) ?? 0;
      if (value === 0) return;
      const [low, high] = [scale.y(sum), scale.y(sum + value)];
      paths[index] += `M${f(left)} ${f(low)}V${f(high)}H${f(right)}V${f(low)}Z`;
      sum += value;
    });
  }
  return h("g", { key: "bars" }, series.map((one, index) => h("path", { d: paths[index], class: `area series-${one.tone}`, fill: fillOf(id, one, index), key: one.name })));
}

function lines(series, points, scale) {
  return h("g", { key: "lines" }, series.map((one) => {
    let path = "";
    let isDown = false;
    let before = null;
    for (const point of points) {
      const value = valueOf(one, point);
      const isGap = value === null || (before !== null && point.unix_ms - before > scale.step * 1.5);
      if (isGap) isDown = false;
      before = point.unix_ms;
      if (value === null) continue;
      const place = `${f(scale.x(point.unix_ms + scale.step / 2))} ${f(scale.y(value))}`;
      // A point of zero length gets a round cap, so that one value alone is seen.
      path += isDown ? `L${place}` : `M${place}L${place}`;
      isDown = true;
    }
    return h("path", { d: path, class: `line series-${one.tone}`, key: one.name });
  }));
}

// Each series but the first has a hatching of its own, so that colour is not the only difference.
const HATCHES = ["", "M0 4L4 0", "M0 0L4 4", "M0 2H4", "M2 0V4"];
const fillOf = (id, one, index) => (HATCHES[index] ? `url(#${id}-hatch-${index})` : "var(--series)");

function hatch(id, one, index) {
  if (!HATCHES[index] || !one.isArea) return null;
  return h("pattern", { id: `${id}-hatch-${index}`, key: index, width: 4, height: 4, patternUnits: "userSpaceOnUse", class: `series-${one.tone}` },
    h("rect", { width: 4, height: 4, fill: "var(--series)" }), h("path", { d: HATCHES[index], class: "hatch" }));
}

const f = (value) => value.toFixed(1);

function crosshair(kind, series, point, scale, inner) {
  const x = scale.x(point.unix_ms + scale.step / 2);
  const dots = kind === "lines" && series.map((one) => {
    const value = valueOf(one, point);
    return value !== null && h("circle", { cx: x, cy: scale.y(value), r: 3.5, class: `dot series-${one.tone}`, key: one.name });
  });
  return h("g", { class: "cursor", key: "cursor" },
    h("line", { x1: x, x2: x, y1: MARGIN.top, y2: MARGIN.top + inner.height }), dots);
}

const swatchOf = (id, one, index) => h("svg", { class: "swatch", viewBox: "0 0 18 10", "aria-hidden": "true" }, swatch(id, one, index));

const legend = (id, series) => h("div", { class: "legend" }, series.map((one, index) => h("span", { class: "legend-item", key: one.name },
  swatchOf(id, one, index), h("bdi", null, one.name))));

// The values at the cursor of the chart in use, on the side of it that has more room. The other charts show the time only.
// Screen readers get the values from the slider.
function tooltip(id, series, point, format, x, width) {
  const side = x > width / 2 ? { right: `${Math.round(width - x + 8)}px` } : { left: `${Math.round(x + 8)}px` };
  return h("div", { class: "tooltip", style: side, key: "tooltip", "aria-hidden": "true" },
    h("div", { class: "tooltip-time num" }, timeOfDay(point.unix_ms)),
    series.map((one, index) => h("div", { class: "tooltip-row", key: one.name }, swatchOf(id, one, index), h("bdi", null, one.name),
      h("span", { class: "num strong" }, format(valueOf(one, point))))).reverse());
}

const swatch = (id, one, index) => one.isArea
  ? h("rect", { x: 3, y: 0, width: 12, height: 10, rx: 2, class: `area series-${one.tone}`, fill: fillOf(id, one, index) })
  : h("path", { d: "M1 5H17", class: `line series-${one.tone}` });

// The index of the point at a time, or -1.
function indexAt(points, time) {
  if (time === undefined || time === null) return -1;
  return points.findIndex((point) => point.unix_ms === time);
}

// A plot is a slider over its points: arrow keys move along them, and screen readers read the values.
function plotAttributes(id, title, unit, series, points, cursor, format, scale, from, to, inner) {
  const last = Math.max(0, points.length - 1);
  const show = (index) => { Object.assign(store.ui, { cursor: points[Math.min(last, Math.max(0, index))]?.unix_ms, cursorChart: id }); changed(); };
  const clear = () => { store.ui.cursor = undefined; changed(); };
  return {
    class: "plot", "data-chart": id, role: "slider", tabindex: 0, "aria-label": `${title}, ${unit}`,
    "aria-orientation": "horizontal", "aria-valuemin": 0, "aria-valuemax": last, "aria-valuenow": cursor < 0 ? last : cursor,
    "aria-valuetext": valueText(series, points[cursor < 0 ? last : cursor], format),
    mounted: (element) => observer.observe(element),
    onpointermove: (event) => {
      const x = event.clientX - event.currentTarget.getBoundingClientRect().left;
      const time = from + ((x - MARGIN.left) / inner.width) * (to - from);
      show(nearest(points, time - scale.step / 2));
    },
    onpointerleave: clear,
    onblur: clear,
    onfocus: () => { if (store.ui.cursor === undefined && document.activeElement?.matches(":focus-visible")) show(last); },
    onkeydown: (event) => {
      const from = cursor < 0 ? last : cursor;
      const steps = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1, PageUp: from - 6,
        PageDown: from + 6, Home: 0, End: last };
      if (event.key === "Escape") clear();
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(steps[event.key]);
    },
  };
}

function nearest(points, time) {
  let best = -1;
  let distance = Infinity;
  points.forEach((point, index) => {
    const away = Math.abs(point.unix_ms - time);
    if (away < distance) [best, distance] = [index, away];
  });
  return best;
}

function valueText(series, point, format) {
  if (!point) return "no data";
  const values = series.map((one) => {
    const text = format(valueOf(one, point));
    return `${one.name} ${text === NONE ? "no value" : text}`;
  });
  return `${timeOfDay(point.unix_ms)}: ${values.join(", ")}`;
}

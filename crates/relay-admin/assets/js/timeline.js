// The attempts of a request as bars over time, with the marks of its head, its first content and its end.

import { h } from "./dom.js";
import { axisTime, duration } from "./format.js";
import { attemptStatus } from "./health.js";
import { icon } from "./icons.js";
import { name } from "./parts.js";
import { durationTicks } from "./scale.js";

export function timeline(request, total) {
  const attempts = request.attempts ?? [];
  const ends = attempts.map((attempt) => (attempt.started_ms ?? 0) + (attempt.latency_ms ?? 0));
  const ticks = durationTicks(Math.max(1, total || 0, ...ends), 5);
  const span = ticks.at(-1);
  const place = (ms) => `${Math.min(100, Math.max(0, ((ms ?? 0) / span) * 100)).toFixed(2)}%`;
  const served = request.provider ? attempts.findLastIndex((attempt) => attempt.result === "success") : -1;
  return h("div", { class: "timeline", role: "group", "aria-label": "Timeline of the attempts", key: "timeline" },
    attempts.map((attempt, index) => row(attempt, index, ends[index], index === served ? total : null, place)),
    marks(request, place),
    h("div", { class: "timeline-row timeline-axis", "aria-hidden": "true" }, h("span", null),
      h("div", { class: "timeline-track" }, ticks.map((tick) => h("span", { class: "timeline-tick num", key: tick, style: { left: place(tick) } }, axisTime(tick))))));
}

function row(attempt, index, end, bodyEnd, place) {
  const status = attemptStatus(attempt);
  const start = attempt.started_ms ?? 0;
  const text = `Attempt ${index + 1}, ${attempt.provider}: ${status.text}, from ${duration(start)} for ${duration(attempt.latency_ms)}`;
  const width = (from, to) => `max(3px, calc(${place(to)} - ${place(from)}))`;
  return h("div", { class: "timeline-row", key: index },
    h("div", { class: "timeline-label" }, h("span", { class: "quiet num" }, `${index + 1}. `), name(attempt.provider), h("span", { class: "quiet" }, " ", name(attempt.credential, "mono"))),
    h("div", { class: "timeline-track", role: "img", "aria-label": text, title: text },
      h("span", { class: `timeline-bar tone-${status.tone}`, style: { left: place(start), width: width(start, end) } }),
      bodyEnd !== null && bodyEnd > end && h("span", { class: "timeline-body", style: { left: place(end), width: width(end, bodyEnd) } }),
      h("span", { class: `timeline-result tone-${status.tone}`, style: resultPlace(start, Math.max(end, bodyEnd ?? 0), place) }, icon(status.icon), status.text)));
}

// The result stands where there is room: after the bar, or before its start.
function resultPlace(start, end, place) {
  return parseFloat(place(end)) < 62 ? { left: `calc(${place(end)} + 6px)` } : { right: `calc(100% - ${place(start)} + 6px)` };
}

function marks(request, place) {
  const list = [["first content", request.first_content_ms], ["end", request.end ? request.total_ms : null]].filter(([, ms]) => typeof ms === "number");
  if (list.length === 0) return null;
  return h("div", { class: "timeline-row timeline-marks" },
    h("div", { class: "timeline-label quiet" }, "Answer"),
    h("div", { class: "timeline-track" }, list.map(([text, ms], index) => h("span", { class: `timeline-mark ${parseFloat(place(ms)) > 60 ? "timeline-mark-left" : ""}`, key: text, style: { left: place(ms) } },
      h("span", { class: `timeline-mark-text num ${index === 1 ? "second" : ""}` }, `${text} ${duration(ms)}`)))));
}

// Small parts that several views share.

import { h } from "./dom.js";
import { NONE, number, plural, short } from "./format.js";
import { icon } from "./icons.js";

// A state as an icon and a word. `tone` is `ok`, `warn`, `bad`, `info` or `quiet`: never the only difference.
export function badge(tone, iconName, text, title) {
  return h("span", { class: `badge tone-${tone}`, title }, icon(iconName), h("span", null, text));
}

// A name from outside: isolated, so that its direction does not change the line, and with the whole text as its title.
export function name(text, className = "") {
  if (text === null || text === undefined || text === "") return h("span", { class: "none" }, NONE);
  return h("bdi", { class: `name ${className}`, title: text }, text);
}

export function button(text, onclick, more = {}) {
  const { icon: iconName, class: className = "", ...attributes } = more;
  const face = [iconName && icon(iconName), h("span", { class: "label" }, text)];
  return h("button", { type: "button", class: `button ${className}`, onclick, ...attributes }, face);
}

// A bar for a part of a whole, with its text beside it.
export function meter(label, value, max, text, tone = "ok") {
  const share = max > 0 ? Math.min(1, Math.max(0, value / max)) : 0;
  const attributes = {
    class: `meter tone-${tone}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": max || 1,
    "aria-valuenow": Math.min(max || 1, Math.max(0, value)), "aria-valuetext": text,
  };
  return h("span", attributes, h("span", { class: "meter-fill", style: { width: `${(share * 100).toFixed(1)}%` } }));
}

const LIMIT_NAMES = { requests: "requests", tokens: "tokens", input_tokens: "input tokens", output_tokens: "output tokens" };

// The headroom of one limit of a key.
export function headroom(limit) {
  const share = limit.per_minute > 0 ? limit.remaining / limit.per_minute : 0;
  const tone = share < 0.1 ? "bad" : share < 0.3 ? "warn" : "ok";
  const unit = LIMIT_NAMES[limit.name] ?? limit.name;
  const text = `${short(limit.remaining)} of ${short(limit.per_minute)} ${unit} per minute left`;
  const source = limit.is_configured ? "The limit is configured." : "The limit was learned from responses.";
  return h("div", { class: "headroom", key: limit.name, title: `${text}. ${source}` },
    h("span", { class: "headroom-name" }, unit),
    meter(`Headroom of ${unit}`, limit.remaining, limit.per_minute, text, tone),
    h("span", { class: "headroom-value num" }, `${short(limit.remaining)} / ${short(limit.per_minute)} per min`));
}

// A panel with a heading.
export function panel(title, { actions, className = "", level = "h2", id } = {}, ...children) {
  return h("section", { class: `panel ${className}`, "aria-labelledby": id, key: id },
    h("div", { class: "panel-head" }, h(level, { id }, title), actions && h("div", { class: "panel-actions" }, actions)),
    children);
}

// A region for something that is not there, with what to do next.
export function empty(title, ...text) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text.map((line) =>
    typeof line === "string" ? h("p", null, line) : line));
}

export const loading = (what) => h("div", { class: "empty", "aria-busy": "true" },
  h("span", { class: "spinner", "aria-hidden": "true" }), h("p", { class: "empty-title" }, `Loading ${what} …`));

export function notice(tone, iconName, ...children) {
  return h("div", { class: `notice tone-${tone}` }, icon(iconName), h("div", { class: "notice-text" }, children));
}

// A field of a form with its label.
export function field(label, control) {
  return h("label", { class: "field" }, h("span", { class: "field-label" }, label), control);
}

export function select(value, options, onchange, more = {}) {
  return h("select", { value, onchange: (event) => onchange(event.target.value), ...more },
    options.map(([key, text]) => h("option", { value: key, key }, text)));
}

// The controls for pages of a list, if it has more than one.
export function pager(label, page, pages, count, onPage) {
  if (pages <= 1) return null;
  return h("nav", { class: "pager", "aria-label": `Pages of ${label}` },
    button("Previous", () => onPage(page - 1), { icon: "left", disabled: page <= 0 }),
    h("span", { class: "num" }, `Page ${number(page + 1)} of ${number(pages)}`, h("span", { class: "quiet" }, ` (${plural(count, "entry", "entries")})`)),
    button("Next", () => onPage(page + 1), { icon: "right", disabled: page >= pages - 1 }));
}

// The part of a list on a page. A page that is gone by now is the last one.
export function pageOf(list, page, size) {
  const pages = Math.max(1, Math.ceil(list.length / size));
  const present = Math.min(Math.max(0, page), pages - 1);
  return { rows: list.slice(present * size, (present + 1) * size), page: present, pages };
}

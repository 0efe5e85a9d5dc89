// Tables with a caption. `columns`: `{ key, title, cell(row), class, isHead, priority }`; a column with a higher priority
// number disappears earlier on narrow screens.

import { h } from "./dom.js";

export function table(caption, columns, rows, { keyOf, rowClass, foot, className = "" } = {}) {
  const classOf = (column) => [column.class, column.priority && `p${column.priority}`].filter(Boolean).join(" ") || null;
  const cells = (row) => columns.map((column) => {
    const attributes = { key: column.key, class: classOf(column) };
    if (column.isHead) return h("th", { ...attributes, scope: "row" }, column.cell(row));
    return h("td", attributes, column.cell(row));
  });
  const heads = columns.map((column) => h("th", { key: column.key, scope: "col", class: classOf(column) }, column.title));
  return h("div", { class: "table-wrap", role: "region", "aria-label": caption, tabindex: 0 },
    h("table", { class: className },
      h("caption", { class: "hidden-text" }, caption),
      h("thead", null, h("tr", null, heads)),
      h("tbody", null, rows.map((row) => h("tr", { key: keyOf(row), class: rowClass?.(row) }, cells(row)))),
      foot && h("tfoot", null, h("tr", null, cells(foot)))));
}

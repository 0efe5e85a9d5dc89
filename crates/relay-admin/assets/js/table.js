// Tables with a caption. `columns`: `{ key, title, cell(row), class, isHead, priority }`; a column with a higher priority
// number disappears earlier on narrow screens. The roles are explicit, since a table that CSS lays out as blocks loses them.

import { h } from "./dom.js";

export function table(caption, columns, rows, { keyOf, rowClass, foot, className = "" } = {}) {
  const classOf = (column) => [column.class, column.priority && `p${column.priority}`].filter(Boolean).join(" ") || null;
  const cells = (row) => columns.map((column) => {
    const attributes = { key: column.key, class: classOf(column) };
    if (column.isHead) return h("th", { ...attributes, scope: "row", role: "rowheader" }, column.cell(row));
    return h("td", { ...attributes, role: "cell" }, column.cell(row));
  });
  const heads = columns.map((column) => h("th", { key: column.key, scope: "col", role: "columnheader", class: classOf(column) }, column.title));
  return h("div", { class: "table-wrap", role: "group", "aria-label": caption, tabindex: 0 },
    h("table", { class: className, role: "table" },
      h("caption", { class: "hidden-text" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
      h("tbody", { role: "rowgroup" }, rows.map((row) => h("tr", { role: "row", key: keyOf(row), class: rowClass?.(row) }, cells(row)))),
      foot && h("tfoot", { role: "rowgroup" }, h("tr", { role: "row" }, cells(foot)))));
}

// A small virtual DOM. Views return descriptions of elements, and `patch` changes the page to match them. All text goes
// through text nodes and attributes: nothing is ever parsed as HTML. Elements are kept between renders, so that focus,
// selection and scroll positions survive.

const SVG = "http://www.w3.org/2000/svg";
const CHILDREN = Symbol("children");
const NODE = Symbol("node");
const HANDLERS = Symbol("handlers");

// Describes an element. Attributes: `key` identifies it among its siblings, `onclick` and the like are listeners, `style`
// is an object of properties, `mounted` is called once with the new element. `null`, `undefined` and `false` are absent.
export function h(tag, attributes, ...children) {
  return { tag, attributes: attributes ?? {}, children: flatten(children, []), key: attributes?.key };
}

function flatten(list, into) {
  for (const item of list) {
    if (Array.isArray(item)) flatten(item, into);
    else if (item !== null && item !== undefined && item !== false) into.push(item);
  }
  return into;
}

// Changes the children of `parent` to those described.
export function patch(parent, ...children) {
  patchChildren(parent, flatten(children, []), parent.namespaceURI === SVG);
}

function patchChildren(parent, described, isSvg) {
  const old = parent[CHILDREN] ?? [];
  const keyed = new Map();
  const unkeyed = [];
  for (const element of old) {
    const key = element[NODE]?.key;
    if (key === undefined) unkeyed.push(element);
    else keyed.set(key, element);
  }
  let position = 0;
  const next = described.map((node) => {
    const found = node.key === undefined ? unkeyed[position++] : keyed.get(node.key);
    if (node.key !== undefined) keyed.delete(node.key);
    if (found && isSame(found, node)) return update(found, node, isSvg);
    if (found) found.remove();
    return create(node, isSvg);
  });
  for (const element of unkeyed.slice(position)) element.remove();
  for (const element of keyed.values()) element.remove();
  // Backwards, so that elements that stay in order are not moved: moving an element loses its focus.
  let after = null;
  for (let index = next.length - 1; index >= 0; index--) {
    const element = next[index];
    if (element.parentNode !== parent || element.nextSibling !== after) parent.insertBefore(element, after);
    after = element;
  }
  parent[CHILDREN] = next;
}

// Control characters and those that change the direction of text, which would let a name pass for another one.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const visible = (value) => String(value).replace(INVISIBLE, "\ufffd");

function isSame(element, node) {
  if (typeof node !== "object") return element.nodeType === Node.TEXT_NODE;
  return element[NODE]?.tag === node.tag && element[NODE].key === node.key;
}

function create(node, isSvg) {
  if (typeof node !== "object") return document.createTextNode(visible(node));
  const svg = isSvg || node.tag === "svg";
  const element = svg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  element[NODE] = { tag: node.tag, key: node.key, attributes: {} };
  update(element, node, svg);
  if (node.attributes.mounted) queueMicrotask(() => node.attributes.mounted(element));
  return element;
}

function update(element, node, isSvg) {
  if (typeof node !== "object") {
    const text = visible(node);
    if (element.data !== text) element.data = text;
    return element;
  }
  // A node that was described once, and is used again, has not changed.
  if (element[NODE].described === node) return element;
  const before = element[NODE].attributes;
  const attributes = node.attributes;
  for (const name in before) if (!(name in attributes)) setAttribute(element, name, before[name], null);
  for (const name in attributes) {
    if (before[name] !== attributes[name]) setAttribute(element, name, before[name], attributes[name]);
  }
  patchChildren(element, node.children, isSvg || node.tag === "svg");
  // Last, since a `select` has its options only now.
  if ("value" in attributes && element.value !== attributes.value) element.value = attributes.value;
  element[NODE].attributes = attributes;
  element[NODE].described = node;
  return element;
}

const SHOWN = new Set(["title", "aria-label", "aria-valuetext"]);

function setAttribute(element, name, before, value) {
  if (name === "key" || name === "mounted" || name === "value") return;
  if (name.startsWith("on")) return setHandler(element, name.slice(2), value);
  if (name === "style") return setStyle(element, before, value);
  if (name === "checked" || name === "disabled" || name === "selected") element[name] = Boolean(value);
  else if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : SHOWN.has(name) ? visible(value) : String(value));
}

function setHandler(element, type, handler) {
  const handlers = (element[HANDLERS] ??= {});
  if (!(type in handlers)) element.addEventListener(type, (event) => handlers[type]?.(event));
  handlers[type] = handler;
}

// Sets properties one by one: the content security policy forbids `style` attributes.
function setStyle(element, before, value) {
  for (const name in before ?? {}) if (!value || !(name in value)) element.style.removeProperty(name);
  for (const name in value ?? {}) if (before?.[name] !== value[name]) element.style.setProperty(name, value[name]);
}

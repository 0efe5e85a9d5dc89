// Addresses of views in the fragment: `#/requests/ID`, `#/requests?q=TEXT`. They can be shared.

export function parse(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter(Boolean).map(decode);
  return { view: parts[0] ?? "overview", id: parts[1], parameters: new URLSearchParams(query ?? "") };
}

function decode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

export function href(view, id, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
  const text = query.toString();
  return `#/${view}${id === undefined ? "" : `/${encodeURIComponent(id)}`}${text ? `?${text}` : ""}`;
}

// Changes parameters of the present address, without a new entry in the history.
export function setParameters(changes) {
  const route = parse(location.hash);
  for (const [name, value] of Object.entries(changes)) {
    if (value) route.parameters.set(name, value);
    else route.parameters.delete(name);
  }
  history.replaceState(null, "", href(route.view, route.id, Object.fromEntries(route.parameters)));
  dispatchEvent(new Event("parameters"));
}

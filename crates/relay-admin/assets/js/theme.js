// The colours: those of the system, or a choice that this browser remembers.

const KEY = "cc-relay.theme";
export const THEMES = [["auto", "System"], ["light", "Light"], ["dark", "Dark"]];

export function theme() {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.some(([key]) => key === value) ? value : "auto";
  } catch { return chosen; }
}
let chosen = "auto"; // for browsers that forbid storage

export function setTheme(value) {
  chosen = value;
  try { localStorage.setItem(KEY, value); } catch { /* The choice ends with the page. */ }
  applyTheme();
}

export function applyTheme() {
  const value = theme();
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}

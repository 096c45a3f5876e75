// Words for figures, and elements made of words: what a server says goes into the page as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

// --- words ---

export const number = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (n, one, many = one + "s") => `${number.format(n)} ${n === 1 ? one : many}`;
export const clock = (ms) => new Date(ms).toLocaleTimeString();
export const moment = (ms) => new Date(ms).toLocaleString();
export const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);

export function rateWord(rate) {
  if (rate == null) return "–";
  return rate > 0 && rate < 10 ? rate.toFixed(1) : number.format(rate);
}

export function span(seconds) {
  if (seconds == null) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.round(hours / 24)} days`;
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

export const spanMs = (ms) => (ms == null ? "–" : ms < 10_000 ? `${Math.round(ms / 1000)} s` : span(ms / 1000));

/** `orders (eu-west-1)` of an ARN. */
export function lastPart(arn) {
  const name = arn.split(/[/:]/).pop();
  const region = arn.split(":")[3];
  return region ? `${name} (${region})` : name;
}

// --- elements ---

export const by = (id) => document.getElementById(id);

/** An element: its attributes, then text or elements in it. */
export function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
  element.append(...inside.filter((part) => part != null));
  return element;
}

export function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text != null) element.textContent = text;
  return element;
}

/** Puts this in, unless the same stands there: what was selected or is being read out stays. */
export function put(parent, ...parts) {
  const box = make("div", {}, ...parts);
  if (box.innerHTML !== parent.innerHTML) parent.replaceChildren(...box.childNodes);
}

export function list(parent, items) {
  parent.hidden = items.length === 0;
  put(parent, ...items.map((item) => (item instanceof Node ? item : make("li", {}, item))));
}

/** A table whose parts keep their roles where a narrow screen shows them as lines. */
export function table(parent, caption, headings, rows) {
  const columns = headings.map(([text, kind]) =>
    make("th", { scope: "col", role: "columnheader", class: kind }, text),
  );
  put(
    parent,
    make(
      "table",
      { role: "table" },
      make("caption", {}, caption),
      make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...columns)),
      make("tbody", { role: "rowgroup" }, ...rows),
    ),
  );
}

export const row = (attributes, ...cells) => make("tr", { role: "row", ...attributes }, ...cells);
export const head = (...inside) => make("th", { scope: "row", role: "rowheader" }, ...inside);
export const cell = (label, text, kind = null, title = null) =>
  make("td", { role: "cell", class: kind, "data-label": label, title }, text);

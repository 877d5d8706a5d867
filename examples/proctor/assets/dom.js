// Elements made of text, never of HTML: what others call themselves cannot become a part of the page.

/** A log keeps this many lines. */
const LINES_MAX = 200;

export const byId = (id) => document.getElementById(id);

/** An element with properties and children, which are elements or text. */
export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** What others sent, as a text of a bearable length. */
export const textOf = (value, most = 500) => String(value ?? "").slice(0, most);

export const timeOf = (ms) => new Date(ms).toLocaleTimeString();

/** Adds a line to a log, the newest first. */
export function addLine(log, ...children) {
  log.querySelector(".empty")?.remove();
  const time = make("time", { textContent: timeOf(Date.now()) });
  const line = make("li", {}, time, " ", ...children);
  log.prepend(line);
  while (log.children.length > LINES_MAX) log.lastElementChild.remove();
  return line;
}

/**
 * The rows of a list, one for each key. A row stays the same element as long as its key is there, so
 * that a change of another one takes nobody's focus.
 */
export class Rows {
  #list;
  #make;
  #rows = new Map();

  /** @param make gives a row for an item: `{ element, update(item), remove() }` */
  constructor(list, make) {
    this.#list = list;
    this.#make = make;
  }

  /** Shows these, as pairs of key and item, in this order. */
  show(items) {
    const keys = new Set(items.map(([key]) => key));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      row.remove();
      this.#rows.delete(key);
    }
    items.forEach(([key, item], index) => {
      if (!this.#rows.has(key)) this.#rows.set(key, this.#make(item));
      const { element, update } = this.#rows.get(key);
      update(item);
      const there = this.#list.children[index];
      if (there !== element) this.#list.insertBefore(element, there ?? null);
    });
  }
}

// Handlers by name.

/** Handlers by name. What a name may be is up to whoever sends it: none is special here. */
export class Listeners {
  #table = new Map();

  /** @returns {() => void} takes exactly this one off again */
  add(event, fn, once = false) {
    if (typeof event !== "string") throw new TypeError("an event's name is a string");
    if (typeof fn !== "function") throw new TypeError("a handler is a function");
    const entry = { fn, once };
    const list = this.#table.get(event);
    if (list) list.push(entry);
    else this.#table.set(event, [entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }

  remove(event, fn) {
    this.#keep(event, (entry) => fn !== undefined && entry.fn !== fn);
  }

  /**
   * The functions to call now, in the order in which they were added; those of `once` are gone
   * after.
   */
  take(event) {
    const list = this.#table.get(event);
    if (list === undefined) return [];
    if (list.some((entry) => entry.once)) this.#keep(event, (entry) => !entry.once);
    return list.map((entry) => entry.fn);
  }

  #keep(event, wanted) {
    const left = (this.#table.get(event) ?? []).filter(wanted);
    if (left.length === 0) this.#table.delete(event);
    else this.#table.set(event, left);
  }
}

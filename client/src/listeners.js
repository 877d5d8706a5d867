// Handlers by name.

/** Handlers by event name. */
export class Listeners {
  #table = new Map();

  add(event, fn, once) {
    if (typeof event !== "string") throw new TypeError("an event's name is a string");
    if (typeof fn !== "function") throw new TypeError("a handler is a function");
    const list = this.#table.get(event);
    if (list) list.push({ fn, once });
    else this.#table.set(event, [{ fn, once }]);
  }

  remove(event, fn) {
    const left =
      fn === undefined ? [] : (this.#table.get(event) ?? []).filter((entry) => entry.fn !== fn);
    if (left.length === 0) this.#table.delete(event);
    else this.#table.set(event, left);
  }

  /**
   * The functions to call now, in the order in which they were added; those of `once` are gone
   * after.
   */
  take(event) {
    const list = this.#table.get(event);
    if (list === undefined) return [];
    if (list.some((entry) => entry.once)) {
      const left = list.filter((entry) => !entry.once);
      if (left.length === 0) this.#table.delete(event);
      else this.#table.set(event, left);
    }
    return list.map((entry) => entry.fn);
  }
}

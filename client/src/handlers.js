// Who hears of what: the client's own events, the server's events, and the handler groups.

import { badOption, WhiskError } from "./errors.js";
import { Listeners } from "./listeners.js";
import { report } from "./platform.js";
import { isObject } from "./values.js";

/** Events of the client itself. No event of a server's application reaches their handlers. */
const LIFECYCLE = new Set([
  "connect",
  "disconnect",
  "reconnecting",
  "reconnect",
  "session",
  "error",
  "close",
]);

/** The handler groups as one table per group: name → `{ handler, callback }`. */
export function readGroups(groups) {
  const tables = { base: new Map(), whisk: new Map(), app: new Map() };
  const fits = {
    base: (name) => LIFECYCLE.has(name),
    whisk: (name) => name.startsWith("whisk."),
    app: (name) => !LIFECYCLE.has(name) && !name.startsWith("whisk."),
  };
  if (!isObject(groups)) throw badOption("groups must be an object");
  for (const [group, entries] of Object.entries(groups)) {
    if (!Object.hasOwn(tables, group)) throw badOption(`unknown group "${group}"`);
    for (const [name, entry] of Object.entries(entries)) {
      const { handler, callback } =
        typeof entry === "function" ? { handler: entry } : (entry ?? {});
      if (!fits[group](name))
        throw badOption(`the event "${name}" does not belong to the group "${group}"`);
      for (const fn of [handler, callback]) {
        if (fn !== undefined && typeof fn !== "function")
          throw badOption(`groups.${group}["${name}"] takes functions`);
      }
      tables[group].set(name, { handler, callback });
    }
  }
  return tables;
}

/** All handlers of one client. What they throw never leaves this class. */
export class Handlers {
  #groups;
  #lifecycle = new Listeners();
  #events = new Listeners();

  constructor(groups) {
    this.#groups = groups;
  }

  add(event, fn, once) {
    this.#table(event).add(event, fn, once);
  }

  remove(event, fn) {
    this.#table(event).remove(event, fn);
  }

  /** The handler that a group has for an event of the session's handshake. */
  ofHandshake(event) {
    return this.#groups.whisk.get(event)?.handler;
  }

  /** Tells one of the client's own events. */
  fire(event, detail) {
    const { handler, callback } = this.#groups.base.get(event) ?? {};
    const fns = [handler, callback, ...this.#lifecycle.take(event)].filter(Boolean);
    for (const fn of fns) this.call(event, fn, [detail]);
    if (event === "error" && fns.length === 0 && detail.code === "handler_failed")
      report(detail.cause);
  }

  /**
   * Calls the handlers of a server's event: the group's handler, its callback, then those of `on`.
   * @returns what the first of handler and `on` gave, as `{ value }`, or null if there was none
   */
  tell(event, args, { handled = false, answers = false } = {}) {
    const group = event.startsWith("whisk.") ? "whisk" : "app";
    const { handler, callback } = this.#groups[group].get(event) ?? {};
    let answer = null;
    if (handler && !handled) answer = { value: this.call(event, handler, args, answers) };
    if (callback) this.call(event, callback, args);
    for (const fn of this.#events.take(event)) {
      const value = this.call(event, fn, args, answers && answer === null);
      answer ??= { value };
    }
    return answer;
  }

  /**
   * User code never breaks the client: what it throws becomes the event `error`. Only a
   * `WhiskError` of one that answers the server is meant for the server instead.
   */
  call(event, fn, args, answers = false) {
    let value;
    try {
      value = fn(...args);
    } catch (cause) {
      value = Promise.reject(cause);
    }
    if (typeof value?.then === "function") {
      value.then(undefined, (cause) => {
        if (!answers || !(cause instanceof WhiskError)) this.failed(event, cause);
      });
    }
    return value;
  }

  failed(event, cause) {
    if (event === "error") report(cause);
    else
      this.fire(
        "error",
        new WhiskError("handler_failed", `a handler of "${event}" failed`, { event }, { cause }),
      );
  }

  #table(event) {
    return LIFECYCLE.has(event) ? this.#lifecycle : this.#events;
  }
}

// Presence of a channel, as one handle shows it.

import { WhiskError } from "./errors.js";
import { readCounts } from "./events.js";
import { isObject, jsonOf } from "./values.js";

const EVENTS = new Set([
  "client.connected",
  "client.disconnected",
  "client.reconnected",
  "client.removed",
  "client.updated",
  "seen",
]);

/** A live roster, and the own entry in it. */
export class Presence {
  #reader;
  #audience;
  #ask;
  #cached = { revision: -1, members: [], users: [] };

  /** @internal */
  constructor(reader, audience, ask) {
    this.#reader = reader;
    this.#audience = audience;
    this.#ask = ask;
  }

  /** The own public id on this channel; `null` where it keeps no roster. */
  get client() {
    return this.#reader.client;
  }

  /** Whether the roster is whole and up to date. What it shows else is the last that was. */
  get complete() {
    return this.#roster.complete;
  }

  /** Whether it is too large to be kept as a whole. `count` counts all. */
  get truncated() {
    return this.#roster.truncated;
  }

  /** How many are on the roster. */
  get size() {
    return this.#roster.size;
  }

  /** Promises this, once the roster is whole. */
  get ready() {
    return this.#reader.whole().then(() => this);
  }

  /** Everybody, in the order in which they came. */
  get members() {
    return this.#views.members;
  }

  /** One entry per user with its clients beneath; a client without a user stands alone. */
  get users() {
    return this.#views.users;
  }

  /** One member. */
  get(client) {
    return this.#roster.member(client);
  }

  on(event, handler) {
    return this.#add(event, handler, false);
  }

  once(event, handler) {
    return this.#add(event, handler, true);
  }

  off(event, handler) {
    this.#audience.presence.remove(event, handler);
    return this;
  }

  /** Asks how many there are, without who they are. */
  async count(options) {
    const counts = readCounts(await this.#ask("whisk.count", {}, options));
    if (counts === null) throw new WhiskError("protocol", "a malformed answer to whisk.count");
    return counts;
  }

  /** Changes the own entry. What is left out stays. */
  async update(changes, options) {
    if (!isObject(changes)) throw new TypeError("update takes { label, meta }");
    const { label, meta } = changes;
    if (label !== undefined && label !== null && typeof label !== "string")
      throw new TypeError("a label is a text");
    const given = {};
    if (label !== undefined) given.label = label;
    if (meta !== undefined) given.meta = meta;
    const before = this.#reader.terms;
    this.#reader.terms = { ...before, ...given };
    try {
      await this.#ask("whisk.update", given, options);
    } catch (error) {
      // Where nobody knows what became of it, the next subscription says it again.
      if (error.code !== "connection_dropped") this.#reader.terms = before;
      throw error;
    }
  }

  /** Has the nodes ask everybody now; who answers is told as `seen`. */
  async knock(options) {
    await this.#ask("whisk.knock", {}, options);
  }

  get #roster() {
    return this.#reader.roster;
  }

  /** Lists are made when they are asked for, and again only after a change. */
  get #views() {
    const { revision } = this.#reader;
    if (this.#cached.revision !== revision) {
      const members = this.#roster.members().sort(byArrival);
      this.#cached = { revision, members: Object.freeze(members), users: byUser(members) };
    }
    return this.#cached;
  }

  #add(event, handler, once) {
    if (!EVENTS.has(event)) throw new TypeError(`presence has no event "${event}"`);
    this.#audience.presence.add(event, handler, once);
    return this;
  }
}

const byArrival = (one, other) =>
  one.first_seen - other.first_seen || (one.client < other.client ? -1 : 1);

function byUser(members) {
  const users = new Map();
  for (const member of members) {
    const { user } = member;
    const key = user === null ? member : jsonOf(user);
    const entry = users.get(key) ?? { user, state: "disconnected", clients: [] };
    entry.clients.push(member);
    if (member.state === "connected") entry.state = "connected";
    users.set(key, entry);
  }
  return Object.freeze([...users.values()].map((entry) => Object.freeze(entry)));
}

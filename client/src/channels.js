// All channels of one client: its subscriptions by name, its private channels, broadcasts.

import { Channel } from "./channel.js";
import { badOption, ignored, WhiskError } from "./errors.js";
import { isChannelName, readMessage } from "./events.js";
import { Audience, deliver, Feed } from "./feed.js";
import { stringify } from "./json.js";
import { SUBSCRIBE_TIMEOUT_MS, TIMER_MAX_MS } from "./limits.js";
import { Listeners } from "./listeners.js";
import { Subscription } from "./subscription.js";
import { isMillis, isObject, isText, own } from "./values.js";

const USER = "_user";
const SESSION = "_session";

/** A channel that every confirmed socket is on, which nobody can ask for by name. */
class Private {
  audience = new Audience();
  feed;

  constructor(name) {
    this.feed = new Feed(name, this.audience);
  }
}

/** Routes what the server says on channels to who listens there. */
export class Channels {
  #host;
  #subscriptions = new Map();
  #privates = new Map([USER, SESSION].map((name) => [name, new Private(name)]));
  #broadcasts = new Listeners();
  #ended = false;

  /** @param host the client's parts: `outbox`, `handlers`, `options`, `report` */
  constructor(host) {
    this.#host = host;
  }

  get user() {
    return this.#privates.get(USER).feed;
  }

  get session() {
    return this.#privates.get(SESSION).feed;
  }

  onBroadcast(topic, handler) {
    return this.#broadcasts.add(topic, handler);
  }

  async subscribe(name, options = {}) {
    const { timeoutMs, ...terms } = readTerms(name, options);
    if (this.#ended) throw new WhiskError("closed", "the client is closed");
    let subscription = this.#subscriptions.get(name);
    if (subscription === undefined) {
      const forget = () => this.#subscriptions.delete(name);
      subscription = new Subscription(name, terms, this.#host, forget);
      this.#subscriptions.set(name, subscription);
      const joined = subscription.join(timeoutMs);
      subscription.request()();
      return this.#handle(name, subscription, joined);
    }
    if (!subscription.agrees(terms)) {
      throw badOption(`"${name}" is subscribed with another query or presence already`);
    }
    return this.#handle(name, subscription, subscription.join(timeoutMs));
  }

  async #handle(name, subscription, joined) {
    return new Channel(name, subscription, await joined, this.#host);
  }

  // -- the connection's life: each brings all into a new state and gives what tells the handlers

  connected() {
    // All at once: a server's burst of joins is as large as the channels that it allows.
    return together([...this.#subscriptions.values()].map((one) => one.request()));
  }

  dropped() {
    return together([...this.#subscriptions.values()].map((one) => one.dropped()));
  }

  ended(error) {
    const status = error?.code === "booted" ? "booted" : "closed";
    this.#ended = true;
    const cause = new WhiskError(status, "the client has ended", undefined, { cause: error });
    return together([...this.#subscriptions.values()].map((one) => one.end(status, cause)));
  }

  /** Says good-bye on each channel whose roster this client is on, before the connection goes. */
  leave() {
    for (const [channel, { presence, active }] of this.#subscriptions) {
      if (active && presence.client !== null)
        this.#host.outbox
          .ask(["whisk.unsubscribe", { channel }], { whenAway: "fail" })
          .catch(() => {});
    }
  }

  // -- events of the server

  /** What is malformed is reported, and nothing else comes of it. */
  event({ event, args, size }) {
    const [head, data] = args;
    switch (event) {
      case "whisk.message":
        this.#message(head, data, size);
        break;
      case "whisk.position":
        this.#known(event, head)?.moved(head, size);
        break;
      case "whisk.unsubscribed":
        this.#known(event, head)?.removed(own(head, "error"));
        break;
      case "whisk.presence":
        this.#known(event, head)?.presence.event(head);
        break;
      case "whisk.broadcast":
        this.#broadcast(head, data);
        break;
    }
  }

  /** The subscription that an event is for: none where it came too late for it. */
  #known(event, head) {
    const name = own(head, "channel");
    if (!isText(name)) this.#host.report(ignored(event));
    return this.#subscriptions.get(name);
  }

  #message(head, data, size) {
    const name = own(head, "channel");
    const channel = this.#privates.get(name);
    if (channel === undefined) {
      this.#known("whisk.message", head)?.message(head, data, size);
      return;
    }
    const read = readMessage(head);
    if (read === null) this.#host.report(ignored("whisk.message"));
    else deliver(this.#host, null, [channel.audience], name, { head: read, data });
  }

  #broadcast(head, data) {
    const topic = own(head, "topic");
    const id = own(head, "id") ?? undefined;
    if (typeof topic !== "string" || (id !== undefined && !isText(id))) {
      this.#host.report(ignored("whisk.broadcast"));
      return;
    }
    const message = Object.freeze({ topic, id });
    for (const fn of this.#broadcasts.take(topic)) {
      this.#host.handlers.call(`broadcast: ${topic}`, fn, [data, message]);
    }
  }
}

const together = (tells) => () => {
  for (const tell of tells) tell();
};

/** Whether it may stand on a roster: a text as its label, anything else in `meta`. */
const isEntry = (value) =>
  isObject(value) &&
  Object.keys(value).every((key) => key === "label" || key === "meta") &&
  (value.label === undefined || typeof value.label === "string");

const TERMS = new Set(["query", "presence", "timeoutMs"]);

/** What `subscribe` was given, checked before anything is asked. */
function readTerms(name, options) {
  if (!isChannelName(name)) {
    throw new WhiskError(
      "bad_channel",
      "a channel's name is 1 to 255 characters of A-Z, a-z, 0-9, '-', '_', '.', ':' and '/', and " +
        "does not begin with '_'",
    );
  }
  if (!isObject(options)) throw badOption("subscribe takes one object of options");
  for (const key of Object.keys(options)) {
    if (!TERMS.has(key)) throw badOption(`unknown option "${key}"`);
  }
  const { query, presence, timeoutMs = SUBSCRIBE_TIMEOUT_MS } = options;
  if (!isMillis(timeoutMs) || timeoutMs === 0 || timeoutMs > TIMER_MAX_MS)
    throw badOption("timeoutMs must be milliseconds above 0");
  if (presence !== undefined && presence !== false && !isEntry(presence))
    throw badOption("presence is { label, meta }, or false to watch only");
  // What cannot be sent is refused now, and what is changed later is not sent later.
  const copy = (value) =>
    value === undefined ? undefined : JSON.parse(stringify(value) ?? "null");
  return { query: copy(query), presence: copy(presence), timeoutMs };
}

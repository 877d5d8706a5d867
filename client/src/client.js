// The interface of one client, in front of its connection, its outbox and its handlers.

import { Channels } from "./channels.js";
import { Connection } from "./connection.js";
import { WhiskError } from "./errors.js";
import { Handlers } from "./handlers.js";
import { readOptions } from "./options.js";
import { checkWhenAway, Outbox } from "./outbox.js";
import { stringify } from "./json.js";

/** Names that Socket.IO keeps for itself: a server drops a socket that emits one. */
const RESERVED = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** A connection to Whisk that outlives its transports. Made by `connect`. */
export class Client {
  #handlers;
  #outbox;
  #channels;
  #connection;

  /** @internal Use `connect`. */
  constructor(given) {
    const options = readOptions(given);
    this.#handlers = new Handlers(options.groups);
    const report = (error) => this.#handlers.fire("error", error);
    this.#outbox = new Outbox(options, report);
    const host = { options, handlers: this.#handlers, outbox: this.#outbox, report };
    const channels = new Channels(host);
    this.#channels = channels;
    this.#connection = new Connection(options, this.#handlers, this.#outbox, {
      event: (link, packet) => this.#event(link, packet),
      connected: () => channels.connected(),
      dropped: () => channels.dropped(),
      ended: (error) => channels.ended(error),
    });
  }

  /** `connecting`, `confirming`, `connected`, `reconnecting`, or `disconnected` (for good). */
  get state() {
    return this.#connection.state;
  }

  /** The socket's address on the bus, `ws/<nid>/<sid>`, while connected. */
  get address() {
    return this.#connection.address;
  }

  /** The session's user, as the last confirmation told. */
  get userId() {
    return this.#connection.userId;
  }

  /** The socket's id while connected. */
  get id() {
    return this.#connection.id;
  }

  /** What is said to this client's user, wherever that is connected. */
  get user() {
    return this.#channels.user;
  }

  /** What is said to this client's session, in all of its pages. */
  get session() {
    return this.#channels.session;
  }

  /**
   * Adds a handler: of the client's own events (`connect`, `disconnect`, `reconnecting`,
   * `reconnect`, `session`, `error`, `close`) or of any event from the server. The two live apart:
   * no event from the server reaches a handler of the client's own. If the server awaits an
   * acknowledgement, it gets what the first handler of the event returns, or its promise.
   */
  on(event, handler) {
    this.#handlers.add(event, handler, false);
    return this;
  }

  /** Like `on`, for one time. */
  once(event, handler) {
    this.#handlers.add(event, handler, true);
    return this;
  }

  /** Removes a handler, or all of an event; those given as `groups` stay. */
  off(event, handler) {
    this.#handlers.remove(event, handler);
    return this;
  }

  /**
   * Sends an event, at most once. While away, up to 128 wait and leave in order after confirmation.
   * @returns {boolean} whether it was sent or waits; if not, the event `error` says why
   *   (`buffer_full`, `payload_too_large`, `not_serializable`, `closed`)
   */
  emit(event, ...args) {
    checkName(event);
    if (typeof args.at(-1) === "function")
      throw new TypeError("emit takes no callback: use emitWithAck");
    return this.#send([event, ...args]);
  }

  /**
   * Sends an event and awaits its acknowledgement.
   *
   * Rejects with a `WhiskError`: the code of the server's error acknowledgement (and all of it as
   * `data`); `timeout`; `connection_dropped` (sent, and what became of it is unknown); or why it
   * was not sent (`buffer_full`, `payload_too_large`, `not_serializable`, `closed`). The time
   * counts from the call, waiting included; what was not sent by then never is.
   * @param {string} event
   * @param {unknown} [payload]
   * @param {{ timeoutMs?: number }} [options]
   * @returns {Promise<unknown>}
   */
  async emitWithAck(event, payload, { timeoutMs } = {}) {
    return this.ask(event, payload, { timeoutMs });
  }

  /**
   * Asks the server and promises its answer. The same as `emitWithAck`, with a choice for the time
   * without a connection: `whenAway: "fail"` rejects at once with `away`, `"wait"` waits.
   */
  async ask(topic, payload, { timeoutMs, whenAway } = {}) {
    checkName(topic);
    checkWhenAway(whenAway);
    const args = payload === undefined ? [topic] : [topic, payload];
    return this.#outbox.ask(args, { timeoutMs, whenAway });
  }

  /**
   * Tells the server something. With `ack: true` it promises that the server has dealt with it;
   * else it is an `emit` of one payload, and returns what that returns.
   */
  tell(topic, payload, { ack = false, timeoutMs, whenAway } = {}) {
    if (ack) return this.ask(topic, payload, { timeoutMs, whenAway });
    checkName(topic);
    checkWhenAway(whenAway);
    return this.#send(payload === undefined ? [topic] : [topic, payload], { whenAway });
  }

  /**
   * Subscribes to a channel, and again after each loss.
   * @param {string} name
   * @param {{ query?: unknown, presence?: object | false, timeoutMs?: number }} [options]
   * @returns {Promise<Channel>} once the server takes it; rejects with its refusal, or `timeout`
   */
  subscribe(name, options) {
    return this.#channels.subscribe(name, options);
  }

  /**
   * Adds a handler of what is said to everybody.
   * @returns {() => void} removes it
   */
  onBroadcast(topic, handler) {
    return this.#channels.onBroadcast(topic, handler);
  }

  /**
   * Leaves for good: the server is told, waiting emits are dropped, awaited acknowledgements
   * reject.
   */
  close() {
    this.#channels.leave();
    this.#connection.close();
  }

  #send(args, options) {
    try {
      this.#outbox.send(args, options);
      return true;
    } catch (error) {
      this.#handlers.fire("error", error);
      return false;
    }
  }

  #event(link, packet) {
    this.#channels.event(packet);
    const { event, args, id } = packet;
    const answer = this.#handlers.tell(event, args, { answers: id !== undefined });
    if (id !== undefined) this.#reply(link, id, event, answer);
  }

  async #reply(link, id, event, answer) {
    let body;
    try {
      if (answer === null) throw new WhiskError("unknown_event", "no handler for this event");
      const value = await answer.value;
      body = this.#answerBody(event, value);
      this.#outbox.checkSize(body, id);
    } catch (cause) {
      const error =
        cause instanceof WhiskError ? cause : { code: "internal", message: "the handler failed" };
      body = JSON.stringify([{ error: { code: error.code, message: error.message } }]);
    }
    if (this.#connection.holds(link)) link.send("43", id + body);
  }

  #answerBody(event, value) {
    try {
      return stringify(value === undefined ? [] : [value]);
    } catch (cause) {
      this.#handlers.failed(event, cause);
      throw cause.cause;
    }
  }
}

function checkName(event) {
  if (typeof event !== "string") throw new TypeError("an event's name is a string");
  if (RESERVED.has(event)) throw new TypeError(`the event name "${event}" is reserved`);
}

// One channel on the network, which several handles share: asked for, lost, asked for again, ended.

import { ignored, isRetryable, LOST, WhiskError } from "./errors.js";
import { readMessage, readPosition } from "./events.js";
import { Audience, deliver } from "./feed.js";
import { RosterReader } from "./reader.js";
import { Backlog, Cursor } from "./stream.js";
import { retryMs, soon } from "./timing.js";
import { isText, jsonOf, own } from "./values.js";

/**
 * A client's subscription to one channel.
 *
 * `status` goes `subscribing` → `active`; after a loss `dropped` → `subscribing` → `active`. A
 * refusal that may be mended makes it `retrying`. It ends as `refused`, `removed`, `unsubscribed`,
 * `booted` or `closed`, and then nothing changes it any more.
 */
export class Subscription {
  status = "subscribing";
  /** Why it is `retrying`, or why it ended. */
  error = null;
  cursor = new Cursor();
  presence;

  #name;
  #query;
  #host;
  #onEnd;
  #audiences = new Set();
  /** Handles that `subscribe` did not give out yet: `{ audience, resolve, reject, timer }`. */
  #waiters = new Set();
  /** Changes whenever an answer that is under way is nobody's any more. */
  #turn = 0;
  #attempt = 0;
  #retryTimer = null;
  #wasActive = false;
  #ended = false;
  /** What came before the acknowledgement, or before a new handle could be given its handlers. */
  #backlog = new Backlog();
  #holding = false;
  /** How far the channel was when the server took the subscription. */
  #reached = null;

  /**
   * @param {string} name
   * @param {{ query?: unknown, presence?: unknown }} terms what the server is asked with, each time
   * @param {object} host the client's parts: `outbox`, `handlers`, `options`, `report`
   * @param {() => void} onEnd called once
   */
  constructor(name, terms, host, onEnd) {
    this.#name = name;
    this.#query = terms.query;
    this.#host = host;
    this.#onEnd = onEnd;
    this.presence = new RosterReader(name, terms.presence, host, this, this.#audiences);
  }

  /** Whether the server takes what is sent on this channel now. */
  get active() {
    return this.status === "active";
  }

  get ended() {
    return this.#ended;
  }

  /** Whether another handle may share it. What is left out agrees with anything. */
  agrees({ query, presence }) {
    const same = (one, other) => one === undefined || jsonOf(one) === jsonOf(other);
    return same(query, this.#query) && same(presence, this.presence.terms);
  }

  /** Adds a handle; promises it once the channel is active. */
  join(timeoutMs) {
    const audience = new Audience();
    this.#audiences.add(audience);
    if (this.active) {
      this.#hold();
      return Promise.resolve(audience);
    }
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#waiters.delete(waiter);
        const text = `not subscribed within ${timeoutMs} ms`;
        reject(new WhiskError("timeout", text, undefined, { cause: this.error }));
        this.leave(audience);
      };
      const timer = this.#host.options.timers.setTimeout(late, timeoutMs);
      const waiter = { audience, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  /**
   * Takes a handle off, and with the last one the channel.
   * @returns {Promise<boolean>} whether the server confirmed it; never rejects
   */
  leave(audience) {
    if (!this.#audiences.delete(audience)) return Promise.resolve(false);
    audience.leave("unsubscribed", null);
    this.#tell([audience], "unsubscribed", null);
    if (this.#audiences.size > 0 || this.#ended) return Promise.resolve(false);
    this.end("unsubscribed", null)();
    const args = ["whisk.unsubscribe", { channel: this.#name }];
    return this.#host.outbox.ask(args, {}).then(
      () => true,
      () => false,
    );
  }

  // -- the connection's life

  /** Asks the server, for the first time or again. Returns what tells the handles so. */
  request() {
    if (this.#holding) this.#release();
    if (this.#ended) return () => {};
    this.#host.options.timers.clearTimeout(this.#retryTimer);
    const turn = ++this.#turn;
    const tell = this.#become("subscribing", this.error);
    this.presence.begin();
    const terms = { query: this.#query, presence: this.presence.terms };
    const args = ["whisk.subscribe", { channel: this.#name, ...terms }];
    const { timeoutMs } = this.#host.options;
    this.#host.outbox.request(
      args,
      { timeoutMs, whenAway: "fail" },
      (answer) => turn === this.#turn && this.#accepted(answer),
      (error) => turn === this.#turn && this.#refused(error),
    );
    return tell;
  }

  /** The connection is lost: the server has forgotten this channel. */
  dropped() {
    this.#turn += 1;
    this.#host.options.timers.clearTimeout(this.#retryTimer);
    // What came before an acknowledgement that cannot come any more was never heard.
    if (!this.#holding) this.#backlog.take();
    this.presence.dropped();
    return this.#become(this.#wasActive ? "dropped" : "subscribing", this.error);
  }

  /** The end. Returns what tells the handles so. */
  end(status, error) {
    if (this.#ended) return () => {};
    this.#ended = true;
    this.#turn += 1;
    const { timers } = this.#host.options;
    timers.clearTimeout(this.#retryTimer);
    const tell = this.#become(status, error);
    this.#onEnd();
    const gone = notSubscribed(this.#name, error);
    this.#host.outbox.drop(this, gone);
    this.presence.end(gone);
    for (const { reject, timer } of this.#waiters) {
      timers.clearTimeout(timer);
      reject(error ?? gone);
    }
    this.#waiters.clear();
    for (const audience of this.#audiences) audience.leave(status, error);
    return tell;
  }

  // -- events of the server

  /** A message: kept, delivered, or of an earlier subscription. */
  message(head, data, size) {
    const read = readMessage(head);
    if (read === null) this.#host.report(ignored("whisk.message"));
    else this.#take({ head: read, data }, size);
  }

  /** The channel moved on without a message. It waits its turn among the messages. */
  moved(value, size) {
    const position = readPosition(value);
    if (position === null) this.#host.report(ignored("whisk.position"));
    else this.#take({ position }, size);
  }

  /**
   * The server took this socket off. While asking again, that concerns an earlier time. Where it
   * could not judge in this moment, it is asked again.
   */
  removed(failure) {
    if (!this.active) return;
    const [code, message] = [own(failure, "code"), own(failure, "message")];
    const known = isText(code) ? code : "removed";
    const text = isText(message) ? message : "the server took this client off the channel";
    const error = new WhiskError(known, text, failure);
    if (isRetryable(error)) {
      this.#turn += 1;
      this.presence.dropped();
      this.#refused(error);
    } else {
      this.end("removed", error)();
    }
  }

  // -- the server's answer

  #accepted(answer) {
    const position = readPosition(answer);
    if (position === null) {
      const text = "a malformed answer to whisk.subscribe";
      this.end("refused", new WhiskError("protocol", text, answer))();
      return;
    }
    // In the same epoch, messages up to here that came early are new all the same.
    if (this.cursor.position?.epoch !== position.epoch) this.cursor.move(position);
    this.#reached = position;
    this.#attempt = 0;
    this.#wasActive = true;
    const turn = this.#turn;
    const tell = this.#become("active", null);
    this.#host.outbox.flush();
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { audience, resolve, timer } of waiters) {
      this.#host.options.timers.clearTimeout(timer);
      resolve(audience);
    }
    if (waiters.length > 0) this.#hold();
    tell();
    if (turn !== this.#turn) return;
    this.presence.accepted(answer);
    if (!this.#holding) this.#release();
  }

  #refused(error) {
    if (LOST.has(error.code)) return;
    if (!isRetryable(error)) {
      this.end("refused", error)();
      return;
    }
    const { options } = this.#host;
    this.#attempt += 1;
    this.#backlog.take();
    const delayMs = retryMs(error, this.#attempt, options);
    this.#retryTimer = options.timers.setTimeout(() => this.request()(), delayMs);
    this.#become("retrying", error)();
  }

  // -- what is heard

  /** Keeps what comes until all that now runs has run, so that a new handle misses nothing. */
  #hold() {
    if (this.#holding) return;
    this.#holding = true;
    soon(() => this.#release());
  }

  #release() {
    this.#holding = false;
    const { items, dropped } = this.#backlog.take();
    for (const [item, size] of items) {
      // A handler may have asked for another handle, which gets the rest.
      if (this.#holding) this.#backlog.push(item, size);
      else this.#apply(item);
    }
    const { position } = this.cursor;
    if (!this.#holding && position?.epoch === this.#reached.epoch) this.cursor.move(this.#reached);
    if (dropped > 0) {
      const text = `${dropped} messages came before they could be delivered`;
      const detail = { channel: this.#name, dropped };
      this.#host.report(new WhiskError("buffer_full", text, detail));
    }
  }

  #take(item, size) {
    if (this.active && !this.#holding) this.#apply(item);
    else if (this.active || this.status === "subscribing") this.#backlog.push(item, size);
  }

  #apply(item) {
    if (this.#ended) return;
    if (item.position) this.cursor.move(item.position);
    else if (this.cursor.takes(item.head))
      deliver(this.#host, this, this.#audiences, this.#name, item);
  }

  // -- status

  /** Changes the status. Returns what tells the handles, unless it has changed again by then. */
  #become(status, error) {
    const changed = status !== this.status;
    this.status = status;
    this.error = error;
    return () => {
      if (changed && this.status === status) this.#tell([...this.#audiences], status, error);
    };
  }

  #tell(audiences, status, error) {
    for (const { statuses } of audiences) {
      for (const fn of statuses.take("")) {
        this.#host.handlers.call(`status of ${this.#name}`, fn, [status, error]);
      }
    }
  }
}

/** Why nothing can be done on a channel any more. */
export const notSubscribed = (name, cause) =>
  new WhiskError("not_subscribed", `the handle of "${name}" has ended`, undefined, { cause });

// What leaves the client: at once, or later and in order, or not at all and then its sender hears why.

import { WhiskError } from "./errors.js";
import { stringify, utf8Length, utf8Longer } from "./json.js";
import {
  ACK_TIMEOUT_MS,
  PENDING_ACKS_MAX,
  QUEUE_MAX,
  TIMER_MAX_MS,
  UNSENT_BYTES_MAX,
} from "./limits.js";
import { isMillis, isText, own } from "./values.js";

/**
 * The one way out for events. It outlives the links: what waits for a connection leaves on the next
 * one, and an acknowledgement's id is never used again.
 */
export class Outbox {
  /** The server's bound on a frame, as the last handshake told; 0 for none. */
  maxPayload = 0;

  #timers;
  #nsp;
  #report;
  #link = null;
  #ended = false;
  /** Frames that wait for a confirmed connection: `{ body, id, owner }`, oldest first. */
  #queue = [];
  /** Awaited acknowledgements: id → `{ resolve, reject, timer, sent }`. */
  #pending = new Map();
  #nextId = 0;

  /** @param {(error: WhiskError) => void} report hears what was refused after `send` returned */
  constructor({ timers, namespace }, report) {
    this.#timers = timers;
    this.#nsp = namespace === "/" ? 0 : utf8Length(namespace) + 1;
    this.#report = report;
  }

  /** The link that may once take what waits. */
  attach(link) {
    this.#link = link;
  }

  /** Whether an event would leave now. */
  get open() {
    this.#link?.checkAlive();
    return this.#link?.writable ?? false;
  }

  /**
   * Sends an event, or lets it wait for a connection. An `owner` that is not `active` makes it wait
   * too.
   * @throws {WhiskError} why it can do neither
   */
  send(args, { owner = null, whenAway = "wait" } = {}) {
    this.#dispatch({ body: stringify(args), id: null, owner }, whenAway);
  }

  /** Sends an event and promises its acknowledgement. */
  ask(args, options) {
    return new Promise((resolve, reject) => this.request(args, options, resolve, reject));
  }

  /**
   * The same by callbacks, which are called in the turn in which the acknowledgement arrives: what
   * follows it on the wire is then handled after it. One of the two is called, once. The time
   * counts from the call, waiting included; what was not sent by then never is.
   */
  request(args, { timeoutMs = ACK_TIMEOUT_MS, owner = null, whenAway = "wait" }, resolve, reject) {
    let id = null;
    try {
      if (!isMillis(timeoutMs) || timeoutMs > TIMER_MAX_MS)
        throw new TypeError("timeoutMs must be milliseconds");
      const body = stringify(args);
      if (this.#pending.size >= PENDING_ACKS_MAX) {
        throw new WhiskError(
          "buffer_full",
          `${PENDING_ACKS_MAX} acknowledgements are awaited already`,
        );
      }
      id = this.#nextId++;
      const timer = this.#timers.setTimeout(() => this.#late(id, timeoutMs), timeoutMs);
      this.#pending.set(id, { resolve, reject, timer, sent: false });
      this.#dispatch({ body, id, owner }, whenAway);
    } catch (error) {
      if (id === null) reject(error);
      else this.#settle(id)?.reject(error);
    }
  }

  /** Lets what waits leave, as far as its owners are active. */
  flush() {
    if (!this.#link?.writable) return;
    const waiting = this.#queue;
    this.#queue = [];
    const refused = [];
    for (const entry of waiting) {
      const { body, id, owner } = entry;
      // The bound was not known, or another, when this was queued.
      const tooLarge = this.#tooLarge(body, id);
      if (tooLarge === null && owner !== null && !owner.active) this.#queue.push(entry);
      else if (tooLarge === null) this.#write(body, id);
      else refused.push([id, tooLarge]);
    }
    for (const [id, error] of refused) {
      if (id === null) this.#report(error);
      else this.#settle(id)?.reject(error);
    }
  }

  /** An owner will not be active any more: what waits for it never leaves. */
  drop(owner, error) {
    const dropped = this.#queue.filter((entry) => entry.owner === owner);
    this.#queue = this.#queue.filter((entry) => entry.owner !== owner);
    for (const { id } of dropped) this.#settle(id)?.reject(error);
  }

  /** The link is gone: acknowledgements of what left on it cannot come any more. */
  detach() {
    this.#link = null;
    for (const [id, { sent }] of [...this.#pending]) {
      if (sent)
        this.#settle(id)?.reject(
          new WhiskError(
            "connection_dropped",
            "the connection was lost before the acknowledgement",
          ),
        );
    }
  }

  /** Nothing leaves any more. Returns how many emits without acknowledgement were never sent. */
  end(cause) {
    this.detach();
    this.#ended = true;
    const unsent = this.#queue.filter((entry) => entry.id === null).length;
    this.#queue = [];
    for (const id of [...this.#pending.keys()]) {
      this.#settle(id)?.reject(
        new WhiskError("closed", "the client was closed before this was sent", undefined, {
          cause,
        }),
      );
    }
    return unsent;
  }

  acknowledged({ id, args }) {
    // One that came too late, or twice, is nobody's: ids are never used again.
    const pending = this.#settle(id);
    if (pending === undefined) return;
    const failure = own(args[0], "error");
    const code = own(failure, "code");
    if (isText(code)) {
      const message = own(failure, "message");
      pending.reject(new WhiskError(code, isText(message) ? message : code, failure));
    } else {
      pending.resolve(args[0]);
    }
  }

  /** @throws {WhiskError} `payload_too_large` where the server would not take such a frame */
  checkSize(body, id) {
    const tooLarge = this.#tooLarge(body, id);
    if (tooLarge !== null) throw tooLarge;
  }

  #dispatch(entry, whenAway) {
    // After a sleep, a dead link may still look open: what is sent into it would be lost.
    const { open } = this;
    if (this.#ended) throw new WhiskError("closed", "the client is closed");
    this.checkSize(entry.body, entry.id);
    if (open && (entry.owner?.active ?? true)) {
      if (this.#link.unsentBytes > UNSENT_BYTES_MAX) {
        throw new WhiskError("buffer_full", "the transport does not keep up");
      }
      this.#write(entry.body, entry.id);
    } else if (whenAway === "fail") {
      throw new WhiskError("away", "there is no connection that could take this now");
    } else if (this.#queue.length >= QUEUE_MAX) {
      throw new WhiskError("buffer_full", `${QUEUE_MAX} emits wait for the connection already`);
    } else {
      this.#queue.push(entry);
    }
  }

  #write(body, id) {
    if (id !== null) this.#pending.get(id).sent = true;
    this.#link.send("42", id === null ? body : id + body);
  }

  /** The bound is the frame's: what stands before the body counts too. */
  #tooLarge(body, id) {
    const limit = this.maxPayload;
    if (limit === 0) return null;
    const head = 2 + this.#nsp + (id === null ? 0 : String(id).length);
    if (!utf8Longer(body, limit - head)) return null;
    return new WhiskError("payload_too_large", `the server takes ${limit} bytes at most`, {
      limit,
    });
  }

  #late(id, timeoutMs) {
    this.#queue = this.#queue.filter((entry) => entry.id !== id);
    this.#settle(id)?.reject(
      new WhiskError("timeout", `no acknowledgement within ${timeoutMs} ms`),
    );
  }

  /** Forgets an awaited acknowledgement and returns it. */
  #settle(id) {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    this.#timers.clearTimeout(pending.timer);
    return pending;
  }
}

/** What becomes of an event while there is no connection. */
export function checkWhenAway(whenAway = "wait") {
  if (whenAway !== "wait" && whenAway !== "fail")
    throw new TypeError('whenAway is "wait" or "fail"');
}

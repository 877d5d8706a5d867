// Reads the roster of one channel, keeps it whole, and tells what changes.

import { ignored, isRetryable, LOST, WhiskError } from "./errors.js";
import { readChange, readPage } from "./events.js";
import { Roster } from "./roster.js";
import { retryMs } from "./timing.js";
import { isText, own } from "./values.js";

/** The part of a subscription that reads the roster, shared by its handles. */
export class RosterReader {
  roster = new Roster();
  /** The own public id on this channel. */
  client = null;
  /** Grows with each change of what the roster shows. */
  revision = 0;
  /** What the server is told of this member: `{ label, meta }`, `false` to watch only, or nothing. */
  terms;

  #name;
  #host;
  #owner;
  #audiences;
  #turn = 0;
  #attempt = 0;
  #timer = null;
  #toldTruncated = false;
  /** Why the roster is not read. */
  #error = null;
  /** Who waits for the roster to be whole: `{ resolve, reject }`. */
  #waiters = [];

  constructor(name, terms, host, owner, audiences) {
    this.#name = name;
    this.terms = terms;
    this.#host = host;
    this.#owner = owner;
    this.#audiences = audiences;
  }

  /** Promises that the roster is whole. */
  whole() {
    if (this.roster.complete) return Promise.resolve();
    if (this.#error !== null) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** The subscription is asked for: changes may come before the answer. */
  begin() {
    this.#settle();
    this.#error = null;
    this.roster.begin();
  }

  /** The subscription's answer, which has the first page if the channel has a roster. */
  accepted(answer) {
    this.#settle();
    const client = own(answer, "client");
    this.client = isText(client) ? client : null;
    const first = own(answer, "presence") ?? undefined;
    if (first === undefined) {
      this.roster.stop();
      this.#fail(new WhiskError("no_presence", `"${this.#name}" keeps no roster`));
    } else {
      this.#page(first);
    }
  }

  dropped() {
    this.#settle();
    this.roster.stop();
  }

  end(error) {
    this.dropped();
    this.#fail(error);
  }

  /** An event of the server. */
  event(value) {
    const change = readChange(value);
    if (change === null) {
      this.#host.report(ignored("whisk.presence"));
    } else if (change.seen) {
      const seen = this.roster.seen(change.seen);
      if (seen.length === 0) return;
      this.revision += 1;
      this.#tell("seen", { channel: this.#name, seen });
    } else {
      const { anew, events } = this.roster.change(change);
      if (anew) this.#anew();
      else this.#changed(events);
      this.#checkTruncated();
    }
  }

  // -- reading

  #read(after) {
    const turn = ++this.#turn;
    const args = ["whisk.presence", { channel: this.#name, after }];
    this.#host.outbox.request(
      args,
      { owner: this.#owner, whenAway: "fail" },
      (page) => turn === this.#turn && this.#page(page),
      (error) => turn === this.#turn && this.#failed(error, after),
    );
  }

  #page(value) {
    const page = readPage(value);
    if (page === null) {
      this.roster.stop();
      this.#fail(new WhiskError("protocol", "a malformed page of a roster"));
      this.#host.report(ignored("whisk.presence"));
      return;
    }
    const { next, anew, events } = this.roster.page(page);
    if (anew) {
      this.#anew();
    } else if (next !== undefined) {
      this.#read(next);
    } else {
      this.#attempt = 0;
      this.revision += 1;
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const { resolve } of waiters) resolve();
      this.#changed(events);
      this.#checkTruncated();
    }
  }

  /** Another epoch began. A server that changes it with each answer is asked ever more slowly. */
  #anew() {
    this.roster.begin();
    this.#later({}, undefined);
  }

  #failed(error, after) {
    if (LOST.has(error.code) || !this.#owner.active) return; // the next subscription reads anew
    if (isRetryable(error)) {
      this.#later(error, after);
      return;
    }
    this.roster.stop();
    this.#fail(error);
    this.#host.report(error);
  }

  #later(error, after) {
    this.#settle();
    const { options } = this.#host;
    this.#attempt += 1;
    const delayMs = retryMs(error, this.#attempt, options);
    this.#timer = options.timers.setTimeout(() => this.#read(after), delayMs);
  }

  /** What is under way is nobody's any more. */
  #settle() {
    this.#turn += 1;
    this.#host.options.timers.clearTimeout(this.#timer);
  }

  #fail(error) {
    this.#error = error;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }

  // -- telling

  #changed(events) {
    if (events.length > 0) this.revision += 1;
    for (const { event, member } of events) {
      this.#tell(event, { channel: this.#name, client: member.client, member });
    }
  }

  #tell(event, detail) {
    for (const { presence } of [...this.#audiences]) {
      for (const fn of presence.take(event)) {
        this.#host.handlers.call(`${this.#name}: ${event}`, fn, [detail]);
      }
    }
  }

  #checkTruncated() {
    const { truncated } = this.roster;
    const news = truncated && !this.#toldTruncated;
    this.#toldTruncated = truncated;
    if (!news) return;
    const text = `the roster of "${this.#name}" is larger than what is kept of it`;
    this.#host.report(new WhiskError("buffer_full", text, { channel: this.#name }));
  }
}

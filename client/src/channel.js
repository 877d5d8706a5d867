// A handle of a channel: what users hold after `subscribe`.

import { WhiskError } from "./errors.js";
import { readPublished, readReply } from "./events.js";
import { Feed } from "./feed.js";
import { ACK_TIMEOUT_MS, REQUEST_TIMEOUT_MAX_MS, TIMER_MAX_MS } from "./limits.js";
import { checkWhenAway } from "./outbox.js";
import { Presence } from "./presence.js";
import { repeat } from "./repeat.js";
import { notSubscribed } from "./subscription.js";
import { isMillis, isObject, isText } from "./values.js";

/**
 * One handle of a channel. Several share one subscription on the network, which ends with the last
 * of them; each has its own handlers.
 */
export class Channel extends Feed {
  #subscription;
  #audience;
  #host;
  #presence;

  /** @internal Use `client.subscribe`. */
  constructor(name, subscription, audience, host) {
    super(name, audience);
    this.#subscription = subscription;
    this.#audience = audience;
    this.#host = host;
    const ask = (event, more, options) => this.#ask(event, more, [], options);
    this.#presence = new Presence(subscription.presence, audience, ask);
  }

  /**
   * `subscribing`, `active`, `dropped`, `retrying`; and at the end `refused`, `removed`,
   * `unsubscribed`, `booted` or `closed`.
   */
  get status() {
    return (this.#audience.end ?? this.#subscription).status;
  }

  /** Why it is being tried again, or why it ended. */
  get error() {
    return (this.#audience.end ?? this.#subscription).error;
  }

  /** How far it was heard: `{ epoch, offset }`, or `null`. */
  get position() {
    return this.#subscription.cursor.position;
  }

  /** Who is on the channel. */
  get presence() {
    return this.#presence;
  }

  /** Adds a handler of status changes, which gets the new status and its error. */
  onStatus(handler) {
    return this.#audience.statuses.add("", handler);
  }

  /**
   * Publishes to the others on the channel, or to one of them, where the channel's rules allow it.
   * @returns {Promise<{ id: string, at: number, position: object | null, level: string | null }>}
   */
  async publish(topic, data, { to, ...options } = {}) {
    const args = data === undefined ? [] : [data];
    const answer = await this.#ask("whisk.publish", addressed(topic, to), args, options);
    return understood(readPublished(answer), "whisk.publish");
  }

  /**
   * Asks the others on the channel, or one of them; promises the first reply, with what it took in
   * `tookMs`. A refusal rejects with its code.
   */
  async request(topic, data, { to, timeoutMs = ACK_TIMEOUT_MS, ...options } = {}) {
    if (!isMillis(timeoutMs) || timeoutMs > REQUEST_TIMEOUT_MAX_MS)
      throw new TypeError(`timeoutMs must be at most ${REQUEST_TIMEOUT_MAX_MS} milliseconds`);
    const head = { ...addressed(topic, to), timeout_ms: timeoutMs };
    const args = data === undefined ? [] : [data];
    const { now } = this.#host.options.timers;
    const began = now();
    const answer = await this.#ask("whisk.request", head, args, { ...options, timeoutMs });
    const tookMs = now() - began;
    return { ...understood(readReply(answer), "whisk.request"), tookMs };
  }

  /**
   * Asks every `ms` what `make` gives then (`{ topic, data, to, timeoutMs }`, or nothing to leave
   * this beat out), and hands each first reply to `onReply`. A beat is left out while the former
   * one is unanswered, and while the channel is not active. It ends with the handle.
   * @returns {() => void} stops it
   */
  every(ms, make, onReply, { onError } = {}) {
    if (!isMillis(ms) || ms === 0 || ms > TIMER_MAX_MS)
      throw new TypeError("ms must be milliseconds above 0");
    for (const fn of [make, onReply, onError ?? make]) {
      if (typeof fn !== "function") throw new TypeError("every takes functions");
    }
    const { handlers, options } = this.#host;
    const what = `${this.name}: every`;
    let stopped = this.#audience.end !== null;
    if (stopped) return () => {};
    const beat = async () => {
      if (!this.#subscription.active) return;
      try {
        const request = await make();
        if (stopped || request === undefined || request === null) return;
        if (!isObject(request)) throw new TypeError("what every asks is an object with a topic");
        const { topic, data, to, timeoutMs } = request;
        const reply = await this.request(topic, data, { to, timeoutMs });
        if (!stopped) handlers.call(what, onReply, [reply]);
      } catch (cause) {
        if (stopped) return;
        if (onError) handlers.call(what, onError, [cause]);
        else if (cause instanceof WhiskError) this.#host.report(cause);
        else handlers.failed(what, cause);
      }
    };
    const stopBeats = repeat(options.timers, ms, beat);
    const stop = () => {
      stopped = true;
      stopBeats();
      this.#audience.repeats.delete(stop);
    };
    this.#audience.repeats.add(stop);
    return stop;
  }

  /**
   * Ends this handle. With the last one the server is told, so that the others see a graceful leave
   * at once.
   * @returns {Promise<boolean>} whether the server confirmed it; never rejects
   */
  leave() {
    return this.#subscription.leave(this.#audience);
  }

  async #ask(event, head, data, { timeoutMs, whenAway } = {}) {
    checkWhenAway(whenAway);
    const { end } = this.#audience;
    if (end !== null) throw notSubscribed(this.name, end.error ?? undefined);
    return this.#host.outbox.ask([event, { channel: this.name, ...head }, ...data], {
      timeoutMs,
      whenAway,
      owner: this.#subscription,
    });
  }
}

function addressed(topic, to) {
  if (typeof topic !== "string") throw new TypeError("a topic is a text");
  if (to !== undefined && !isText(to)) throw new TypeError("to is a client's id or an address");
  return { topic, to };
}

function understood(answer, event) {
  if (answer === null) throw new WhiskError("protocol", `a malformed answer to ${event}`);
  return answer;
}

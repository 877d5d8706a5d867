// Who listens to a channel, and how a message and its answer pass between both.

import { WhiskError } from "./errors.js";
import { Listeners } from "./listeners.js";
import { isText } from "./values.js";

/** The one name in tables of handlers that take everything. */
const ALL = "";

/** The handlers of one handle. They stand apart from it, so that users see its methods alone. */
export class Audience {
  topics = new Listeners();
  rest = new Listeners();
  statuses = new Listeners();
  presence = new Listeners();
  /** What repeats until the handle ends: functions that stop it. */
  repeats = new Set();
  /** `{ status, error }` of a handle that ended before its channel. */
  end = null;

  /** Takes the handle off: nothing is heard any more. */
  leave(status, error) {
    this.end = { status, error };
    for (const stop of [...this.repeats]) stop();
  }

  /** The handlers that take a message: those of its topic, else those that take everything. */
  takers(topic) {
    const fns = this.topics.take(topic);
    return fns.length > 0 ? fns : this.rest.take(ALL);
  }
}

/** What is said on one channel. The base of every handle. */
export class Feed {
  #name;
  #audience;

  /** @internal */
  constructor(name, audience) {
    this.#name = name;
    this.#audience = audience;
  }

  get name() {
    return this.#name;
  }

  /** Adds a handler of a topic. Any name is as good as another. */
  on(topic, handler) {
    this.#audience.topics.add(topic, handler);
    return this;
  }

  /** Like `on`, for one time. */
  once(topic, handler) {
    this.#audience.topics.add(topic, handler, true);
    return this;
  }

  /** Removes a handler, or all of a topic. */
  off(topic, handler) {
    this.#audience.topics.remove(topic, handler);
    return this;
  }

  /** Adds a handler of what no handler of this handle takes by its topic. */
  onMessage(handler) {
    return this.#audience.rest.add(ALL, handler);
  }
}

/**
 * Hands a message to all who listen, and sees to its answer where somebody waits for one.
 *
 * A handler answers by what it returns, or its promise; `undefined` is no answer, so that one of
 * many members can leave it to the others. A `WhiskError` that it throws is a refusal. Where the
 * asker meant this socket alone, it also hears that nobody took the message, or that a handler
 * failed; where it asked all, another may know better.
 * @param {{ handlers: Handlers, outbox: Outbox, report(error: WhiskError): void }} host
 * @param {{ active: boolean, ended: boolean } | null} owner whose loss keeps an answer from leaving
 */
export function deliver(host, owner, audiences, channel, { head, data }) {
  const answers = head.ask ? answering(host, owner, channel, head) : {};
  const message = Object.freeze({ channel, ...head, ...answers });
  const what = `${channel}: ${head.topic}`;
  let taken = false;
  for (const audience of [...audiences]) {
    if (audience.end !== null) continue;
    for (const fn of audience.takers(head.topic)) {
      taken = true;
      const value = host.handlers.call(what, fn, [data, message], head.ask);
      if (head.ask) answerWith(value, message);
    }
  }
  if (!taken && head.ask && head.direct)
    message.refuse("unknown_event", "no handler for this topic");
}

async function answerWith(value, { reply, refuse, direct }) {
  try {
    const answer = await value;
    if (answer !== undefined && !reply(answer) && direct)
      refuse("internal", "the answer could not be sent");
  } catch (cause) {
    if (cause instanceof WhiskError && isText(cause.code)) refuse(cause.code, cause.message);
    else if (direct) refuse("internal", "the handler failed");
  }
}

/** What becomes of an answer whose connection was lost, only its asker learns. */
const UNKNOWN = new Set(["connection_dropped", "closed"]);

/** The two ways to answer, of which one goes out, once. */
function answering(host, owner, channel, { from, id }) {
  let open = true;
  const send = (head, ...data) => {
    if (!open || owner?.ended) return false;
    open = false;
    const args = ["whisk.reply", { channel, to: from, re: id, ...head }, ...data];
    const failed = (error) => {
      open = true;
      if (!UNKNOWN.has(error.code)) host.report(error);
    };
    host.outbox.request(args, { owner }, () => {}, failed);
    return !open;
  };
  return {
    reply: (data) => (data === undefined ? send({}) : send({}, data)),
    refuse(code, text = code) {
      if (!isText(code)) throw new TypeError("a refusal has a code");
      return send({ error: { code, message: String(text) } });
    },
  };
}

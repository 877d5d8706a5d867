// Made from client/src by "npm run build" in client/: change it there, not here.

/**
 * The client of Whisk for browsers and Node: one module, no dependencies.
 *
 * It speaks Socket.IO 5 over Engine.IO 4 on a WebSocket, confirms the page's session, comes back by
 * itself after a loss, and says honestly what became of each message. Its modules stand in the order
 * of reading:
 *
 *   limits, close, values, errors, json     what the outside can name, and what may be told of it
 *   packets                                 text in, checked packets out
 *   listeners, handlers, urls, options      who hears of what, and what `connect` takes
 *   timing, platform, credentials, link     small parts, and one transport up to its loss
 *   outbox                                  what leaves, and what became of it
 *   connection                              many links, one after the other
 *   events, stream, feed                    what is said on channels, in order, and to whom
 *   roster, reader, presence                who is on a channel
 *   subscription, repeat, channel, channels channels on the network, and their handles
 *   client                                  all of it behind one interface
 *
 * Names that came over the network are only ever keys of a `Map`, never of a plain object, and
 * nothing received is merged into another object: no prototype can be reached from outside.
 *
 * @module whisk
 */

// Every bound and every span of time that the client keeps by itself.

/** Emits that wait for a confirmed connection; one more is refused as `buffer_full`. */
const QUEUE_MAX = 128; // below the server's burst of 200, so that a flush is not refused
/** Acknowledgements awaited at once; one more is refused as `buffer_full`. */
const PENDING_ACKS_MAX = 1024;
/** Bytes that the transport may hold unsent before emits are refused as `buffer_full`. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;
/** No delay before a reconnection is shorter, so that jitter near zero is no busy loop. */
const DELAY_FLOOR_MS = 50;
/** The longest delay that the server may ask for. */
const DELAY_ASKED_MAX_MS = 5 * 60 * 1000;
/** A confirmed connection that lived this long was healthy: the back-off starts anew after it. */
const STABLE_MS = 5000;
/** A fresh token that was not sent yet is used again up to this age: half of its default life. */
const TOKEN_REUSE_MS = 5000;
/** How long a DISCONNECT packet waits for the close frame that names the reason. */
const CLOSE_GRACE_MS = 1000;
/** How long an acknowledgement is awaited, or a request's reply, unless told otherwise. */
const ACK_TIMEOUT_MS = 5000;
/** The longest that a request may wait for its reply. */
const REQUEST_TIMEOUT_MAX_MS = 60_000;
/** How long `subscribe` waits unless told otherwise. */
const SUBSCRIBE_TIMEOUT_MS = 10_000;
/** Messages of one channel that wait for its acknowledgement, or for handlers; more are dropped. */
const EARLY_MAX = 1024;
/** The same, in characters of what came over the network. */
const EARLY_CHARS_MAX = 1024 * 1024;
/** Members of one channel that its roster keeps; more are left out, and `truncated` says so. */
const ROSTER_MAX = 50_000;
/** The shortest secret that tells one client from another, and the longest. */
const SECRET_MIN = 16;
const SECRET_MAX = 128;
/** What `setTimeout` can count. */
const TIMER_MAX_MS = 2 ** 31 - 1;

// Close codes: the table of `wire/src/close.rs`, which a test holds equal.

/**
 * The named close codes: number → `{ name, comeBack }`. For numbers outside of it see `comesBack`.
 * @type {ReadonlyMap<number, Readonly<{ name: string, comeBack: boolean }>>}
 */
const closeCodes = new Map(
  [
    [1000, "normal", false],
    [1001, "going_away", true],
    [1002, "protocol_error", false],
    [1003, "unsupported", false],
    [1005, "no_code", true],
    [1006, "abnormal", true],
    [1007, "invalid_payload", false],
    [1008, "policy", false],
    [1009, "too_large", false],
    [1010, "extension_required", false],
    [1011, "internal", true],
    [1012, "restart", true],
    [1013, "try_later", true],
    [4000, "transport_reset", true],
    [4001, "slow", true],
    [4002, "ping_timeout", true],
    [4003, "confirm_timeout", true],
    [4004, "fragment_timeout", true],
    [4005, "auth_expired", true],
    [4029, "rate_limited", true],
    [4100, "booted", false],
    [4101, "unauthorized", false],
    [4102, "session_ended", false],
    [4103, "too_many_unconfirmed", false],
  ].map(([code, name, comeBack]) => [code, Object.freeze({ name, comeBack })]),
);

/** The confirmation was refused. */
const UNAUTHORIZED = 4101;
/** The confirmation ran out. */
const AUTH_EXPIRED = 4005;

/**
 * Whether a client comes back after a close with this code: by the table, else never after 41xx and
 * always after the rest.
 * @param {number} code
 * @returns {boolean}
 */
function comesBack(code) {
  return closeCodes.get(code)?.comeBack ?? !(code >= 4100 && code <= 4199);
}

// What may be told of a value that came over the network.

const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** An own property of something received, so that nothing inherited passes for data. */
const own = (value, key) =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
const isText = (value) => typeof value === "string" && value !== "";
const isMillis = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;
/** An offset, a version, a number of things. */
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** A value's text, to compare it by; `null` for one that is nested too deep to have one. */
function jsonOf(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return null;
  }
}

// What can go wrong, as codes for programs, and which of it may go right later.


/** Refusals after which the same client may try again later; after any other it stays away. */
const RETRYABLE = new Set([
  "buffer_full",
  "unavailable",
  "auth_timeout",
  "timeout",
  "internal",
  "overloaded",
  "rate_limited",
  "auth_expired",
]);

/** Failures before the socket opens that trying again cannot mend. */
const UNMENDABLE = new Set([
  "no_session",
  "forbidden",
  "no_credential",
  "bad_option",
  "not_serializable",
]);
/**
 * Every failure that Whisk reports. Match on `code`, never on `message`.
 *
 * Codes of the client itself: `timeout`, `connection_dropped`, `away`, `closed`, `buffer_full`,
 * `payload_too_large`, `not_serializable`, `protocol`, `transport`, `no_credential`, `no_session`,
 * `forbidden`, `unavailable`, `connect_refused`, `dismissed`, `reconnect_failed`, `handler_failed`,
 * `no_websocket`, `bad_option`, `bad_channel`, `not_subscribed`, `no_presence`; the name of a close
 * code that means "stay away"; and whatever code the server sent.
 */
class WhiskError extends Error {
  /**
   * @param {string} code what happened, for programs
   * @param {string} [message] what happened, for people
   * @param {unknown} [data] the server's whole error object, or details such as `{ dropped }`
   * @param {{ cause?: unknown }} [options] the error underneath
   */
  constructor(code, message = code, data = undefined, options = undefined) {
    super(message, options);
    this.name = "WhiskError";
    this.code = code;
    this.data = data;
  }
}

const malformed = (what) =>
  new WhiskError("protocol", `malformed packet from the server: ${what}`);
const badOption = (message, cause) =>
  new WhiskError("bad_option", message, undefined, { cause });

/** An event of Whisk's own that says nothing that can be understood. The connection goes on. */
const ignored = (event) =>
  new WhiskError("protocol", `a malformed event "${event}" was ignored`, { event });

/** Whether what was refused may go right later. Whoever names a delay says that it may. */
const isRetryable = ({ code, data }) =>
  RETRYABLE.has(code) || isMillis(own(data, "retry_after_ms"));

/** No answer of the server, but the connection's end, of which whoever keeps a state hears anyway. */
const LOST = new Set(["connection_dropped", "closed", "away"]);

// How values become text, and how long it is.


/** JSON has no binary: it would arrive as `{}` or a list of numbers, so it is refused instead. */
function refuseBinary(key, value) {
  const raw = this[key];
  if (
    raw instanceof ArrayBuffer ||
    ArrayBuffer.isView(raw) ||
    (typeof Blob !== "undefined" && raw instanceof Blob)
  ) {
    throw new TypeError("binary values cannot be sent by this version");
  }
  return value;
}

function stringify(value) {
  try {
    return JSON.stringify(value, refuseBinary);
  } catch (cause) {
    throw new WhiskError(
      "not_serializable",
      `cannot be sent as JSON: ${cause?.message}`,
      undefined,
      { cause },
    );
  }
}

const utf8Length = (text) => new TextEncoder().encode(text).length;

/** Whether a text has more bytes as UTF-8; the usual short one is not encoded to find out. */
const utf8Longer = (text, bytes) =>
  text.length * 3 > bytes && (text.length > bytes || utf8Length(text) > bytes);

// Packets of Engine.IO 4 and Socket.IO 5: text in, checked packets out.


function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("not JSON");
  }
}

/** Engine.IO's open packet, after its `0`. A bound of 0 means that the server set none. */
function parseHandshake(text) {
  const value = parseJson(text);
  const handshake = {
    sid: own(value, "sid"),
    pingInterval: own(value, "pingInterval"),
    pingTimeout: own(value, "pingTimeout"),
    maxPayload: own(value, "maxPayload") ?? 0,
  };
  const { sid, pingInterval, pingTimeout, maxPayload } = handshake;
  if (!isText(sid) || ![pingInterval, pingTimeout, maxPayload].every(isMillis)) {
    throw malformed("open packet");
  }
  return handshake;
}

const PACKET_HEAD = /^4([0-6])(?:(\/[^,]*)(?:,|$))?(\d+)?/;

/**
 * A Socket.IO packet with its Engine.IO `4` in front.
 * @returns {{ type: string, nsp: string, id?: number, sid?: string, event?: string, args?: unknown[],
 *   size?: number, error?: { code?: string, message: string, data: unknown } }}
 */
function parsePacket(text) {
  const head = PACKET_HEAD.exec(text);
  if (head === null) throw malformed("unknown type");
  const [whole, type, nsp = "/", idText] = head;
  const id = idText === undefined ? undefined : Number(idText);
  const body = text.slice(whole.length);
  if (id !== undefined && (!Number.isSafeInteger(id) || (type !== "2" && type !== "3"))) {
    throw malformed("acknowledgement id");
  }
  switch (type) {
    case "0": {
      const sid = own(parseJson(body), "sid");
      if (!isText(sid)) throw malformed("CONNECT without sid");
      return { type: "connect", nsp, sid };
    }
    case "1":
      if (body !== "") throw malformed("DISCONNECT with a body");
      return { type: "disconnect", nsp };
    case "2": {
      const list = parseJson(body);
      if (!Array.isArray(list) || typeof list[0] !== "string")
        throw malformed("EVENT without name");
      return { type: "event", nsp, id, event: list[0], args: list.slice(1), size: text.length };
    }
    case "3": {
      const args = parseJson(body);
      if (!Array.isArray(args) || id === undefined) throw malformed("ACK");
      return { type: "ack", nsp, id, args };
    }
    case "4": {
      const value = parseJson(body);
      const message = own(value, "message");
      if (typeof message !== "string") throw malformed("CONNECT_ERROR without message");
      const data = own(value, "data");
      const code = own(data, "code");
      return {
        type: "refusal",
        nsp,
        error: { code: isText(code) ? code : undefined, message, data },
      };
    }
    default:
      throw malformed("binary packets are not spoken by this version");
  }
}

// Handlers by name.

/** Handlers by name. What a name may be is up to whoever sends it: none is special here. */
class Listeners {
  #table = new Map();

  /** @returns {() => void} takes exactly this one off again */
  add(event, fn, once = false) {
    if (typeof event !== "string") throw new TypeError("an event's name is a string");
    if (typeof fn !== "function") throw new TypeError("a handler is a function");
    const entry = { fn, once };
    const list = this.#table.get(event);
    if (list) list.push(entry);
    else this.#table.set(event, [entry]);
    return () => this.#keep(event, (other) => other !== entry);
  }

  remove(event, fn) {
    this.#keep(event, (entry) => fn !== undefined && entry.fn !== fn);
  }

  /**
   * The functions to call now, in the order in which they were added; those of `once` are gone
   * after.
   */
  take(event) {
    const list = this.#table.get(event);
    if (list === undefined) return [];
    if (list.some((entry) => entry.once)) this.#keep(event, (entry) => !entry.once);
    return list.map((entry) => entry.fn);
  }

  #keep(event, wanted) {
    const left = (this.#table.get(event) ?? []).filter(wanted);
    if (left.length === 0) this.#table.delete(event);
    else this.#table.set(event, left);
  }
}

// What a browser knows of its network and of sleep, and where it shows errors.

/** Shows an error that nobody listens for, without stopping the client. */
function report(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}

/** Listens to what a browser knows of the network and of sleep. Returns how to stop listening. */
function watchPlatform(online, visible) {
  const { document } = globalThis;
  const onVisible = () => {
    if (document.visibilityState === "visible") visible();
  };
  globalThis.addEventListener?.("online", online);
  document?.addEventListener?.("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", online);
    document?.removeEventListener?.("visibilitychange", onVisible);
  };
}

// Who hears of what: the client's own events, the server's events, and the handler groups.


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
function readGroups(groups) {
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
class Handlers {
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

// URLs as people write them.


/** An absolute URL; in a browser also one relative to the page. */
function readUrl(text) {
  if (!isText(text)) throw badOption("a URL must be a non-empty string");
  try {
    return new URL(text, globalThis.location?.href);
  } catch (cause) {
    throw badOption(`not a URL: ${text}`, cause);
  }
}

/** The socket's address from what people write: http(s) or ws(s), any path. */
function socketUrl(text) {
  const url = readUrl(text);
  url.protocol = { "http:": "ws:", "https:": "wss:" }[url.protocol] ?? url.protocol;
  if (url.protocol !== "ws:" && url.protocol !== "wss:")
    throw badOption(`not a ws or http URL: ${text}`);
  if (url.pathname === "/") url.pathname = "/socket.io/";
  url.searchParams.set("EIO", "4");
  url.searchParams.set("transport", "websocket");
  url.hash = "";
  return url.href;
}

/** `url` as a function of how many connections were lost or failed so far: a list turns with it. */
function readUrls(url) {
  if (typeof url === "function") {
    return async () => socketUrl(await url());
  }
  const list = (Array.isArray(url) ? url : [url]).map(socketUrl);
  if (list.length === 0) throw badOption("url is an empty list");
  return async (losses) => list[losses % list.length];
}

// The options of `connect`, checked once.


const OPTIONS = new Set([
  "url",
  "token",
  "getToken",
  "renewUrl",
  "session",
  "lateAuth",
  "auth",
  "client",
  "namespace",
  "groups",
  "timeoutMs",
  "reconnect",
  "WebSocket",
  "timers",
  "random",
]);

/**
 * A new secret for the option `client`: 128 random bits. Whoever shows it again, also after a
 * reload, is the same client to the server.
 * @returns {string}
 */
function clientSecret() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Checks the options once, at `connect`, and fills in what was left out. */
function readOptions(options) {
  if (!isObject(options)) throw badOption("connect() takes one object of options");
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) throw badOption(`unknown option "${key}"`);
  }
  const {
    url,
    token,
    getToken,
    renewUrl,
    session = true,
    lateAuth = false,
    auth,
    client = clientSecret(),
    namespace = "/",
    groups = {},
    timeoutMs = 10_000,
    reconnect = {},
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    timers = {
      setTimeout: (fn, ms) => globalThis.setTimeout(fn, ms),
      clearTimeout: (timer) => globalThis.clearTimeout(timer),
      now: () => Date.now(),
    },
  } = options;
  if (typeof WebSocket !== "function") {
    throw new WhiskError(
      "no_websocket",
      "this platform has no WebSocket: pass one, as in " +
        'connect({ WebSocket }) with the class of the npm package "ws", or use Node 22 or later',
    );
  }
  if (token !== undefined && !isText(token)) throw badOption("token must be a non-empty string");
  if (renewUrl !== undefined) readUrl(renewUrl);
  for (const [name, fn] of [
    ["getToken", getToken],
    ["random", random],
  ]) {
    if (fn !== undefined && typeof fn !== "function") throw badOption(`${name} must be a function`);
  }
  if (auth !== undefined && !isObject(auth) && typeof auth !== "function") {
    throw badOption("auth must be an object or a function that returns one");
  }
  if (!isText(client) || client.length < SECRET_MIN || client.length > SECRET_MAX)
    throw badOption(`client must be a secret of ${SECRET_MIN} to ${SECRET_MAX} characters`);
  if (typeof namespace !== "string" || !/^\/[^,?]*$/.test(namespace)) {
    throw badOption('namespace must start with "/" and hold neither "," nor "?"');
  }
  if (!isObject(reconnect)) throw badOption("reconnect must be an object");
  for (const key of Object.keys(reconnect)) {
    if (!["minMs", "maxMs", "attempts"].includes(key))
      throw badOption(`unknown option "reconnect.${key}"`);
  }
  const { minMs = 500, maxMs = 20_000, attempts = Infinity } = reconnect;
  for (const [name, value] of [
    ["timeoutMs", timeoutMs],
    ["reconnect.minMs", minMs],
    ["reconnect.maxMs", maxMs],
  ]) {
    if (!isMillis(value) || value === 0 || value > TIMER_MAX_MS)
      throw badOption(`${name} must be milliseconds above 0`);
  }
  if (typeof attempts !== "number" || !(attempts >= 0))
    throw badOption("reconnect.attempts must be a number");
  return {
    nextUrl: readUrls(url),
    token,
    getToken,
    renewUrl,
    session,
    lateAuth,
    auth,
    client,
    namespace,
    groups: readGroups(groups),
    timeoutMs,
    minMs,
    maxMs,
    attempts,
    WebSocket,
    timers,
    random,
  };
}

// Back-off, deadlines, and what comes next.


/** Exponential back-off with full jitter: anywhere between the floor and a ceiling that doubles. */
function backoffMs(attempt, { minMs, maxMs, random }) {
  const ceiling = Math.min(maxMs, minMs * 2 ** (attempt - 1));
  return Math.round(Math.max(Math.min(DELAY_FLOOR_MS, minMs), random() * ceiling));
}

/** When to try again what was refused for now: no sooner than the server asks, within bounds. */
function retryMs(error, attempt, options) {
  const asked = own(error.data, "retry_after_ms");
  const notBeforeMs = isMillis(asked) ? asked : 0;
  return Math.min(DELAY_ASKED_MAX_MS, Math.max(notBeforeMs, backoffMs(attempt, options)));
}

/**
 * Runs `fn` once everything that can run now has run, promises included. No timer: a hidden page's
 * timers come late.
 */
function soon(fn) {
  if (typeof MessageChannel !== "function") {
    globalThis.setTimeout(fn, 0);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    fn();
  };
  port2.postMessage(null);
}

/**
 * The promise's outcome, or `unavailable` when it takes too long: user code and networks may hang.
 */
async function within(ms, timers, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = timers.setTimeout(
      () => reject(new WhiskError("unavailable", `not prepared within ${ms} ms`)),
      ms,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timers.clearTimeout(timer);
  }
}

// What proves the session, in the order in which it is used.


/**
 * What proves the session: the `resume` of the last confirmation first, then the page's token, then
 * a fresh token. Each is `{ kind, auth }`, and `auth` is what the server reads.
 */
class Credentials {
  #options;
  #resume = null;
  #given;
  #fresh = null;

  constructor(options) {
    this.#options = options;
    this.#given = options.token ?? null;
  }

  get #renewable() {
    const { getToken, renewUrl } = this.#options;
    return (
      getToken !== undefined || renewUrl !== undefined || typeof globalThis.location === "object"
    );
  }

  /** Whether there is anything to show at all. */
  get any() {
    return this.#resume !== null || this.#given !== null || this.#renewable;
  }

  /** The best credential at hand; fetches a fresh token when there is no other. */
  async take() {
    if (this.#resume !== null) return { kind: "resume", auth: { resume: this.#resume } };
    if (this.#given !== null) return { kind: "given", auth: { ws_token: this.#given } };
    return this.#takeFresh();
  }

  /**
   * Another proof than the one that a living connection stands on and that runs out: a fresh token,
   * or where none can be had now, the best at hand.
   */
  async renew() {
    if (!this.#renewable) return this.take();
    try {
      return await this.#takeFresh();
    } catch (cause) {
      if (this.#resume === null || UNMENDABLE.has(cause?.code)) throw cause;
      return this.take();
    }
  }

  /** The confirmation ran out: what came with it is worth less than a fresh token. */
  expired() {
    if (this.#renewable) this.#resume = null;
  }

  /** A token is used by sending it; a resume stays good until its successor is used. */
  sent({ kind }) {
    if (kind === "given") this.#given = null;
    if (kind === "fresh") this.#fresh = null;
  }

  accepted(resume) {
    this.#resume = resume ?? null;
  }

  /**
   * The answer never came, or was "not now": a page's token is worth another try if it is all there
   * is.
   */
  unanswered(credential) {
    if (credential?.kind === "given" && !this.#renewable) this.#given = credential.auth.ws_token;
  }

  /** Forgets what the server refused and tells whether something else is left to try. */
  refused(credential) {
    if (credential?.kind === "resume") {
      this.#resume = null;
      return this.any;
    }
    return credential?.kind === "given" && this.#renewable;
  }

  async #takeFresh() {
    const { now } = this.#options.timers;
    if (this.#fresh === null || now() - this.#fresh.at >= TOKEN_REUSE_MS) {
      this.#fresh = { token: await this.#newToken(), at: now() };
    }
    return { kind: "fresh", auth: { ws_token: this.#fresh.token } };
  }

  async #newToken() {
    if (!this.#renewable) {
      throw new WhiskError(
        "no_credential",
        "the token was used and neither getToken nor renewUrl gives another",
      );
    }
    const { getToken } = this.#options;
    const token = getToken ? await getToken() : await this.#fetchToken();
    if (!isText(token)) throw new WhiskError("no_session", "getToken gave no token");
    return token;
  }

  /** The web-service's own renewal: the page's cookie is the proof. */
  async #fetchToken() {
    const { renewUrl = "/whisk/api/renew_ws_session", timeoutMs } = this.#options;
    const response = await fetch(renewUrl, {
      credentials: "same-origin",
      cache: "no-store",
      headers: { accept: "application/json" },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status === 401)
      throw new WhiskError("no_session", "the page has no session any more");
    if (response.status === 403)
      throw new WhiskError("forbidden", "the web-service refuses this page's origin");
    const body = response.ok ? await response.json() : undefined;
    const token = own(body, "ws_token");
    if (own(body, "success") !== true || !isText(token)) {
      throw new WhiskError(
        "unavailable",
        `the renewal answered ${response.status} without a token`,
      );
    }
    return token;
  }
}

// One transport, from its opening to its loss.


/**
 * One transport: opens it, keeps Engine.IO's heartbeat, hands on packets of its namespace, and
 * reports its loss exactly once. After that, or after `leave`, it is dead and silent.
 */
class Link {
  /** What was sent to prove the session on this link. */
  credential = null;
  /** The socket's id: set once the server answered CONNECT. */
  sid = null;
  /** Events may be sent: the session is confirmed and the server did not say good-bye. */
  live = false;
  /** The server is about to close and takes nothing new. */
  leaving = false;
  /** Engine.IO's handshake. */
  handshake = null;
  /** The server sent DISCONNECT: it wants this client to stay away. */
  dismissed = false;

  #ws;
  #timers;
  #timer = null;
  #deadline = Infinity;
  #dead = false;
  #prefix;
  #nsp;
  #owner;

  /**
   * @param {{ opened(link: Link): void, packet(link: Link, packet: object): void,
   *   lost(link: Link, loss: object): void }} owner
   */
  constructor(url, { WebSocket, timers, namespace }, owner) {
    this.#timers = timers;
    this.#owner = owner;
    this.#nsp = namespace;
    this.#prefix = namespace === "/" ? "" : `${namespace},`;
    this.#ws = new WebSocket(url);
    this.#ws.binaryType = "arraybuffer";
    this.#ws.onmessage = ({ data }) => this.#receive(data);
    this.#ws.onclose = ({ code }) => this.#closed(code);
    // What went wrong is told by the close that follows; browsers say no more here.
    this.#ws.onerror = () => {};
  }

  get writable() {
    return this.live && !this.leaving && this.#ws.readyState === 1;
  }

  get unsentBytes() {
    return this.#ws.bufferedAmount ?? 0;
  }

  /** No ping came when one was due. Asked after a sleep, when timers come late. */
  get overdue() {
    return this.#timers.now() > this.#deadline;
  }

  /** `head` is the packet's digits before the namespace, `tail` what follows it. */
  send(head, tail) {
    if (!this.#dead && this.#ws.readyState === 1) this.#ws.send(head + this.#prefix + tail);
  }

  /** The server's last word was heard: no more events go out; the close frame may name a reason. */
  dismiss() {
    if (this.#dead) return;
    this.dismissed = true;
    this.live = false;
    this.#arm(CLOSE_GRACE_MS, () => this.fail({ reason: "server disconnect", closeWith: 1000 }));
  }

  /** Ends the link without a report. */
  leave(code) {
    if (this.#dead) return;
    this.#detach();
    try {
      this.#ws.close(code);
    } catch {
      this.#ws.close();
    }
  }

  /** Ends the link and reports why. */
  fail({ reason, error = null, closeWith }) {
    if (this.#dead) return;
    this.leave(closeWith);
    // A dead peer answers no close frame; the `ws` package would hold its socket for 30 s.
    if (reason === "ping timeout") this.#ws.terminate?.();
    this.#owner.lost(this, { reason, code: null, error });
  }

  checkAlive() {
    if (this.overdue) this.#pingTimeout();
  }

  #detach() {
    this.#dead = true;
    this.live = false;
    this.#deadline = Infinity;
    this.#timers.clearTimeout(this.#timer);
    this.#ws.onmessage = null;
    this.#ws.onclose = null;
  }

  #receive(data) {
    if (this.#dead) return;
    let packet;
    try {
      packet = this.#read(data);
    } catch (error) {
      this.fail({ reason: "protocol error", error, closeWith: 4000 });
      return;
    }
    // A packet for a namespace that this client is not in concerns nobody here.
    if (packet !== null && packet.nsp === this.#nsp) this.#owner.packet(this, packet);
  }

  #read(data) {
    if (typeof data !== "string") throw malformed("binary frame");
    if (this.handshake === null) {
      if (data[0] !== "0") throw malformed("no open packet");
      this.handshake = parseHandshake(data.slice(1));
      this.#expectPing();
      this.#owner.opened(this);
      return null;
    }
    if (data[0] === "4") return parsePacket(data);
    switch (data) {
      case "2":
        this.#ws.send("3");
        this.#expectPing();
        return null;
      case "1":
        this.fail({ reason: "transport close", closeWith: 1000 });
        return null;
      case "6":
        return null;
      default:
        throw malformed("unexpected Engine.IO packet");
    }
  }

  #expectPing() {
    if (this.dismissed) return;
    const { pingInterval, pingTimeout } = this.handshake;
    const ms = pingInterval + pingTimeout;
    if (ms === 0 || ms > TIMER_MAX_MS) return;
    this.#deadline = this.#timers.now() + ms;
    this.#arm(ms, () => this.#pingTimeout());
  }

  #pingTimeout() {
    this.fail({ reason: "ping timeout", closeWith: 4002 });
  }

  #arm(ms, fn) {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = this.#timers.setTimeout(fn, ms);
  }

  #closed(code) {
    if (this.#dead) return;
    this.#detach();
    this.#owner.lost(this, {
      reason: this.dismissed ? "server disconnect" : "transport close",
      code,
      error: null,
    });
  }
}

// What leaves the client: at once, or later and in order, or not at all and then its sender hears why.


/**
 * The one way out for events. It outlives the links: what waits for a connection leaves on the next
 * one, and an acknowledgement's id is never used again.
 */
class Outbox {
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
function checkWhenAway(whenAway = "wait") {
  if (whenAway !== "wait" && whenAway !== "fail")
    throw new TypeError('whenAway is "wait" or "fail"');
}

// Many links, one after the other: opening, confirming, losing, coming back, and the end.


/**
 * The client's connection, which outlives its links.
 *
 * `state` goes `connecting` → `confirming` → `connected`; after a loss `reconnecting` →
 * `confirming` → `connected`; and at the end `disconnected`, which is for good. First everything is
 * in its new state, then handlers hear of it.
 */
class Connection {
  state = "connecting";
  address = null;
  userId = null;

  #options;
  #handlers;
  #outbox;
  #owner;
  #credentials;
  #link = null;

  /**
   * Changes whenever the client turns to something else, so that a late answer knows it is late.
   */
  #turn = 0;
  /** Connections lost or failed so far: which URL of a list is next. */
  #losses = 0;
  /** Attempts since the last healthy connection. */
  #attempt = 0;
  #confirmedAt = null;
  /**
   * The wait for the next attempt: `{ timer, asked }`; one that the server asked for is not cut
   * short.
   */
  #wait = null;
  #attemptTimer = null;
  #drainMs = null;
  /** Why the server puts this client out, once it said so. */
  #bootReason = null;
  #unwatch = () => {};

  /**
   * @param {{
   *   event(link: Link, packet: object): void,
   *   connected(): () => void,
   *   dropped(): () => void,
   *   ended(error: WhiskError | null): () => void,
   * }} owner gets each event of the server after the connection's own part in it; the other three
   *   bring it into its new state, and give what tells its handlers so
   */
  constructor(options, handlers, outbox, owner) {
    this.#options = options;
    this.#handlers = handlers;
    this.#outbox = outbox;
    this.#owner = owner;
    this.#credentials = new Credentials(options);
    const asks = handlers.ofHandshake("whisk.auth.request");
    if (options.session && !this.#credentials.any && !asks) {
      throw new WhiskError(
        "no_credential",
        "nothing proves the session: pass token, getToken or renewUrl " +
          "(or session: false for a namespace that asks for none)",
      );
    }
    this.#unwatch = watchPlatform(
      () => this.#online(),
      () => this.#link?.checkAlive(),
    );
    this.#open();
  }

  /** The socket's id while connected. */
  get id() {
    return this.state === "connected" ? (this.#link?.sid ?? null) : null;
  }

  /** Whether an answer may still go out on this link. */
  holds(link) {
    return link === this.#link;
  }

  close() {
    if (this.state === "disconnected") return;
    const link = this.#link;
    if (link?.sid) link.send("41", "");
    link?.leave(1000);
    this.#stop({ reason: "client closed", code: 1000, error: null });
  }

  // -- opening and confirming

  async #open() {
    const turn = ++this.#turn;
    const { timeoutMs, timers } = this.#options;
    let ready;
    try {
      ready = await within(timeoutMs, timers, this.#prepare());
    } catch (cause) {
      if (turn === this.#turn)
        this.#couldNotOpen(cause, "unavailable", "url, auth or token could not be had");
      return;
    }
    if (turn !== this.#turn) return;
    try {
      this.#link = new Link(ready.url, this.#options, {
        opened: (link) => this.#opened(link, ready),
        packet: (link, packet) => this.#packet(link, packet),
        lost: (link, loss) => this.#lost(link, loss),
      });
    } catch (cause) {
      this.#couldNotOpen(cause, "transport", "the connection could not be opened");
      return;
    }
    this.#outbox.attach(this.#link);
    this.#attemptTimer = timers.setTimeout(() => {
      const error = new WhiskError("timeout", `not connected and confirmed within ${timeoutMs} ms`);
      this.#link?.fail({ reason: "timeout", error, closeWith: 4003 });
    }, timeoutMs);
  }

  /**
   * All that an attempt needs, before its socket opens: a server bounds the unconfirmed, in time
   * and number.
   */
  async #prepare() {
    const { session, lateAuth, nextUrl, auth, client } = this.#options;
    const url = await nextUrl(this.#losses);
    const extra = (typeof auth === "function" ? await auth() : auth) ?? {};
    if (!isObject(extra)) throw badOption("auth gave no object");
    const shows = session && !lateAuth && this.#credentials.any;
    const credential = shows ? await this.#credentials.take() : null;
    return { url, credential, body: stringify({ ...extra, whisk_client: client, ...credential?.auth }) };
  }

  #couldNotOpen(cause, code, message) {
    const error = asError(cause, code, message);
    this.#ended({ reason: "not opened", code: null, error, comeBack: !UNMENDABLE.has(error.code) });
  }

  #opened(link, { credential, body }) {
    this.state = "confirming";
    this.#outbox.maxPayload = link.handshake.maxPayload;
    if (credential !== null) {
      link.credential = credential;
      this.#credentials.sent(credential);
    }
    link.send("40", body);
  }

  #packet(link, packet) {
    if (link.dismissed) return;
    if (packet.type === "disconnect") {
      link.dismiss();
      return;
    }
    const joins = packet.type === "connect" || packet.type === "refusal";
    if (joins !== (link.sid === null)) {
      this.#broken(link, `${packet.type} out of turn`);
      return;
    }
    switch (packet.type) {
      case "connect":
        link.sid = packet.sid;
        if (!this.#options.session) this.#confirmed(link);
        break;
      case "refusal": {
        const { code = "connect_refused", message, data } = packet.error;
        this.#refused(link, new WhiskError(code, message, data));
        break;
      }
      case "event":
        this.#event(link, packet);
        break;
      case "ack":
        this.#outbox.acknowledged(packet);
        break;
    }
  }

  #event(link, packet) {
    const [payload] = packet.args;
    switch (packet.event) {
      case "whisk.auth.request":
        if (packet.id === undefined)
          this.#broken(link, "whisk.auth.request without an acknowledgement id");
        else if (this.#options.session || this.#handlers.ofHandshake(packet.event))
          this.#answerAuth(link, payload, packet.id);
        this.#handlers.tell(packet.event, packet.args, { handled: true });
        return;
      case "whisk.auth.accept":
        if (this.#options.session) this.#accept(link, payload);
        break;
      case "whisk.auth.error": {
        const failure = own(payload, "error");
        const [code, message] = [own(failure, "code"), own(failure, "message")];
        this.#refused(
          link,
          new WhiskError(
            isText(code) ? code : "session_refused",
            isText(message) ? message : undefined,
            failure,
          ),
        );
        break;
      }
      case "whisk.reconnect": {
        const afterMs = own(payload, "after_ms");
        if (isMillis(afterMs)) this.#drainMs = afterMs;
        // The server takes nothing new on this link; what is emitted now waits for the next one.
        link.leaving = true;
        break;
      }
      case "whisk.session":
        this.#sessionChanged(payload);
        break;
      case "whisk.boot": {
        const reason = own(payload, "reason");
        this.#bootReason = isText(reason) ? reason : "";
        link.dismiss();
        break;
      }
    }
    this.#owner.event(link, packet);
  }

  #sessionChanged(payload) {
    if (!isObject(payload)) {
      this.#handlers.fire("error", ignored("whisk.session"));
      return;
    }
    this.userId = own(payload, "user_id") ?? null;
    this.#handlers.fire("session", { userId: this.userId, data: payload });
  }

  #broken(link, what) {
    link.fail({ reason: "protocol error", error: malformed(what), closeWith: 4000 });
  }

  /**
   * The server asks who this is. What it gets is the credential that it has not looked at yet, or
   * another. On a living connection it asks because the confirmation runs out, or what the server's own
   * gate admitted (`for: "admission"`, of which only a handler knows more): then it gets a fresh one; if
   * none can be had, the connection goes on until the server ends it.
   */
  async #answerAuth(link, payload, id) {
    const custom = this.#handlers.ofHandshake("whisk.auth.request");
    let credential = null;
    const standard = async () => {
      if (link.live) credential = await this.#credentials.renew();
      else credential = link.credential ?? (await this.#credentials.take());
      return credential.auth;
    };
    try {
      const auth = custom ? await custom(payload, standard) : await standard();
      if (!isObject(auth))
        throw new WhiskError("no_credential", "the handler of whisk.auth.request gave nothing");
      if (auth !== credential?.auth) credential = { kind: "custom", auth };
      if (link !== this.#link) return;
      if (this.#options.session) {
        link.credential = credential;
        this.#credentials.sent(credential);
      }
      link.send("43", id + stringify([credential.auth]));
    } catch (cause) {
      if (link !== this.#link) return;
      if (link.live) {
        this.#handlers.fire("error", asError(cause, "unavailable", "no credential could be had"));
        return;
      }
      link.leave(1000);
      this.#link = null;
      this.#couldNotOpen(cause, "unavailable", "no credential could be had");
    }
  }

  #accept(link, payload) {
    const address = own(payload, "address");
    const resume = own(payload, "resume");
    if (
      own(payload, "success") !== true ||
      !isText(address) ||
      (resume !== undefined && !isText(resume))
    ) {
      this.#broken(link, "whisk.auth.accept");
      return;
    }
    const resumed = link.credential?.kind === "resume";
    this.#credentials.accepted(resume);
    this.address = address;
    this.userId = own(payload, "user_id") ?? null;
    // A server may confirm again to hand out a new `resume`: that is no new connection.
    if (!link.live) this.#confirmed(link, resumed);
  }

  #confirmed(link, resumed = false) {
    this.#options.timers.clearTimeout(this.#attemptTimer);
    const again = this.#confirmedAt !== null;
    const attempt = this.#attempt;
    this.#confirmedAt = this.#options.timers.now();
    this.state = "connected";
    link.live = true;
    const turn = this.#turn;
    this.#outbox.flush();
    if (turn !== this.#turn) return;
    const tellChannels = this.#owner.connected();
    if (turn !== this.#turn) return;
    this.#handlers.fire("connect", { userId: this.userId, address: this.address, resumed });
    if (again && turn === this.#turn) this.#handlers.fire("reconnect", { attempt });
    tellChannels();
  }

  /** The server looked at the session and said no. */
  #refused(link, error) {
    link.leave(1000);
    const other = error.code === "session_refused" && this.#credentials.refused(link.credential);
    const asked = own(error.data, "retry_after_ms");
    this.#lost(link, {
      reason: "refused",
      code: null,
      // One refused credential of several is no failure that a page should show.
      error: other ? null : error,
      comeBack: other || RETRYABLE.has(error.code),
      notBeforeMs: isMillis(asked) ? asked : 0,
    });
  }

  // -- losing and coming back

  #lost(link, loss) {
    if (link !== this.#link) return;
    if (loss.code === UNAUTHORIZED && this.state !== "connected") {
      this.#refused(link, new WhiskError("session_refused", "the server refused the session"));
      return;
    }
    this.#link = null;
    let { comeBack, error, reason } = loss;
    const { code } = loss;
    if (code === AUTH_EXPIRED || error?.code === "auth_expired") this.#credentials.expired();
    if (this.#bootReason !== null) {
      reason = "booted";
      comeBack = false;
      error = new WhiskError("booted", this.#bootReason || "the server put this client out");
    }
    comeBack ??= !link.dismissed && (code === null || comesBack(code));
    if (
      error === null &&
      this.state !== "connected" &&
      loss.reason === "transport close" &&
      comeBack
    ) {
      error = new WhiskError("transport", "the connection failed before it was confirmed");
    }
    if (error === null && !comeBack && code !== 1000) {
      const known = closeCodes.get(code);
      const name = known?.comeBack === false ? known.name : "dismissed";
      error = new WhiskError(name, `the server wants this client to stay away: ${name}`);
    }
    if (this.state !== "connected") this.#credentials.unanswered(link.credential);
    this.#ended({ ...loss, reason, error, comeBack });
  }

  /** An attempt or a connection ended. */
  #ended({ reason, code, error, comeBack, notBeforeMs = 0 }) {
    const { timers, attempts } = this.#options;
    timers.clearTimeout(this.#attemptTimer);
    const wasConnected = this.state === "connected";
    if (wasConnected && timers.now() - this.#confirmedAt >= STABLE_MS) this.#attempt = 0;
    if (comeBack && this.#attempt >= attempts) {
      this.#stop({
        reason,
        code,
        error: new WhiskError("reconnect_failed", `gave up after ${attempts} attempts`, undefined, {
          cause: error,
        }),
      });
      return;
    }
    if (!comeBack) {
      this.#stop({ reason, code, error });
      return;
    }
    this.#losses += 1;
    this.#attempt += 1;
    this.state = "reconnecting";
    this.address = null;
    this.#outbox.detach();
    const tellChannels = this.#owner.dropped();
    const asked = this.#drainMs !== null || notBeforeMs > 0;
    const delayMs = Math.min(
      DELAY_ASKED_MAX_MS,
      this.#drainMs ?? Math.max(notBeforeMs, backoffMs(this.#attempt, this.#options)),
    );
    this.#drainMs = null;
    const attempt = this.#attempt;
    const turn = ++this.#turn;
    this.#wait = { asked, timer: timers.setTimeout(() => this.#endWait(), delayMs) };
    if (wasConnected) this.#handlers.fire("disconnect", { reason, code, willReconnect: true });
    tellChannels();
    if (error !== null) this.#handlers.fire("error", error);
    if (turn === this.#turn) this.#handlers.fire("reconnecting", { attempt, delayMs });
  }

  #endWait() {
    this.#options.timers.clearTimeout(this.#wait.timer);
    this.#wait = null;
    this.#open();
  }

  /**
   * The network is back: no reason to sit out a back-off; a connection may have died with the old
   * one.
   */
  #online() {
    if (this.#wait !== null && !this.#wait.asked) this.#endWait();
    else this.#link?.checkAlive();
  }

  #stop({ reason, code, error }) {
    const wasConnected = this.state === "connected";
    const { timers } = this.#options;
    this.#turn += 1;
    this.state = "disconnected";
    this.#link = null;
    this.address = null;
    timers.clearTimeout(this.#attemptTimer);
    if (this.#wait !== null) timers.clearTimeout(this.#wait.timer);
    this.#wait = null;
    this.#unwatch();
    const dropped = this.#outbox.end(error);
    const tellChannels = this.#owner.ended(error);
    if (wasConnected) this.#handlers.fire("disconnect", { reason, code, willReconnect: false });
    if (error !== null) this.#handlers.fire("error", error);
    if (dropped > 0)
      this.#handlers.fire(
        "error",
        new WhiskError("closed", `${dropped} emits were never sent`, { dropped }),
      );
    tellChannels();
    const boot = this.#bootReason === null ? {} : { bootReason: this.#bootReason };
    this.#handlers.fire("close", { reason, code, ...boot });
  }
}

const asError = (cause, code, message) =>
  cause instanceof WhiskError ? cause : new WhiskError(code, message, undefined, { cause });

// Whisk's own events and answers, from what came over the network to what can be relied on. `null`
// stands for one that says nothing that can be understood.


const NAME = /^(?!_)[A-Za-z0-9\-_.:/]{1,255}$/;

/** Whether a channel may be called so. */
const isChannelName = (name) => typeof name === "string" && NAME.test(name);

/** A field that may be left out, or be `null`, which says the same. */
function optional(value, key, fits) {
  const field = own(value, key) ?? undefined;
  return field === undefined || fits(field) ? { field } : null;
}

const isString = (value) => typeof value === "string";

/** The head of a message, without what the receiver adds to it. */
function readMessage(head) {
  const topic = own(head, "topic");
  const [epoch, offset] = [optional(head, "epoch", isText), optional(head, "offset", isCount)];
  const [id, from, client] = ["id", "from", "client"].map((key) => optional(head, key, isText));
  const at = optional(head, "at", isMillis);
  const ask = own(head, "ask") === true;
  if (!isString(topic) || !epoch || !offset || !id || !from || !client || !at) return null;
  // Somebody waits for an answer, and it could not be sent anywhere.
  if (ask && (!id.field || !from.field)) return null;
  return {
    topic,
    epoch: epoch.field,
    offset: offset.field,
    id: id.field,
    from: from.field,
    client: client.field,
    user: own(head, "user") ?? null,
    at: at.field,
    direct: own(head, "direct") === true,
    ask,
  };
}

/** How far a channel is. */
function readPosition(value) {
  const [epoch, offset] = [own(value, "epoch"), own(value, "offset")];
  return isString(epoch) && isCount(offset) ? { epoch, offset } : null;
}

/** What a publication became. One to a single receiver has no position. */
function readPublished(value) {
  const [id, at] = [own(value, "id"), own(value, "at")];
  if (!isText(id) || !isMillis(at)) return null;
  const level = own(value, "level");
  return { id, at, position: readPosition(value), level: isText(level) ? level : null };
}

/** The first reply to a request. */
function readReply(value) {
  const [id, at] = [own(value, "id"), own(value, "at")];
  const [from, client] = ["from", "client"].map((key) => optional(value, key, isText));
  if (!isText(id) || !isMillis(at) || !from || !client) return null;
  return {
    data: own(value, "data"),
    id,
    at,
    from: from.field,
    client: client.field,
    user: own(value, "user") ?? null,
  };
}

/** Who is on a channel with presence. `version` stands beside it in a change. */
function readMember(value, version = own(value, "version")) {
  const [client, state] = [own(value, "client"), own(value, "state")];
  const [firstSeen, lastSeen] = [own(value, "first_seen"), own(value, "last_seen")];
  const label = optional(value, "label", isString);
  if (!isText(client) || (state !== "connected" && state !== "disconnected")) return null;
  if (!isMillis(firstSeen) || !isMillis(lastSeen) || !isCount(version) || !label) return null;
  return Object.freeze({
    client,
    user: own(value, "user") ?? null,
    label: label.field ?? null,
    meta: own(value, "meta") ?? null,
    state,
    first_seen: firstSeen,
    last_seen: lastSeen,
    version,
  });
}

/** A part of a roster. One that is empty and yet goes on would have no end. */
function readPage(value) {
  const [epoch, version, list] = ["epoch", "version", "members"].map((key) => own(value, key));
  const next = optional(value, "next", isText);
  if (!isText(epoch) || !isCount(version) || !Array.isArray(list) || !next) return null;
  const members = list.map((member) => readMember(member));
  if (members.includes(null) || (members.length === 0 && next.field !== undefined)) return null;
  return { epoch, version, members, next: next.field };
}

const CHANGES = new Set([
  "client.connected",
  "client.disconnected",
  "client.reconnected",
  "client.removed",
  "client.updated",
]);

/** A change of a roster, or who was `seen` after a knock. */
function readChange(value) {
  const event = own(value, "event");
  if (event === "seen") {
    const seen = own(value, "seen");
    const fits = (pair) => Array.isArray(pair) && isText(pair[0]) && isMillis(pair[1]);
    return Array.isArray(seen) && seen.every(fits) ? { seen } : null;
  }
  const [epoch, version] = [own(value, "epoch"), own(value, "version")];
  if (!CHANGES.has(event) || !isText(epoch) || !isCount(version)) return null;
  const member = readMember(own(value, "member"), version);
  return member && { epoch, version, member, removed: event === "client.removed" };
}

/** Counts of a roster. */
function readCounts(value) {
  const counts = ["connected", "disconnected", "users"].map((key) => own(value, key));
  if (!counts.every(isCount)) return null;
  const [connected, disconnected, users] = counts;
  return { connected, disconnected, users };
}

// How far a channel was heard, and what was heard too early.


/**
 * How far a channel was heard. Offsets of two epochs say nothing about each other; the epoch is ""
 * while nothing was ever said there.
 */
class Cursor {
  #epoch = null;
  #offset = -1;

  /** `{ epoch, offset }`, or `null` while nobody told the epoch. */
  get position() {
    return this.#epoch === null ? null : { epoch: this.#epoch, offset: this.#offset };
  }

  /** Moves to where a message is, and tells whether it is new. One without an offset always is. */
  takes({ epoch = this.#epoch, offset }) {
    if (offset === undefined) return true;
    if (epoch === this.#epoch && offset <= this.#offset) return false;
    this.#epoch = epoch;
    this.#offset = offset;
    return true;
  }

  /** Moves to where the channel is: forward, or anywhere in another epoch. */
  move({ epoch, offset }) {
    if (epoch === this.#epoch && offset <= this.#offset) return;
    this.#epoch = epoch;
    this.#offset = offset;
  }
}

/** What waits for an acknowledgement or for handlers, in order and within bounds. */
class Backlog {
  #items = [];
  #chars = 0;
  #dropped = 0;

  /** Keeps an item that was `size` characters long, unless there are too many. */
  push(item, size) {
    if (this.#items.length >= EARLY_MAX || this.#chars + size > EARLY_CHARS_MAX) {
      this.#dropped += 1;
    } else {
      this.#items.push([item, size]);
      this.#chars += size;
    }
  }

  /** Empties it of its pairs of item and size. */
  take() {
    const taken = { items: this.#items, dropped: this.#dropped };
    this.#items = [];
    this.#chars = 0;
    this.#dropped = 0;
    return taken;
  }
}

// Who listens to a channel, and how a message and its answer pass between both.


/** The one name in tables of handlers that take everything. */
const ALL = "";

/** The handlers of one handle. They stand apart from it, so that users see its methods alone. */
class Audience {
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
class Feed {
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
function deliver(host, owner, audiences, channel, { head, data }) {
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

// Who is on a channel: pages and changes, in whatever order they come, made into one whole.


/**
 * A channel's roster. It shows the last whole one; while it is read anew, pages and changes gather
 * beside it, and once that is whole, the differences are the events. So each is told once, however
 * often its cause was heard, and nobody sees half a roster.
 *
 * Each entry carries the version of its last change, and the greatest wins. While reading, a
 * removal leaves its version behind, so that a page that was read before it cannot undo it. A
 * change up to the first page's version is in the pages already.
 */
class Roster {
  /** Everybody that there was when it was last whole, and the changes since. */
  complete = false;
  /** It was too large to be kept as a whole. */
  truncated = false;

  #epoch = null;
  #shown = new Map();
  /** Of what is shown: the first page's version. */
  #floor = -1;
  #everWhole = false;
  #reading = null;

  get size() {
    return this.#shown.size;
  }

  get reading() {
    return this.#reading !== null;
  }

  member(client) {
    return this.#shown.get(client);
  }

  members() {
    return [...this.#shown.values()];
  }

  /** What is shown may be old from now on; the next page is the first of a new one. */
  begin() {
    this.complete = false;
    this.#reading = {
      epoch: null,
      floor: -1,
      begun: false,
      members: new Map(),
      gone: new Map(),
      read: 0,
      full: false,
    };
  }

  /** What is shown may be old, and nothing is read. */
  stop() {
    this.complete = false;
    this.#reading = null;
  }

  /**
   * The next page of those that are read in a row.
   * @returns {{ next?: string, anew?: true, events?: object[] }} where to read on; or that it must
   *   be begun anew, because the epoch changed meanwhile; or what the whole differs in
   */
  page({ epoch, version, members, next }) {
    const reading = this.#reading;
    reading.epoch ??= epoch;
    if (reading.epoch !== epoch) return { anew: true };
    if (!reading.begun) {
      reading.begun = true;
      reading.floor = version;
      for (const early of [reading.members, reading.gone]) forget(early, version);
    }
    for (const member of members) merge(reading, member);
    // Whoever pages for ever is not followed for ever.
    reading.read += members.length;
    if (reading.read > ROSTER_MAX) reading.full = true;
    if (next !== undefined && !reading.full) return { next };
    return { events: this.#finish(reading) };
  }

  /**
   * A change.
   * @returns {{ anew?: true, events: object[] }} `anew`: another epoch began, read it
   */
  change({ epoch, version, member, removed }) {
    const reading = this.#reading;
    if (reading !== null) {
      reading.epoch ??= epoch;
      if (reading.epoch !== epoch) return { anew: true, events: [] };
      if (version > reading.floor) {
        if (removed) leave(reading, member.client, version);
        else merge(reading, member);
      }
      return { events: [] };
    }
    if (!this.complete) return { events: [] };
    if (epoch !== this.#epoch) return { anew: true, events: [] };
    const known = this.#shown.get(member.client);
    if (version <= this.#floor || (known?.version ?? -1) >= version) return { events: [] };
    if (removed) {
      this.#shown.delete(member.client);
      return { events: known ? [{ event: "client.removed", member }] : [] };
    }
    if (!known && this.#shown.size >= ROSTER_MAX) {
      this.truncated = true;
      return { events: [] };
    }
    this.#shown.set(member.client, member);
    return { events: differences(known, member) };
  }

  /** Later sightings, as pairs of client and time. Returns those of members that are shown. */
  seen(pairs) {
    for (const [client, at] of pairs) {
      for (const table of [this.#shown, this.#reading?.members]) {
        const member = table?.get(client);
        if (member && at > member.last_seen)
          table.set(client, Object.freeze({ ...member, last_seen: at }));
      }
    }
    return pairs.filter(([client]) => this.#shown.has(client));
  }

  #finish({ epoch, floor, members, full }) {
    const before = this.#shown;
    this.#shown = members;
    this.#epoch = epoch;
    this.#floor = floor;
    this.#reading = null;
    this.complete = true;
    this.truncated = full;
    // The first whole roster is where events begin.
    if (!this.#everWhole) {
      this.#everWhole = true;
      return [];
    }
    const events = [];
    for (const member of before.values()) {
      if (!members.has(member.client)) events.push({ event: "client.removed", member });
    }
    for (const member of members.values()) {
      events.push(...differences(before.get(member.client), member));
    }
    return events;
  }
}

const newer = (version, than) => than === undefined || version > than;

function merge(reading, member) {
  const { members, gone } = reading;
  const { client, version } = member;
  if (!newer(version, gone.get(client)) || !newer(version, members.get(client)?.version)) return;
  if (members.has(client) || room(reading)) members.set(client, member);
}

function leave(reading, client, version) {
  const { members, gone } = reading;
  if (!newer(version, gone.get(client)) || !newer(version, members.get(client)?.version)) return;
  members.delete(client);
  if (gone.has(client) || room(reading)) gone.set(client, version);
}

function room(reading) {
  const fits = reading.members.size + reading.gone.size < ROSTER_MAX;
  if (!fits) reading.full = true;
  return fits;
}

function forget(table, floor) {
  for (const [client, entry] of table) {
    if ((entry.version ?? entry) <= floor) table.delete(client);
  }
}

/** What happened to a member, told from its state before and after. */
function differences(before, member) {
  const names = [];
  if (before === undefined) {
    names.push("client.connected");
    if (member.state === "disconnected") names.push("client.disconnected");
  } else if (before.state !== member.state) {
    names.push(member.state === "connected" ? "client.reconnected" : "client.disconnected");
  }
  if (
    before !== undefined &&
    (differ(before.label, member.label) || differ(before.meta, member.meta))
  )
    names.push("client.updated");
  return names.map((event) => ({ event, member }));
}

const differ = (one, other) => one !== other && jsonOf(one) !== jsonOf(other);

// Reads the roster of one channel, keeps it whole, and tells what changes.


/** The part of a subscription that reads the roster, shared by its handles. */
class RosterReader {
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

// Presence of a channel, as one handle shows it.


const EVENTS = new Set([
  "client.connected",
  "client.disconnected",
  "client.reconnected",
  "client.removed",
  "client.updated",
  "seen",
]);

/** A live roster, and the own entry in it. */
class Presence {
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

// One channel on the network, which several handles share: asked for, lost, asked for again, ended.


/**
 * A client's subscription to one channel.
 *
 * `status` goes `subscribing` → `active`; after a loss `dropped` → `subscribing` → `active`. A
 * refusal that may be mended makes it `retrying`. It ends as `refused`, `removed`, `unsubscribed`,
 * `booted` or `closed`, and then nothing changes it any more.
 */
class Subscription {
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
const notSubscribed = (name, cause) =>
  new WhiskError("not_subscribed", `the handle of "${name}" has ended`, undefined, { cause });

// What is asked again and again.

/**
 * Runs `beat` every `ms`, and leaves a beat out while the one before it still runs.
 * @param {() => Promise<void>} beat never rejects
 * @returns {() => void} stops it; a beat that runs then runs to its end
 */
function repeat(timers, ms, beat) {
  let timer = null;
  let running = false;
  const tick = async () => {
    timer = timers.setTimeout(tick, ms);
    if (running) return;
    running = true;
    await beat();
    running = false;
  };
  timer = timers.setTimeout(tick, ms);
  return () => timers.clearTimeout(timer);
}

// A handle of a channel: what users hold after `subscribe`.


/**
 * One handle of a channel. Several share one subscription on the network, which ends with the last
 * of them; each has its own handlers.
 */
class Channel extends Feed {
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

// All channels of one client: its subscriptions by name, its private channels, broadcasts.


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
class Channels {
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

// The interface of one client, in front of its connection, its outbox and its handlers.


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
class Client {
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

/**
 * The client of Whisk for browsers and Node: one module, no dependencies.
 *
 * It speaks Socket.IO 5 over Engine.IO 4 on a WebSocket, confirms the page's session, comes back by
 * itself after a loss, and says honestly what became of each message. Its modules stand in the order
 * of reading:
 *
 *   limits, close, values, errors, json     what the outside can name, and what may be told of it
 *   packets                                 text in, checked packets out
 *   listeners, handlers, urls, options      who hears of what, and what `connect` takes
 *   timing, platform, credentials, link     small parts, and one transport up to its loss
 *   outbox                                  what leaves, and what became of it
 *   connection                              many links, one after the other
 *   events, stream, feed                    what is said on channels, in order, and to whom
 *   roster, reader, presence                who is on a channel
 *   subscription, repeat, channel, channels channels on the network, and their handles
 *   client                                  all of it behind one interface
 *
 * Names that came over the network are only ever keys of a `Map`, never of a plain object, and
 * nothing received is merged into another object: no prototype can be reached from outside.
 *
 * @module whisk
 */


/** The version of this library. */
const version = "0.1.0";

/**
 * Connects to a ws-service and returns the client at once; `connect` fires when the session is
 * confirmed. The options are described in `whisk.d.ts` and the README.
 *
 * @param {object} options
 * @returns {Client}
 * @throws {WhiskError} `bad_option`, `no_credential` or `no_websocket`, before anything is opened
 */
function connect(options) {
  return new Client(options);
}

export { Client, WhiskError, clientSecret, closeCodes, comesBack, connect, version };

// Made from client/src by "npm run build" in client/: change it there, not here.

/**
 * The client of Whisk for browsers and Node: one module, no dependencies.
 *
 * It speaks Socket.IO 5 over Engine.IO 4 on a WebSocket, confirms the page's session, comes back by
 * itself after a loss, and says honestly what became of each message. Its modules stand in the order
 * of reading:
 *
 *   limits, close, errors, values           what the outside can name, and what may be told of it
 *   packets                                 text in, checked packets out
 *   listeners, handlers, urls, options      who hears of what, and what `connect` takes
 *   timing, platform, credentials, link     small parts, and one transport up to its loss
 *   outbox                                  what leaves, and what became of it
 *   connection                              many links, one after the other
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
    [4029, "rate_limited", true],
    [4100, "booted", false],
    [4101, "unauthorized", false],
    [4102, "session_ended", false],
    [4103, "too_many_unconfirmed", false],
    [4104, "auth_expired", true],
  ].map(([code, name, comeBack]) => [code, Object.freeze({ name, comeBack })]),
);

/** The confirmation was refused. */
const UNAUTHORIZED = 4101;

/**
 * Whether a client comes back after a close with this code: by the table, else never after 41xx and
 * always after the rest.
 * @param {number} code
 * @returns {boolean}
 */
function comesBack(code) {
  return closeCodes.get(code)?.comeBack ?? !(code >= 4100 && code <= 4199);
}

// What can go wrong, as codes for programs, and which of it may go right later.

/** Refusals after which the same client may try again later; after any other it stays away. */
const RETRYABLE = new Set([
  "unavailable",
  "auth_timeout",
  "timeout",
  "internal",
  "overloaded",
  "rate_limited",
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
 * Codes of the client itself: `timeout`, `connection_dropped`, `closed`, `buffer_full`,
 * `payload_too_large`, `not_serializable`, `protocol`, `transport`, `no_credential`, `no_session`,
 * `forbidden`, `unavailable`, `connect_refused`, `dismissed`, `reconnect_failed`, `handler_failed`,
 * `no_websocket`, `bad_option`; the name of a close code that means "stay away"; and whatever code
 * the server sent.
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

// What may be told of a value that came over the network, and how values become text.


const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** An own property of something received, so that nothing inherited passes for data. */
const own = (value, key) =>
  isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
const isText = (value) => typeof value === "string" && value !== "";
const isMillis = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;
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
 *   error?: { code?: string, message: string, data: unknown } }}
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
      return { type: "event", nsp, id, event: list[0], args: list.slice(1) };
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

/** Handlers by event name. */
class Listeners {
  #table = new Map();

  add(event, fn, once) {
    if (typeof event !== "string") throw new TypeError("an event's name is a string");
    if (typeof fn !== "function") throw new TypeError("a handler is a function");
    const list = this.#table.get(event);
    if (list) list.push({ fn, once });
    else this.#table.set(event, [{ fn, once }]);
  }

  remove(event, fn) {
    const left =
      fn === undefined ? [] : (this.#table.get(event) ?? []).filter((entry) => entry.fn !== fn);
    if (left.length === 0) this.#table.delete(event);
    else this.#table.set(event, left);
  }

  /**
   * The functions to call now, in the order in which they were added; those of `once` are gone
   * after.
   */
  take(event) {
    const list = this.#table.get(event);
    if (list === undefined) return [];
    if (list.some((entry) => entry.once)) {
      const left = list.filter((entry) => !entry.once);
      if (left.length === 0) this.#table.delete(event);
      else this.#table.set(event, left);
    }
    return list.map((entry) => entry.fn);
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


/** Events of the client itself. The server can neither send nor trigger them. */
const LIFECYCLE = new Set(["connect", "disconnect", "reconnecting", "reconnect", "error", "close"]);

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
  "namespace",
  "groups",
  "timeoutMs",
  "reconnect",
  "WebSocket",
  "timers",
  "random",
]);

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

// Back-off and deadlines.


/** Exponential back-off with full jitter: anywhere between the floor and a ceiling that doubles. */
function backoffMs(attempt, { minMs, maxMs, random }) {
  const ceiling = Math.min(maxMs, minMs * 2 ** (attempt - 1));
  return Math.round(Math.max(Math.min(DELAY_FLOOR_MS, minMs), random() * ceiling));
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
    const { now } = this.#options.timers;
    if (this.#fresh === null || now() - this.#fresh.at >= TOKEN_REUSE_MS) {
      this.#fresh = { token: await this.#renew(), at: now() };
    }
    return { kind: "fresh", auth: { ws_token: this.#fresh.token } };
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

  async #renew() {
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


/** How long an acknowledgement is awaited unless told otherwise. */
const ACK_TIMEOUT_MS = 5000;

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
  #unwatch = () => {};

  /**
   * @param {{ event(link: Link, packet: object): void }} owner gets each event of the server, after
   *   the connection's own part in it
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
    const { session, lateAuth, nextUrl, auth } = this.#options;
    const url = await nextUrl(this.#losses);
    const extra = (typeof auth === "function" ? await auth() : auth) ?? {};
    if (!isObject(extra)) throw badOption("auth gave no object");
    const shows = session && !lateAuth && this.#credentials.any;
    const credential = shows ? await this.#credentials.take() : null;
    const body = { ...extra, ...credential?.auth };
    return { url, credential, body: Object.keys(body).length === 0 ? "" : stringify(body) };
  }

  #couldNotOpen(cause, code, message) {
    const error =
      cause instanceof WhiskError ? cause : new WhiskError(code, message, undefined, { cause });
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
        else if (this.#options.session) this.#answerAuth(link, payload, packet.id);
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
    }
    this.#owner.event(link, packet);
  }

  #broken(link, what) {
    link.fail({ reason: "protocol error", error: malformed(what), closeWith: 4000 });
  }

  /**
   * The server asks who this is. What it gets is the credential that it has not looked at yet, or
   * another.
   */
  async #answerAuth(link, payload, id) {
    const custom = this.#handlers.ofHandshake("whisk.auth.request");
    let credential = null;
    const standard = async () => {
      credential = !link.live && link.credential ? link.credential : await this.#credentials.take();
      return credential.auth;
    };
    try {
      const auth = custom ? await custom(payload, standard) : await standard();
      if (!isObject(auth))
        throw new WhiskError("no_credential", "the handler of whisk.auth.request gave nothing");
      if (auth !== credential?.auth) credential = { kind: "custom", auth };
      if (link !== this.#link) return;
      link.credential = credential;
      this.#credentials.sent(credential);
      link.send("43", id + stringify([credential.auth]));
    } catch (cause) {
      if (link !== this.#link) return;
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
    this.#handlers.fire("connect", { userId: this.userId, address: this.address, resumed });
    if (again && turn === this.#turn) this.#handlers.fire("reconnect", { attempt });
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
    let { comeBack, error } = loss;
    const { code } = loss;
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
    this.#ended({ ...loss, error, comeBack });
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
    if (wasConnected) this.#handlers.fire("disconnect", { reason, code, willReconnect: false });
    if (error !== null) this.#handlers.fire("error", error);
    if (dropped > 0)
      this.#handlers.fire(
        "error",
        new WhiskError("closed", `${dropped} emits were never sent`, { dropped }),
      );
    this.#handlers.fire("close", { reason, code });
  }
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
  #connection;

  /** @internal Use `connect`. */
  constructor(given) {
    const options = readOptions(given);
    this.#handlers = new Handlers(options.groups);
    this.#outbox = new Outbox(options, (error) => this.#handlers.fire("error", error));
    this.#connection = new Connection(options, this.#handlers, this.#outbox, {
      event: (link, packet) => this.#event(link, packet),
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

  /**
   * Adds a handler: of the client's own events (`connect`, `disconnect`, `reconnecting`,
   * `reconnect`, `error`, `close`) or of any event from the server. The two live apart: no event
   * from the server reaches a handler of the client's own. If the server awaits an acknowledgement,
   * it gets what the first handler of the event returns, or its promise.
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
    try {
      this.#outbox.send([event, ...args]);
      return true;
    } catch (error) {
      this.#handlers.fire("error", error);
      return false;
    }
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
    checkName(event);
    return this.#outbox.ask(payload === undefined ? [event] : [event, payload], { timeoutMs });
  }

  /**
   * Leaves for good: the server is told, waiting emits are dropped, awaited acknowledgements
   * reject.
   */
  close() {
    this.#connection.close();
  }

  #event(link, { event, args, id }) {
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
 *   limits, close, errors, values           what the outside can name, and what may be told of it
 *   packets                                 text in, checked packets out
 *   listeners, handlers, urls, options      who hears of what, and what `connect` takes
 *   timing, platform, credentials, link     small parts, and one transport up to its loss
 *   outbox                                  what leaves, and what became of it
 *   connection                              many links, one after the other
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

export { Client, WhiskError, closeCodes, comesBack, connect, version };

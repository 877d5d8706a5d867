// Many links, one after the other: opening, confirming, losing, coming back, and the end.

import { Credentials } from "./credentials.js";
import { AUTH_EXPIRED, closeCodes, comesBack, UNAUTHORIZED } from "./close.js";
import { badOption, ignored, malformed, RETRYABLE, UNMENDABLE, WhiskError } from "./errors.js";
import { DELAY_ASKED_MAX_MS, STABLE_MS } from "./limits.js";
import { Link } from "./link.js";
import { watchPlatform } from "./platform.js";
import { backoffMs, within } from "./timing.js";
import { stringify } from "./json.js";
import { isMillis, isObject, isText, own } from "./values.js";

/**
 * The client's connection, which outlives its links.
 *
 * `state` goes `connecting` → `confirming` → `connected`; after a loss `reconnecting` →
 * `confirming` → `connected`; and at the end `disconnected`, which is for good. First everything is
 * in its new state, then handlers hear of it.
 */
export class Connection {
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

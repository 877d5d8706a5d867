// What proves the session, in the order in which it is used.

import { UNMENDABLE, WhiskError } from "./errors.js";
import { TOKEN_REUSE_MS } from "./limits.js";
import { isText, own } from "./values.js";

/**
 * What proves the session: the `resume` of the last confirmation first, then the page's token, then
 * a fresh token. Each is `{ kind, auth }`, and `auth` is what the server reads.
 */
export class Credentials {
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

// One transport, from its opening to its loss.

import { malformed } from "./errors.js";
import { CLOSE_GRACE_MS, TIMER_MAX_MS } from "./limits.js";
import { parseHandshake, parsePacket } from "./packets.js";

/**
 * One transport: opens it, keeps Engine.IO's heartbeat, hands on packets of its namespace, and
 * reports its loss exactly once. After that, or after `leave`, it is dead and silent.
 */
export class Link {
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

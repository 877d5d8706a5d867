// A client on a WebSocket, a clock and a dice that the test holds in its hands.
import assert from "node:assert/strict";
import { connect } from "../../whisk.js";

/** A clock that moves only when told. */
export class Clock {
  time = 0;
  #timers = new Map();
  #next = 1;
  setTimeout = (fn, ms) => {
    this.#timers.set(this.#next, { at: this.time + ms, fn });
    return this.#next++;
  };
  clearTimeout = (id) => void this.#timers.delete(id);
  now = () => this.time;

  get pending() {
    return this.#timers.size;
  }

  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.at <= end)
        .sort((a, b) => a[1].at - b[1].at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.time = due[1].at;
      due[1].fn();
    }
    this.time = end;
  }
}

/** Polls a condition once per turn of the event loop. */
export async function until(condition, what = "the condition", ms = 5000) {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (performance.now() > deadline) assert.fail(`${what} did not come true within ${ms} ms`);
    await new Promise(setImmediate);
  }
}

/** Lets everything run that is ready to run: enough turns for the client's few awaits in a row. */
export async function settled() {
  for (let i = 0; i < 10; i += 1) await new Promise(setImmediate);
}

const HANDSHAKE = {
  sid: "e1",
  upgrades: [],
  pingInterval: 25000,
  pingTimeout: 20000,
  maxPayload: 262144,
};

/** The WebSocket's server side: what the client sent is in `sent`, `receive` speaks to it. */
class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  closedWith = null;
  constructor(url) {
    this.url = url;
  }
  send(text) {
    assert.equal(this.readyState, 1, "the client sends on an open socket only");
    this.sent.push(text);
  }
  close(code) {
    this.readyState = 3;
    this.closedWith = code;
  }

  open(handshake = {}) {
    this.readyState = 1;
    this.receive(`0${JSON.stringify({ ...HANDSHAKE, ...handshake })}`);
    return this;
  }
  receive(...frames) {
    for (const data of frames) this.onmessage?.({ data });
    return this;
  }
  event(name, payload, id = "") {
    return this.receive(`42${id}${JSON.stringify([name, payload])}`);
  }
  /** An event with any number of arguments. */
  tell(...args) {
    return this.receive(`42${JSON.stringify(args)}`);
  }
  /** The client's events of one name so far, oldest first: `{ id, args }`. */
  heard(name) {
    return this.sent
      .map((frame) => /^42(\d*)(\[.*)$/s.exec(frame))
      .filter(Boolean)
      .map(([, id, body]) => ({ id, args: JSON.parse(body) }))
      .filter(({ args }) => args[0] === name)
      .map(({ id, args }) => ({ id, args: args.slice(1) }));
  }
  /** Acknowledges the client's last event of one name. */
  ack(name, value) {
    return this.receive(`43${this.heard(name).at(-1).id}${JSON.stringify([value])}`);
  }
  refuse(name, code, more = {}) {
    return this.ack(name, { error: { code, message: `no: ${code}`, ...more } });
  }
  drop(code = 1006) {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code });
  }
  /** All that the client said in CONNECT. */
  get said() {
    const connects = this.sent.filter((frame) => frame.startsWith("40"));
    assert.equal(connects.length, 1, "one CONNECT per connection");
    return JSON.parse(connects[0].slice(connects[0].indexOf("{")));
  }
  /** The same without the client's own secret. */
  get auth() {
    const { whisk_client: client, ...auth } = this.said;
    assert.ok(client.length >= 16);
    return auth;
  }
  /** Handshake A from the opening to the confirmation. */
  confirm(accept = {}, handshake = {}) {
    this.open(handshake).receive('40{"sid":"s1"}');
    return this.event("whisk.auth.accept", {
      success: true,
      user_id: 7,
      address: "ws/1/s1",
      resume: "r1",
      ...accept,
    });
  }
}

/**
 * A client with `token: "t1"` unless told otherwise, its sockets, its clock, and all that it fired.
 */
export function rig(options = {}) {
  const clock = new Clock();
  const sockets = [];
  const dice = { value: 0.5 };
  class WebSocket extends FakeSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  }
  const client = connect({
    url: "ws://node-a",
    token: "t1",
    WebSocket,
    timers: clock,
    random: () => dice.value,
    ...options,
  });
  const fired = [];
  for (const name of ["connect", "disconnect", "reconnecting", "reconnect", "error", "close"]) {
    client.on(name, (detail) => fired.push([name, detail]));
  }
  return {
    client,
    clock,
    sockets,
    fired,
    dice,
    /** The nth socket, once the client opened it. */
    socket: (n) => until(() => sockets[n], `socket ${n}`),
    /** Details of one kind of event. */
    of: (name) => fired.filter(([one]) => one === name).map(([, detail]) => detail),
    names: () => fired.map(([name]) => name),
    codes: () => fired.filter(([name]) => name === "error").map(([, error]) => error.code),
    /** Confirmed on its first socket. */
    async confirmed(accept, handshake) {
      const socket = await this.socket(0);
      return socket.confirm(accept, handshake);
    },
    /** Subscribes and has the server take it. */
    async subscribed(name, options, answer) {
      const socket = sockets.at(-1);
      const before = socket.heard("whisk.subscribe").length;
      const promise = client.subscribe(name, options);
      await until(() => socket.heard("whisk.subscribe").length > before, "whisk.subscribe");
      socket.ack("whisk.subscribe", { channel: name, epoch: "e1", offset: 0, ...answer });
      return promise;
    },
    /** Ends the wait for the next attempt and returns its socket. */
    async next() {
      const n = sockets.length;
      assert.equal(client.state, "reconnecting");
      clock.advance(this.of("reconnecting").at(-1).delayMs);
      return this.socket(n);
    },
  };
}

/** A client that is on the channel `room`. */
export async function joined(options, answer) {
  const r = rig();
  const ws = await r.confirmed();
  const channel = await r.subscribed("room", options, answer);
  await settled();
  return { r, ws, channel };
}

// The conformance program under test, and the official client on it.
import { io } from 'socket.io-client';
import { freePorts } from './ports.mjs';
import { bin, start } from './process.mjs';
import { until, within } from './until.mjs';

/** How long an event may take. */
const EVENT_MS = 10_000;

/** What holds the sockets of the programs that are started here: "standalone" or "actix-web". */
export const HOST = process.env.CONFORMANCE_HOST ?? 'standalone';

/**
 * Starts the program with pings as real clients know them, unless `args` say otherwise.
 *
 * @param {{ args?: string[] }} [options]
 */
export async function startConformance({ args = [] } = {}) {
  const [port, enginePort] = await freePorts(2);
  const ports = ['--port', `${port}`, '--engine-port', `${enginePort}`];
  const pings = ['--ping-interval-ms', '300', '--ping-timeout-ms', '5000'];
  const program = start(bin('conformance'), ['--host', HOST, ...ports, ...pings, ...args], { name: 'conformance' });
  await until('it is ready', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok);
  return { program, port, enginePort, url: `http://127.0.0.1:${port}`, stop: () => program.stop() };
}

/** An official client that keeps every event from its first moment on. */
export class Peer {
  #heard = [];
  #looking = [];

  constructor(url, options = {}) {
    this.socket = io(url, { forceNew: true, reconnection: false, ...options });
    this.socket.onAny((event, ...args) => this.#hear(event, args));
    for (const event of ['connect', 'connect_error', 'disconnect']) {
      this.socket.on(event, (...args) => this.#hear(event, args));
    }
  }

  #hear(event, args) {
    const index = this.#looking.findIndex((looking) => looking.event === event);
    if (index < 0) this.#heard.push({ event, args });
    else this.#looking.splice(index, 1)[0].found(args);
  }

  /** The arguments of the next event of this name, once for each that came. */
  next(event) {
    const index = this.#heard.findIndex((heard) => heard.event === event);
    if (index >= 0) return Promise.resolve(this.#heard.splice(index, 1)[0].args);
    const found = new Promise((found) => this.#looking.push({ event, found }));
    return within(EVENT_MS, `the event ${event}`, found);
  }

  /** The names of what came and was not looked at. */
  get unseen() {
    return this.#heard.map(({ event }) => event);
  }

  /** The answer to an event. */
  ask(event, ...args) {
    return this.socket.timeout(EVENT_MS).emitWithAck(event, ...args);
  }

  /** The transport of now: "polling" or "websocket". */
  get transport() {
    return this.socket.io.engine?.transport?.name;
  }

  close() {
    this.socket.disconnect();
  }
}

// An example under test: as one process on `memory:`, or as several on a Redis of their own.
import { freePorts } from './ports.mjs';
import { bin, start } from './process.mjs';
import { startRedis } from './redis.mjs';
import { until } from './until.mjs';

/** Short times, so that a fault shows within a test. */
const QUICK = {
  WHISK_NODE__LEASE_TTL: '3s',
  WHISK_NODE__LEASE_RENEWAL: '500ms',
  WHISK_SOCKETS__DRAIN_WINDOW: '2s',
};

/** Whether a process says that it is ready. */
export async function ready(port) {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  return answer.ok;
}

/**
 * Everything in one process on `memory:`.
 *
 * @param {string} name of the example's crate
 * @param {{ nodes?: number, env?: Record<string, string> }} [options] how many ws nodes it has
 */
export async function startAlone(name, { nodes = 3, env = {} } = {}) {
  const [webPort, ...wsPorts] = await freePorts(1 + nodes);
  const ws = wsPorts.map((port) => `127.0.0.1:${port}`).join(',');
  const program = start(bin(name), ['--port', `${webPort}`], { name, env: { ...QUICK, WHISK_WS: ws, ...env } });
  for (const port of [webPort, ...wsPorts]) await until('it is ready', () => ready(port));
  return { program, webPort, wsPorts, url: `http://127.0.0.1:${webPort}`, stop: () => program.stop() };
}

/**
 * A web-service and ws nodes as processes of their own, on a Redis of their own.
 *
 * @param {string} name of the example's crate
 * @param {{ nodes?: number, env?: Record<string, string> }} [options]
 */
export async function startProcesses(name, { nodes = 3, env = {} } = {}) {
  const redis = await startRedis();
  const [webPort, ...wsPorts] = await freePorts(1 + nodes);
  const url = `http://127.0.0.1:${webPort}`;
  const options = (part) => ({ name: part, env: { ...QUICK, ...env } });
  const ws = wsPorts.map((port) => `127.0.0.1:${port}`).join(',');
  const system = { redis, webPort, wsPorts, url, nodes: [] };
  system.startNode = async (nid) => {
    const args = ['ws', '--nid', `${nid}`, '--port', `${wsPorts[nid]}`, '--bus', redis.url];
    const node = start(bin(name), [...args, '--origin', url], options(`ws/${nid}`));
    system.nodes[nid] = node;
    await until(`ws/${nid} is ready`, () => ready(wsPorts[nid]));
    return node;
  };
  const args = ['web', '--port', `${webPort}`, '--bus', redis.url, '--ws', ws];
  system.web = start(bin(name), args, options('web'));
  await until('the web-service is ready', () => ready(webPort));
  for (const nid of wsPorts.keys()) await system.startNode(nid);
  system.stop = async () => {
    await Promise.all([system.web, ...system.nodes].map((program) => program.stop()));
    await redis.stop();
  };
  return system;
}

/** A visitor without a browser: keeps its cookie, and takes tokens from the page. */
export class Visitor {
  #cookie = '';

  constructor(url) {
    this.url = url;
  }

  async get(path, headers = {}) {
    return this.#visit(path, { headers });
  }

  /** Sends a form, as the service's own page does. */
  async post(path, fields) {
    const headers = { origin: this.url };
    return this.#visit(path, { method: 'POST', headers, body: new URLSearchParams(fields) });
  }

  async #visit(path, { headers, ...options }) {
    const answer = await fetch(`${this.url}${path}`, {
      redirect: 'manual',
      headers: { ...(this.#cookie && { cookie: this.#cookie }), ...headers },
      ...options,
    });
    const set = answer.headers.get('set-cookie');
    if (set) this.#cookie = set.split(';')[0];
    return answer;
  }

  /** What a page gives to its script: user_id, ws_token, nodes. */
  async page(path = '/') {
    const html = await (await this.get(path)).text();
    const [, settings] = html.match(/id="whisk-settings">([^<]*)</);
    return JSON.parse(settings);
  }
}

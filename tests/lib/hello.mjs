// The hello-world example under test: as one process, or as four processes on Redis.
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

/** Everything in one process on `memory:`. */
export async function startAlone({ env = {} } = {}) {
  const [webPort, ...wsPorts] = await freePorts(4);
  const ws = wsPorts.map((port) => `127.0.0.1:${port}`).join(',');
  const program = start(bin('hello-world'), ['--port', `${webPort}`], {
    name: 'hello-world',
    env: { ...QUICK, WHISK_WS: ws, ...env },
  });
  for (const port of [webPort, ...wsPorts]) await until('it is ready', () => ready(port));
  return { program, webPort, wsPorts, url: `http://127.0.0.1:${webPort}`, stop: () => program.stop() };
}

/** A web-service and three ws nodes as processes of their own, on a Redis of their own. */
export async function startFour({ env = {} } = {}) {
  const redis = await startRedis();
  const [webPort, ...wsPorts] = await freePorts(4);
  const url = `http://127.0.0.1:${webPort}`;
  const options = (name) => ({ name, env: { ...QUICK, ...env } });
  const ws = wsPorts.map((port) => `127.0.0.1:${port}`).join(',');
  const system = { redis, webPort, wsPorts, url, nodes: [] };
  system.startNode = async (nid) => {
    const args = ['ws', '--nid', `${nid}`, '--port', `${wsPorts[nid]}`, '--bus', redis.url];
    const node = start(bin('hello-world'), [...args, '--origin', url], options(`ws/${nid}`));
    system.nodes[nid] = node;
    await until(`ws/${nid} is ready`, () => ready(wsPorts[nid]));
    return node;
  };
  const args = ['web', '--port', `${webPort}`, '--bus', redis.url, '--ws', ws];
  system.web = start(bin('hello-world'), args, options('web'));
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
    const answer = await fetch(`${this.url}${path}`, {
      redirect: 'manual',
      headers: { ...(this.#cookie && { cookie: this.#cookie }), ...headers },
    });
    const set = answer.headers.get('set-cookie');
    if (set) this.#cookie = set.split(';')[0];
    return answer;
  }

  /** What the page gives to its script: user_id, ws_token, nodes. */
  async page() {
    const html = await (await this.get('/')).text();
    const [, settings] = html.match(/id="whisk-settings">([^<]*)</);
    return JSON.parse(settings);
  }
}

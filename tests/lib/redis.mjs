// Real Redis servers for the tests: one alone, or a cluster of three masters. Each has a free port
// and a temporary folder of its own, so that none meets a Redis that was there before.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.mjs';
import { run, start } from './process.mjs';
import { until } from './until.mjs';

/** A cluster node talks to the others at this distance from its port. */
const CLUSTER_BUS = 10_000;

/**
 * Starts a Redis and waits until it answers.
 *
 * It writes each change to its append-only file, so that what it took survives `kill()`.
 *
 * @param {{ port?: number, args?: string[] }} [options] args are options of redis-server
 */
export async function startRedis({ port, args = [] } = {}) {
  const cluster = args.includes('--cluster-enabled');
  const taken = port ?? (await freePort({ companion: cluster ? CLUSTER_BUS : 0 }));
  const redis = new Redis(taken, await mkdtemp(join(tmpdir(), 'whisk-redis-')), args);
  try {
    await redis.launch();
  } catch (error) {
    await redis.stop();
    throw error;
  }
  return redis;
}

/** One redis-server. */
export class Redis {
  #args;
  #program;

  constructor(port, folder, args) {
    this.port = port;
    this.folder = folder;
    this.#args = args;
  }

  /** The address that Whisk's programs take. */
  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The process: its pid, its output. */
  get program() {
    return this.#program;
  }

  /** Starts the process again after `kill()`; a restart by hand. */
  async launch() {
    const own = ['--port', this.port, '--bind', '127.0.0.1', '--dir', this.folder];
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    this.#program = start('redis-server', [...own, ...durable, ...this.#args].map(String), {
      name: `redis-server :${this.port}`,
    });
    await this.#program.waitFor('Ready to accept connections');
    await until(`redis answers on ${this.port}`, async () => (await this.cli('PING')) === 'PONG');
  }

  /**
   * Sends one command by redis-cli and returns its answer as text; an error answer throws.
   *
   * @param {...(string | number)} words `redis.cli('GET', 'key')`
   */
  async cli(...words) {
    const args = ['-p', this.port, '-e', ...words].map(String);
    return (await run('redis-cli', args, { name: `redis-cli ${words[0]}` })).trim();
  }

  /** SIGKILL: connections break, the data stays on disk. */
  async kill() {
    this.#program.kill();
    await this.#program.exited();
  }

  /** SIGSTOP: connections stay open and nothing answers. */
  async freeze() {
    await this.#program.freeze();
  }

  /** SIGCONT: the end of a freeze. */
  thaw() {
    this.#program.thaw();
  }

  /** Kills it and starts it on the same port, with what it had or empty. */
  async restart({ keepData = true } = {}) {
    await this.kill();
    if (!keepData) await this.#forget();
    await this.launch();
  }

  /** Ends it and removes its folder. */
  async stop() {
    await this.#program?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #forget() {
    for (const name of ['appendonlydir', 'dump.rdb']) {
      await rm(join(this.folder, name), { recursive: true, force: true });
    }
  }
}

/** Starts three masters that share all slots, and waits until each says that the cluster stands. */
export async function startCluster() {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  const nodes = [];
  const cluster = {
    nodes,
    /** One address for Whisk's programs; they learn the others from it. */
    get url() {
      return nodes[0].url;
    },
    get urls() {
      return nodes.map((node) => node.url);
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
  try {
    while (nodes.length < 3) nodes.push(await startRedis({ args }));
    const addresses = nodes.map((node) => `127.0.0.1:${node.port}`);
    const create = ['--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes'];
    await run('redis-cli', create, { name: 'redis-cli --cluster create', deadline: 60_000 });
    for (const node of nodes) {
      await until(`the cluster stands for ${node.port}`, async () =>
        /cluster_state:ok/.test(await node.cli('CLUSTER', 'INFO')));
    }
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

// Starts programs for the tests, reads what they print, and ends them in every way there is.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEADLINE_MS, until, within } from './until.mjs';

/** The root of the repository. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Characters of output kept for a program; the oldest go first. */
const OUTPUT_MAX = 4 * 1024 * 1024;

/** What a program gets after SIGTERM before it is killed. */
const GRACE_MS = 10_000;

/** All that still run, so that a failed test leaves nothing behind. */
const running = new Set();

process.on('exit', () => running.forEach((program) => program.kill()));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/**
 * The path of a program of this workspace, as `cargo build` left it.
 *
 * @param {string} name as in the crate: "hello-world"
 */
export function bin(name) {
  const path = join(process.env.TEST_BIN_DIR ?? join(ROOT, 'target', 'debug'), name);
  assert.ok(existsSync(path), `${path} is missing: run cargo build --workspace --bins first`);
  return path;
}

/**
 * Starts a program without standard input and without a shell.
 *
 * @param {string} command a path, or a name on PATH
 * @param {string[]} [args]
 * @param {{ name?: string, env?: Record<string, string>, cwd?: string }} [options]
 *   `name` stands in errors; `env` is added to the environment of the test
 */
export function start(command, args = [], { name = command, env = {}, cwd } = {}) {
  return new Program(name, spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  }));
}

/** Runs a program to its end; throws unless it succeeds. Returns what it printed. */
export async function run(command, args = [], { deadline = DEADLINE_MS, ...options } = {}) {
  const program = start(command, args, options);
  try {
    await program.assertExit({ code: 0 }, { deadline });
  } finally {
    program.kill();
  }
  return program.output;
}

/** A started program. */
export class Program {
  #child;
  #exit;
  /** Characters that were dropped from the front of the output. */
  #dropped = 0;
  #waiting = new Set();

  constructor(name, child) {
    this.name = name;
    /** What it printed on both streams, in the order in which it came. */
    this.output = '';
    /** `{ code, signal }` once it ended. */
    this.ended = undefined;
    this.#child = child;
    running.add(this);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => this.#heard(text));
    }
    this.#exit = new Promise((resolve) => {
      const end = (ended) => {
        this.ended = ended;
        running.delete(this);
        this.#waiting.forEach((look) => look());
        resolve(ended);
      };
      child.once('error', (error) => {
        this.output += `\n${error.message}\n`;
        // A program that could not start has no pid; other errors (a failed kill) end nothing.
        if (child.pid === undefined) end({ code: null, signal: null, error });
      });
      // "close" comes after the last output was read; "exit" may come before.
      child.once('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid() {
    return this.#child.pid;
  }

  get alive() {
    return this.#child.exitCode === null && this.#child.signalCode === null && !this.ended;
  }

  #heard(text) {
    this.output += text;
    const excess = this.output.length - OUTPUT_MAX;
    if (excess > 0) {
      this.output = this.output.slice(excess);
      this.#dropped += excess;
    }
    this.#waiting.forEach((look) => look());
  }

  /** The place in the output reached now, for `waitFor(…, { after })`. */
  mark() {
    return this.#dropped + this.output.length;
  }

  /**
   * Waits until the output holds a text or matches a pattern; returns the match.
   *
   * Fails at once, with the output, when the program ends without it.
   *
   * @param {string | RegExp} wanted
   * @param {{ deadline?: number, after?: number }} [options] `after` is a `mark()`
   * @returns {Promise<RegExpMatchArray>}
   */
  async waitFor(wanted, { deadline = DEADLINE_MS, after = 0 } = {}) {
    let look;
    const found = new Promise((resolve, reject) => {
      look = () => {
        const text = this.output.slice(Math.max(after - this.#dropped, 0));
        const match = typeof wanted === 'string' ? find(text, wanted) : text.match(wanted);
        if (match) resolve(match);
        else if (this.ended) reject(new Error(`${this.name} ended first`));
      };
    });
    this.#waiting.add(look);
    look();
    try {
      return await within(deadline, `${this.name} prints ${wanted}`, found);
    } catch (error) {
      throw this.#told(error);
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** Waits for the end: `{ code, signal }`. */
  async exited({ deadline = DEADLINE_MS } = {}) {
    try {
      return await within(deadline, `${this.name} ends`, this.#exit);
    } catch (error) {
      throw this.#told(error);
    }
  }

  /** Waits for the end and asserts how it ended: `{ code: 0 }` or `{ signal: 'SIGKILL' }`. */
  async assertExit(expected, options) {
    const { code, signal, error } = await this.exited(options);
    const right = Object.entries(expected).every(([key, value]) => ({ code, signal })[key] === value);
    if (error || !right) {
      const how = error?.message ?? `code ${code}, signal ${signal}`;
      throw this.#told(new Error(`${this.name} ended with ${how}, not ${JSON.stringify(expected)}`));
    }
  }

  /** Sends any signal; nothing happens when it has ended. */
  signal(name) {
    if (this.alive) this.#child.kill(name);
  }

  /** SIGTERM: asks it to go. */
  terminate() {
    this.signal('SIGTERM');
  }

  /** SIGKILL: as a crash of the machine would. */
  kill() {
    this.signal('SIGKILL');
  }

  /** SIGSTOP: it hangs, its sockets stay. Returns when nothing of it runs any more. */
  async freeze() {
    this.signal('SIGSTOP');
    await stopped(this.name, ({ pid }) => pid === this.pid);
  }

  /** SIGCONT: the end of a freeze. */
  thaw() {
    this.signal('SIGCONT');
  }

  /** Ends it in good order, or by force after a grace; for the end of a test. */
  async stop() {
    this.thaw();
    this.terminate();
    try {
      return await within(GRACE_MS, `${this.name} ends`, this.#exit);
    } catch {
      this.kill();
      return this.#exit;
    }
  }

  /** Adds the end of the output to an error: it mostly holds the reason. */
  #told(error) {
    error.message += `\n--- output of ${this.name}:\n${this.output.slice(-4000)}\n---`;
    return error;
  }
}

/**
 * Waits until processes have stopped: one that runs just then may do so for a moment more.
 *
 * @param {string} name names them in the error
 * @param {(process: { pid: number, group: number }) => boolean} isTheirs
 */
export async function stopped(name, isTheirs) {
  await until(`${name} stops`, async () => {
    const all = await Promise.all((await entries('/proc')).map((pid) => stateOf(`/proc/${pid}`)));
    for (const { pid } of all.filter((state) => state && isTheirs(state))) {
      const tasks = (await entries(`/proc/${pid}/task`)).map((tid) => `/proc/${pid}/task/${tid}`);
      const states = await Promise.all(tasks.map(stateOf));
      // Stopped, or ended.
      if (states.some((state) => state && !'TZX'.includes(state.code))) return false;
    }
    return true;
  });
}

/** The numbers of the processes or threads that a folder lists: none when it is gone. */
async function entries(folder) {
  const all = await readdir(folder).catch(() => []);
  return all.filter((entry) => /^\d+$/.test(entry));
}

/** What proc(5) says of a process or thread; nothing when it has ended. */
async function stateOf(folder) {
  const text = await readFile(`${folder}/stat`, 'utf8').catch(() => '');
  if (!text) return undefined;
  // The name before may hold anything, also brackets.
  const [code, , group] = text.slice(text.lastIndexOf(') ') + 2).split(' ');
  return { pid: Number.parseInt(text, 10), code, group: Number(group) };
}

/** Where a plain text stands, in the shape of a match. */
function find(text, wanted) {
  const index = text.indexOf(wanted);
  return index < 0 ? null : Object.assign([wanted], { index, input: text });
}

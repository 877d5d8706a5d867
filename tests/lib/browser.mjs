// A real Chromium for the tests: fresh profile, one context per user, screenshots to look at.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { ROOT, stopped } from './process.mjs';

/** The browser as Debian installs it; `CHROMIUM` names another. */
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Quiet and alone: nothing that calls home, nothing that asks. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Where screenshots are written; git ignores it. */
export const ARTIFACTS = join(ROOT, 'tests', 'artifacts');

/** Starts a browser with an empty profile of its own, removed when it closes. */
export async function openBrowser() {
  const server = await chromium.launchServer({ executablePath: CHROMIUM, args: FLAGS });
  return new Browser(server, await chromium.connect(server.wsEndpoint()));
}

/** One running Chromium. */
export class Browser {
  #server;
  #browser;

  constructor(server, browser) {
    this.#server = server;
    this.#browser = browser;
  }

  /**
   * A page of a new user: cookies and storage of its own. `problems` of the page collects what a
   * careful author would not leave: uncaught errors, and errors on the console.
   *
   * @param {import('playwright-core').BrowserContextOptions} [options]
   * @returns {Promise<import('playwright-core').Page & { problems: string[] }>}
   */
  async newPage(options = {}) {
    const context = await this.#browser.newContext({
      viewport: { width: 900, height: 700 },
      ...options,
    });
    const page = await context.newPage();
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`uncaught: ${error.message}`));
    page.on('console', (message) => {
      if (message.type() === 'error') page.problems.push(`console: ${message.text()}`);
    });
    return page;
  }

  /**
   * SIGKILL to all of its processes at once, as the end of a machine. Were it the first process alone,
   * the one that holds the sockets would close them in good order.
   */
  kill() {
    this.#signal('SIGKILL');
  }

  /** SIGSTOP: its sockets stay. Returns when nothing moves any more. */
  async freeze() {
    this.#signal('SIGSTOP');
    await stopped('the browser', ({ group }) => group === this.#server.process().pid);
  }

  /** SIGCONT: the end of a freeze. */
  thaw() {
    this.#signal('SIGCONT');
  }

  #signal(name) {
    // Its processes are a group of their own.
    process.kill(-this.#server.process().pid, name);
  }

  /** Closes all pages and the browser. */
  async close() {
    await this.#server.close();
  }
}

/**
 * Writes what a page looks like to `tests/artifacts/<name>.png` and returns the path.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} name
 */
export async function screenshot(page, name) {
  await mkdir(ARTIFACTS, { recursive: true });
  const path = join(ARTIFACTS, `${name}.png`);
  await page.screenshot({ path });
  return path;
}

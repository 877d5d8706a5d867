// People of the proctor example in a real browser: what they do, and what their pages show.
import { until } from './until.mjs';

/**
 * Somebody who entered by the landing page and is in the room.
 *
 * @param {import('./browser.mjs').Browser} browser
 * @param {{ url: string }} system
 */
export async function enter(browser, system, role, name, { room = 'algebra', ...options } = {}) {
  const page = await browser.newPage(options);
  await page.goto(`${system.url}/?role=${role}`);
  await page.fill('#name', name);
  await page.fill('#room', room);
  await page.click('button[type=submit]');
  await page.waitForURL('**/exam');
  await isInside(page);
  return page;
}

/** Waits until a page is in the room. */
export const isInside = (page) =>
  until('the page is in the room', () => page.locator('#room:not([inert]) #roster > .user').count());

/** The node that a page is connected to. */
export const nodeOf = async (page) =>
  Number((await page.textContent('#state')).match(/Connected to ws-(\d+)/)?.[1]);

/** Somebody's entry on a page's roster. */
export const rowOf = (page, name) =>
  page.locator('#roster > .user').filter({ has: page.locator('.name', { hasText: name }) });

/** The roster as a page shows it: `{ Ann: ['connected'] }`, a state for each tab of the user. */
export async function roster(page) {
  const rows = await page.$$eval('#roster > .user', (users) =>
    users.map((user) => [
      user.querySelector('.name').textContent,
      [...user.querySelectorAll('.tab')].map((tab) => tab.dataset.state),
    ]));
  return Object.fromEntries(rows);
}

/** Waits until a page shows this roster and nobody else. */
export async function shows(page, expected, options) {
  let last;
  const same = async () => {
    last = await roster(page);
    return JSON.stringify(sorted(last)) === JSON.stringify(sorted(expected));
  };
  await until(`the page shows ${JSON.stringify(expected)}`, same, options).catch((error) => {
    error.message += `\nit shows ${JSON.stringify(last)}`;
    throw error;
  });
}

const sorted = (roster) => Object.entries(roster).sort();

/** What happened to somebody, in order, as a page tells. */
export const happened = (page, name) =>
  page.$$eval('#activity li[data-event]', (lines, name) =>
    lines
      .filter((line) => line.textContent.includes(` ${name} `))
      .map((line) => line.dataset.event.split('.')[1])
      .reverse(), name);

/** A tab as its browser keeps it: what opens it again in another browser. */
export async function tabOf(page) {
  const storageState = await page.context().storageState();
  const secret = await page.evaluate(() => sessionStorage.whiskClient);
  return { storageState, secret };
}

/** Opens a tab again, as a browser does that restores what was open when it crashed. */
export async function reopen(browser, system, { storageState, secret }) {
  const page = await browser.newPage({ storageState });
  await page.addInitScript((secret) => sessionStorage.setItem('whiskClient', secret), secret);
  await page.goto(`${system.url}/exam`);
  await isInside(page);
  return page;
}

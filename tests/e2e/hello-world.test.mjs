// The first example as people meet it: pages in a real browser, in one process and in four.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, screenshot } from '../lib/browser.mjs';
import { startAlone, startProcesses } from '../lib/example.mjs';
import { until } from '../lib/until.mjs';

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** A page that is connected. */
async function open(url) {
  const page = await browser.newPage();
  await page.goto(url);
  await connected(page);
  return page;
}

const notice = (page) => page.textContent('#world-notice');
const nodeOf = async (page) => (await notice(page)).match(/Connected to ws-(\d+)/)?.[1];
const connected = (page) => until('the page is connected', () => nodeOf(page));
const userOf = (page) => page.textContent('#user-id');
const hears = (page, text) =>
  until(`the page shows ${text}`, async () => (await page.textContent('#world-reply')).includes(text));

async function say(page, text) {
  await page.fill('#chat-entry', text);
  await page.click('#button-chat-entry');
}

/** Two pages of two users on two different nodes. */
async function pagesOnTwoNodes(url) {
  const first = await open(url);
  const second = await open(url);
  await until('the pages are on different nodes', async () => {
    if ((await nodeOf(first)) !== (await nodeOf(second))) return true;
    await second.reload();
    await connected(second);
    return false;
  });
  return [first, second];
}

describe('in one process', () => {
  let system;
  before(async () => {
    system = await startAlone('hello-world');
  });
  after(() => system?.stop());

  test('the first run tells where to click', () => {
    assert.match(system.program.output, new RegExp(`http://127\\.0\\.0\\.1:${system.webPort}`));
    assert.match(system.program.output, /no keys are configured/);
  });

  test('what one page says, another on another node reads', async () => {
    const [first, second] = await pagesOnTwoNodes(system.url);
    await say(first, 'Hello, second client!');
    await hears(second, `User ID=${await userOf(first)} said "Hello, second client!" to the world!`);
    await hears(first, 'Hello, second client!');
    await screenshot(first, 'hello-world');
    assert.deepEqual([...first.problems, ...second.problems], []);
  });

  test('what is said is text, never a part of the page', async () => {
    const page = await open(system.url);
    const text = '<img src=x onerror="document.title=\'taken\'"><b>bold</b>&amp;';
    await say(page, text);
    await hears(page, text);
    assert.equal(await page.locator('#world-reply img, #world-reply b').count(), 0);
    assert.equal(await page.title(), 'Hello, World! · Whisk');
  });

  test('a reload keeps the user, and a reset makes a new one', async () => {
    const page = await open(system.url);
    const user = await userOf(page);
    await page.reload();
    await connected(page);
    assert.equal(await userOf(page), user);
    await page.click('#reset');
    await connected(page);
    assert.notEqual(await userOf(page), user);
    await say(page, 'still here');
    await hears(page, 'still here');
  });

  test('the page by the name localhost works too', async () => {
    const page = await open(system.url.replace('127.0.0.1', 'localhost'));
    await say(page, 'from localhost');
    await hears(page, 'from localhost');
  });
});

describe('in four processes', () => {
  let system;
  before(async () => {
    system = await startProcesses('hello-world');
  });
  after(() => system?.stop());

  test('what one page says, another on another node reads', async () => {
    const [first, second] = await pagesOnTwoNodes(system.url);
    await say(first, 'across processes');
    await hears(second, `User ID=${await userOf(first)} said "across processes" to the world!`);
    await say(second, 'and back');
    await hears(first, 'and back');
    await screenshot(second, 'hello-world-four-processes');
    assert.deepEqual([...first.problems, ...second.problems], []);
  });

  test('a page whose node is killed comes back on another one', async () => {
    const [moved, bystander] = await pagesOnTwoNodes(system.url);
    const nid = Number(await nodeOf(moved));
    system.nodes[nid].kill();
    await until('the page is on another node', async () => {
      const now = await nodeOf(moved);
      return now !== undefined && Number(now) !== nid;
    });
    await say(moved, 'I moved');
    await hears(bystander, 'I moved');
    await say(bystander, 'I stayed');
    await hears(moved, 'I stayed');
    await system.startNode(nid);
  });

  test('a node that is told to stop sends its pages to others in good order', async () => {
    const [moved, bystander] = await pagesOnTwoNodes(system.url);
    const nid = Number(await nodeOf(moved));
    const node = system.nodes[nid];
    node.terminate();
    await until('the page is on another node', async () => {
      const now = await nodeOf(moved);
      return now !== undefined && Number(now) !== nid;
    });
    await node.assertExit({ code: 0 });
    await say(moved, 'drained');
    await hears(bystander, 'drained');
    await system.startNode(nid);
  });
});

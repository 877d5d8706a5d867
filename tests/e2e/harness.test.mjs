// The harness itself: what the other end-to-end tests stand on must work before they mean anything.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { openBrowser, screenshot } from '../lib/browser.mjs';
import { freePort, freePorts, isFree } from '../lib/ports.mjs';
import { start } from '../lib/process.mjs';
import { startCluster, startRedis } from '../lib/redis.mjs';
import { DEADLINE_MS, until, within } from '../lib/until.mjs';

/** A Node program of one line. */
const script = (text) => start(process.execPath, ['-e', text], { name: 'script' });

test('a condition is asked again until it holds', async () => {
  let asked = 0;
  assert.equal(await until('the third time', () => (asked += 1) === 3 && 'yes'), 'yes');
});

test('a condition that never holds fails by name, even when it hangs', async () => {
  await assert.rejects(until('pigs fly', () => false, { deadline: 50 }), /pigs fly/);
  const hangs = () => new Promise(() => {});
  await assert.rejects(until('it answers', hangs, { deadline: 50 }), /it answers/);
});

test('free ports are free and all different', async () => {
  const ports = await freePorts(5);
  assert.equal(new Set(ports).size, 5);
  for (const port of ports) assert.ok(await isFree(port));
});

test('a program is heard, terminated and asked how it ended', async () => {
  const program = script(`
    process.on('SIGTERM', () => { console.log('bye'); process.exit(7); });
    console.log('listening on 4242');
    setInterval(() => {}, 1000);
  `);
  const [, port] = await program.waitFor(/listening on (\d+)/);
  assert.equal(port, '4242');
  const mark = program.mark();
  program.terminate();
  await program.waitFor('bye', { after: mark });
  await program.assertExit({ code: 7 });
});

test('a killed program and one that cannot start are told apart from a success', async () => {
  const killed = script('setInterval(() => {}, 1000)');
  killed.kill();
  await killed.assertExit({ signal: 'SIGKILL' });
  await assert.rejects(start('/no/such/program').assertExit({ code: 0 }), /no\/such/);
});

test('a wait fails at once, with the output, when the program ends first', async () => {
  const program = script('console.error("port is taken"); process.exit(1)');
  await assert.rejects(program.waitFor('ready'), /ended first[^]*port is taken/);
});

test('redis starts, answers, and stops', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await redis.cli('SET', 'greeting', 'hello');
  assert.equal(await redis.cli('GET', 'greeting'), 'hello');
  await assert.rejects(redis.cli('INCR', 'greeting'), /not an integer/);
  await redis.stop();
  assert.ok(await isFree(redis.port));
});

test('redis comes back with its data, or without', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await redis.cli('SET', 'key', 'kept');
  await redis.restart();
  assert.equal(await redis.cli('GET', 'key'), 'kept');
  await redis.restart({ keepData: false });
  assert.equal(await redis.cli('EXISTS', 'key'), '0');
});

test('a frozen redis answers only after it is thawed', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await redis.freeze();
  const answer = redis.cli('PING');
  await assert.rejects(within(300, 'an answer', answer), /an answer/);
  redis.thaw();
  assert.equal(await answer, 'PONG');
});

test('a cluster of three masters takes keys of every slot', async (t) => {
  const cluster = await startCluster();
  t.after(() => cluster.stop());
  assert.equal(cluster.nodes.length, 3);
  const slots = await cluster.nodes[2].cli('CLUSTER', 'INFO');
  assert.match(slots, /cluster_slots_ok:16384/);
});

test('chromium renders a local page, and a screenshot of it is kept', async (t) => {
  const port = await freePort();
  const html = '<!doctype html><link rel=icon href=data:><h1>…</h1><script>document.querySelector("h1").textContent = "Hello from Chromium"</script>';
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
  const browser = await openBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  assert.equal(await page.textContent('h1'), 'Hello from Chromium');
  assert.deepEqual(page.problems, []);
  const image = await readFile(await screenshot(page, 'harness'));
  assert.equal(image.subarray(1, 4).toString(), 'PNG');
});

test('a browser that is killed says no goodbye, and a frozen one says nothing', async (t) => {
  const server = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end('<script type="module">new WebSocket(`ws://${location.host}`)</script>');
  });
  const sockets = new WebSocketServer({ server });
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
  const closes = [];
  sockets.on('connection', (socket) => socket.on('close', (code) => closes.push(code)));
  const connected = async () => {
    const browser = await openBrowser();
    t.after(() => browser.close());
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await until('its socket is open', () => sockets.clients.size > 0);
    return { browser, page };
  };
  const { browser, page } = await connected();
  await browser.freeze();
  const [socket] = sockets.clients;
  const answered = new Promise((resolve) => socket.once('pong', () => resolve('pong')));
  socket.ping();
  await assert.rejects(within(500, 'a pong', answered), /a pong/);
  browser.thaw();
  assert.equal(await within(DEADLINE_MS, 'a pong', answered), 'pong');
  await page.close();
  await until('a page that is closed says so', () => closes.length === 1);
  const { browser: other } = await connected();
  other.kill();
  await until('its socket is gone', () => closes.length === 2);
  assert.deepEqual(closes, [1001, 1006]);
});

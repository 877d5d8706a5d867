// The official JavaScript client in a real Chromium, on a page of another origin than the server's.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from '../lib/browser.mjs';
import { startConformance } from '../lib/conformance.mjs';
import { freePort } from '../lib/ports.mjs';
import { ROOT } from '../lib/process.mjs';

const PAGE = `<!doctype html><link rel=icon href=data:><script src=/socket.io.min.js></script>`;
const CLIENT = join(ROOT, 'tests', 'node_modules', 'socket.io-client', 'dist', 'socket.io.min.js');

let server;
let browser;
let pages;
let origin;
before(async () => {
  const client = await readFile(CLIENT);
  pages = createServer((request, response) => {
    const script = request.url === '/socket.io.min.js';
    const type = script ? 'text/javascript' : 'text/html; charset=utf-8';
    response.writeHead(200, { 'content-type': type }).end(script ? client : PAGE);
  });
  const port = await freePort();
  await new Promise((resolve) => pages.listen(port, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${port}`;
  server = await startConformance();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  pages?.close();
  await server?.stop();
});

/** What a page does with a client: everything that it found, as plain data. */
async function exchange({ url, transports }) {
  const socket = globalThis.io(url, { transports, forceNew: true, auth: { token: 'page' } });
  const next = (event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
  const [[auth]] = await Promise.all([next('auth'), next('connect')]);
  const bytes = new Uint8Array([0, 1, 254, 255]);
  const back = next('message-back');
  socket.emit('message', 'text', bytes, { deep: bytes });
  const [text, first, { deep }] = await back;
  const answer = await socket.emitWithAck('message-with-ack', bytes.buffer);
  const asked = new Promise((resolve) => {
    socket.once('emit-with-ack', (question, acknowledge) => {
      acknowledge(`${question}!`, bytes);
      resolve(next('emit-with-ack'));
    });
  });
  socket.emit('emit-with-ack', 'why');
  const [echoed, echoedBytes] = await asked;
  const transport = await new Promise((resolve) => {
    const look = () => {
      const { name } = socket.io.engine.transport;
      if (name === (transports ?? ['websocket'])[0]) resolve(name);
      else setTimeout(look, 10);
    };
    look();
  });
  const again = next('connect');
  socket.emit('kick-transport');
  await again;
  const after = await socket.emitWithAck('echo', 'back again');
  socket.disconnect();
  const plain = (buffer) => [...new Uint8Array(buffer)];
  return {
    auth,
    text,
    binary: [first, deep, answer, echoedBytes].map(plain),
    echoed,
    transport,
    after,
  };
}

for (const [name, transports, transport] of [
  ['its default transports', undefined, 'websocket'],
  ['long-polling alone', ['polling'], 'polling'],
  ['WebSocket alone', ['websocket'], 'websocket'],
]) {
  test(`a page speaks with the server, with ${name}`, { timeout: 60_000 }, async () => {
    const page = await browser.newPage();
    await page.goto(origin);
    const found = await page.evaluate(exchange, { url: server.url, transports });
    assert.deepEqual(found, {
      auth: { token: 'page' },
      text: 'text',
      binary: Array(4).fill([0, 1, 254, 255]),
      echoed: 'why!',
      transport,
      after: 'back again',
    });
    assert.deepEqual(page.problems, []);
  });
}

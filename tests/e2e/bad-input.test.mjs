// What no client should send, by both transports: nothing ends but the one connection, with its
// code, and neighbours notice nothing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { Peer, startConformance } from '../lib/conformance.mjs';
import { until, within } from '../lib/until.mjs';

const DEADLINE = 10_000;
const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
const echo = (count, ...args) => `45${count}["echo"${args.map((arg) => `,${arg}`).join('')}]`;

/** What is sent after the CONNECT, and the code with which the connection is closed. */
const BAD = [
  ['a billion attachments', [echo('1000000000-', placeholder(0))], 1009],
  ['no attachments in a binary event', [echo('0-'), Buffer.from('x')], 1002],
  ['a negative number of attachments', [echo('-1-')], 1007],
  ['a number of attachments that is missing', [echo('')], 1007],
  ['a placeholder beyond the attachments', [echo('1-', placeholder(7)), Buffer.from('x')], 1007],
  ['text where binary is owed', [echo('1-', placeholder(0)), '42["echo"]'], 1002],
  ['binary that nobody asked for', [Buffer.from('x')], 1002],
  ['an acknowledgement id of 2^64', ['4218446744073709551616["echo"]'], 1007],
  ['a reserved event name', ['42["disconnect"]'], 1007],
  ['JSON 20,000 deep', [`42["echo",${'['.repeat(20_000)}${']'.repeat(20_000)}]`], 1009],
  ['half of JSON', ['42["echo",'], 1007],
  ['an unknown packet type', ['4abc'], 1007],
  ['an unknown engine packet', ['abc'], 1002],
  ['a second CONNECT', ['40'], 1002],
];

let server;
let neighbours;
before(async () => {
  // Nobody's ping falls between what is sent and what is awaited.
  server = await startConformance({ args: ['--ping-interval-ms', '20000'] });
  neighbours = [['websocket'], ['polling']].map((transports) => new Peer(server.url, { transports }));
  await Promise.all(neighbours.map((peer) => peer.next('connect')));
});
after(async () => {
  neighbours?.forEach((peer) => peer.close());
  await server?.stop();
});

async function neighboursAreFine() {
  for (const peer of neighbours) {
    assert.equal(await peer.ask('echo', 'fine'), 'fine');
    assert.ok(!peer.unseen.includes('disconnect'));
  }
}

/** A WebSocket whose socket in `/` is connected. */
async function connected(t) {
  const url = server.url.replace('http', 'ws');
  const socket = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`);
  t.after(() => socket.terminate());
  const texts = [];
  socket.on('message', (data, isBinary) => texts.push(isBinary ? data : data.toString()));
  await once(socket, 'open');
  socket.send('40');
  await until('it is connected', () => texts.includes('42["auth",{}]'));
  return { socket, texts };
}

for (const [name, packets, code] of BAD) {
  test(`${name}, by WebSocket`, async (t) => {
    const { socket, texts } = await connected(t);
    const closed = within(DEADLINE, 'the close', once(socket, 'close'));
    packets.forEach((packet) => socket.send(packet));
    assert.equal((await closed)[0], code);
    // Official clients stay away only when they are told so.
    assert.equal(texts.at(-1), '41');
    await neighboursAreFine();
  });

  test(`${name}, by long-polling`, async () => {
    const session = await poller();
    const body = packets.map((packet) =>
      typeof packet === 'string' ? packet : `b${packet.toString('base64')}`,
    );
    assert.equal((await session.post(body.join('\x1e'))).status, 400);
    const seen = [];
    await until('the session is over', async () => {
      const answer = await session.poll();
      if (answer.status === 200) seen.push(...(await answer.text()).split('\x1e'));
      return answer.status === 400;
    });
    assert.ok(seen.includes('41'), `${seen}`);
    await neighboursAreFine();
  });
}

/** A session by long-polling whose socket in `/` is connected. */
async function poller() {
  const url = `${server.url}/socket.io/?EIO=4&transport=polling`;
  const open = await (await fetch(url)).text();
  const session = `${url}&sid=${JSON.parse(open.slice(1)).sid}`;
  const post = (body) => fetch(session, { method: 'POST', body });
  assert.equal((await post('40')).status, 200);
  const seen = [];
  const greeted = () => seen.some((packet) => packet.startsWith('42["auth"'));
  while (!greeted()) seen.push(...(await (await fetch(session)).text()).split('\x1e'));
  return { post, poll: () => fetch(session), url: session };
}

test('two polls at once end the session', async () => {
  const session = await poller();
  const [first, second] = await Promise.all([session.poll(), session.poll()]);
  const bodies = await Promise.all([first, second].map((answer) => answer.text()));
  assert.deepEqual([first.status, second.status].sort(), [200, 400]);
  assert.ok(bodies.includes('1'), `${bodies}`);
  assert.equal((await session.poll()).status, 400);
  await neighboursAreFine();
});

test('a body over the bound is refused before it is read', async () => {
  const session = await poller();
  const answer = await session.post(`4${'x'.repeat(1_000_000)}`);
  assert.equal(answer.status, 413);
  await neighboursAreFine();
});

test('requests that fit nothing get the errors of the reference server', async () => {
  const ask = async (query, options) => {
    const answer = await fetch(`${server.url}/socket.io/${query}`, options);
    return [answer.status, (await answer.json()).code];
  };
  assert.deepEqual(await ask('?EIO=4&transport=carrier-pigeon'), [400, 0]);
  assert.deepEqual(await ask('?EIO=4&transport=polling&sid=none'), [400, 1]);
  assert.deepEqual(await ask('?EIO=4&transport=polling', { method: 'PUT' }), [400, 2]);
  assert.deepEqual(await ask('?EIO=3&transport=polling'), [400, 5]);
  await neighboursAreFine();
});

test('an upgrade for a session that is unknown gets no WebSocket', async () => {
  const url = server.url.replace('http', 'ws');
  const socket = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket&sid=none`);
  const [error] = await within(DEADLINE, 'the refusal', once(socket, 'error'));
  assert.match(error.message, /400/);
  await neighboursAreFine();
});

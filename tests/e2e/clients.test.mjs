// The official Socket.IO client as a peer, and what credentials are worth, over real processes.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { Visitor, ready, startProcesses } from '../lib/example.mjs';
import { bin, start } from '../lib/process.mjs';
import { until, within } from '../lib/until.mjs';

let system;
before(async () => {
  // A hundred sockets at once from one address are this file's own doing.
  const env = { WHISK_SESSION__TOKEN_TTL: '3s', WHISK_LIMITS__UNCONFIRMED_PER_ADDRESS: 'off' };
  system = await startProcesses('hello-world', { env });
});
after(() => system?.stop());

const sockets = [];
after(() => sockets.forEach((socket) => socket.disconnect()));

/** An official client on a node. */
function dial(nid, { auth, headers } = {}) {
  const socket = io(`http://127.0.0.1:${system.wsPorts[nid]}`, {
    transports: ['websocket'],
    forceNew: true,
    reconnection: false,
    auth,
    extraHeaders: headers,
  });
  sockets.push(socket);
  return socket;
}

const once = (socket, event) =>
  within(10_000, event, new Promise((resolve) => socket.once(event, resolve)));

/** A client that is confirmed; `accept` is what it was told. */
async function confirmed(nid, auth) {
  const socket = dial(nid, { auth });
  const [accept] = await Promise.all([once(socket, 'whisk.auth.accept'), once(socket, 'connect')]);
  return { socket, accept };
}

/** How a credential is judged: the code of the refusal. */
async function refusal(nid, auth) {
  const error = await once(dial(nid, { auth }), 'connect_error');
  return { code: error.data?.code, message: error.message };
}

const token = async () => (await new Visitor(system.url).page()).ws_token;

test('connect means confirmed, and accept comes first', async () => {
  const visitor = new Visitor(system.url);
  const page = await visitor.page();
  const socket = dial(1, { auth: { ws_token: page.ws_token } });
  const seen = [];
  socket.onAny((event, payload) => seen.push([event, payload]));
  await once(socket, 'connect');
  const [[event, accept]] = await until('an event came', () => seen.length > 0 && seen);
  assert.equal(event, 'whisk.auth.accept');
  assert.equal(accept.success, true);
  assert.equal(accept.user_id, page.user_id);
  assert.equal(accept.address, `ws/1/${socket.id}`);
  assert.equal(typeof accept.resume, 'string');
});

test('a client without a credential is asked for one', async () => {
  const { ws_token, user_id } = await new Visitor(system.url).page();
  const socket = dial(0);
  socket.on('whisk.auth.request', (_, acknowledge) => acknowledge({ ws_token }));
  const accept = await once(socket, 'whisk.auth.accept');
  assert.equal(accept.user_id, user_id);
});

test('a client that answers with a wrong credential is told so and sent away', async () => {
  const socket = dial(0);
  socket.on('whisk.auth.request', (_, acknowledge) => acknowledge({ ws_token: 'guess' }));
  const gone = once(socket, 'disconnect');
  const { error } = await once(socket, 'whisk.auth.error');
  assert.equal(error.code, 'session_refused');
  assert.equal(await gone, 'io server disconnect');
});

test('what one client says, others read on every node, and the sayer is answered', async () => {
  const peers = await Promise.all([0, 1, 2].map(async (nid) => confirmed(nid, { ws_token: await token() })));
  const heard = peers.map(({ socket }) => once(socket, 'world.reply'));
  await peers[0].socket.timeout(5_000).emitWithAck('world.say', { message: 'to all' });
  for (const reply of await Promise.all(heard)) {
    assert.equal(reply.originating_message, 'to all');
    assert.equal(reply.originating_user_id, peers[0].accept.user_id);
  }
});

test('errors are acknowledged in their own shape', async () => {
  const { socket } = await confirmed(2, { ws_token: await token() });
  const ask = (event, payload) => socket.timeout(5_000).emitWithAck(event, payload);
  assert.equal((await ask('world.shout', {})).error.code, 'unknown_event');
  const bad = await ask('world.say', { message: 5 });
  assert.equal(bad.error.code, 'bad_payload');
  assert.equal(bad.error.path, 'message');
});

test('of a hundred uses of one token at once on two nodes, one wins', async () => {
  const auth = { ws_token: await token() };
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, n) => {
      const socket = dial(n % 2, { auth });
      return Promise.race([
        once(socket, 'connect').then(() => 'connected'),
        once(socket, 'connect_error').then((error) => error.data?.code ?? error.message),
      ]);
    }),
  );
  const count = (outcome) => outcomes.filter((other) => other === outcome).length;
  assert.deepEqual(
    { connected: count('connected'), refused: count('session_refused') },
    { connected: 1, refused: 99 },
    JSON.stringify(outcomes),
  );
});

test('wrong, used, foreign and expired tokens are refused alike', async () => {
  const used = await token();
  await confirmed(0, { ws_token: used });
  const [head, body, signature] = (await token()).split('.');
  const forged = [head, body, signature.split('').reverse().join('')].join('.');
  // Another system's token: the same claims, another key.
  const elsewhere = createHmac('sha256', 'another key').update(`${head}.${body}`);
  const foreign = [head, body, elsewhere.digest('base64url')].join('.');
  const judged = await Promise.all(
    [used, forged, foreign, 'guess', ''].map((ws_token) => refusal(1, { ws_token })),
  );
  const expired = await token();
  const { exp } = JSON.parse(Buffer.from(expired.split('.')[1], 'base64url'));
  await until('the token has expired', () => Date.now() / 1_000 > exp);
  judged.push(await refusal(1, { ws_token: expired }));
  for (const one of judged) assert.deepEqual(one, judged[0]);
  assert.equal(judged[0].code, 'session_refused');
});

test('a resume credential leads to any node, and an older one ends them all', async () => {
  const first = (await confirmed(0, { ws_token: await token() })).accept.resume;
  const second = (await confirmed(1, { resume: first })).accept.resume;
  // The answer may have been lost: until its successor is used, the first is good.
  assert.equal((await confirmed(2, { resume: first })).accept.resume, second);
  const third = (await confirmed(2, { resume: second })).accept.resume;
  assert.equal((await refusal(0, { resume: first })).code, 'session_refused');
  assert.equal((await refusal(1, { resume: third })).code, 'session_refused');
});

test('a logout ends the session of page, sockets and credentials', async () => {
  const visitor = new Visitor(system.url);
  const { ws_token } = await visitor.page();
  const open = (await visitor.page()).ws_token;
  const { socket, accept } = await confirmed(1, { ws_token });
  const gone = once(socket, 'disconnect');
  assert.equal((await visitor.get('/reset', { 'sec-fetch-site': 'cross-site' })).status, 403);
  assert.equal((await visitor.get('/reset')).status, 303);
  assert.equal(await gone, 'io server disconnect');
  assert.equal((await refusal(0, { resume: accept.resume })).code, 'session_refused');
  assert.equal((await refusal(0, { ws_token: open })).code, 'session_refused');
});

test('a foreign origin gets no socket and no token', async () => {
  const error = await once(
    dial(0, { auth: { ws_token: await token() }, headers: { origin: 'http://evil.example' } }),
    'connect_error',
  );
  assert.match(error.description?.message ?? error.message, /403|websocket error/);
  const visitor = new Visitor(system.url);
  const path = '/whisk/api/renew_ws_session';
  assert.equal((await visitor.get(path)).status, 401);
  const page = await visitor.page();
  assert.equal((await visitor.get(path, { origin: 'http://evil.example' })).status, 403);
  assert.equal((await visitor.get(path, { 'sec-fetch-site': 'cross-site' })).status, 403);
  const renewed = await visitor.get(path);
  assert.equal(renewed.headers.get('cache-control'), 'no-store');
  const { success, ws_token, user_id } = await renewed.json();
  assert.deepEqual([success, user_id], [true, page.user_id]);
  await confirmed(0, { ws_token });
});

test('a second process with a living node id refuses to start and says who has it', async () => {
  const args = ['ws', '--nid', '1', '--port', '0', '--bus', system.redis.url];
  const second = start(bin('hello-world'), args, { name: 'second ws/1' });
  const { code } = await second.exited();
  assert.notEqual(code, 0);
  assert.match(second.output, new RegExp(`ws/1 is held by process ${system.nodes[1].pid}`));
});

test('a killed node is taken over at once by its successor on the same machine', async () => {
  system.nodes[2].kill();
  await system.nodes[2].exited();
  await system.startNode(2);
  await confirmed(2, { ws_token: await token() });
});

test('while Redis is away nobody is ready, and afterwards everything works again', async () => {
  const { socket } = await confirmed(0, { ws_token: await token() });
  const peer = await confirmed(1, { ws_token: await token() });
  system.redis.kill();
  for (const port of [system.webPort, ...system.wsPorts]) {
    await until('it is not ready', async () => !(await ready(port)));
  }
  const failed = await socket.timeout(10_000).emitWithAck('world.say', { message: 'lost' });
  assert.equal(failed.error.code, 'unavailable');
  await system.redis.restart({ keepData: true });
  for (const port of [system.webPort, ...system.wsPorts]) {
    await until('it is ready', () => ready(port), { deadline: 30_000 });
  }
  const heard = once(peer.socket, 'world.reply');
  const fresh = await confirmed(2, { ws_token: await token() });
  await fresh.socket.timeout(10_000).emitWithAck('world.say', { message: 'again' });
  assert.equal((await heard).originating_message, 'again');
});

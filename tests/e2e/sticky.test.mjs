// No sticky sessions: unmodified official clients with their default transports, which begin by
// long-polling, through nginx in plain round-robin over three nodes. Nothing they ask for may fail.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { HOST } from '../lib/conformance.mjs';
import { startNginx } from '../lib/nginx.mjs';
import { freePorts } from '../lib/ports.mjs';
import { bin, start } from '../lib/process.mjs';
import { startRedis } from '../lib/redis.mjs';
import { until, within } from '../lib/until.mjs';

const CLIENTS = 200;

/** For all of them together: this machine may be a small one. */
const PATIENCE = { deadline: 60_000 };

let redis;
let ports;
const nodes = [];
const others = [];
const sockets = [];
before(async () => {
  redis = await startRedis();
  ports = await freePorts(3);
  for (const nid of ports.keys()) await startNode(nid);
});
after(async () => {
  sockets.forEach((socket) => socket.disconnect());
  await Promise.all([...others, ...nodes].map((program) => program.stop()));
  await redis?.stop();
});

async function startNode(nid) {
  const args = ['--host', HOST, '--nid', `${nid}`, '--port', `${ports[nid]}`, '--engine-port', '0'];
  // Times as in production, so that two hundred clients on a small machine are not too slow.
  const times = ['--ping-interval-ms', '2000', '--ping-timeout-ms', '20000'];
  const patience = ['--connect-timeout-ms', '45000', '--bus', redis.url];
  nodes[nid] = start(bin('conformance'), [...args, ...times, ...patience], { name: `ws/${nid}` });
  const ready = async () => (await fetch(`http://127.0.0.1:${ports[nid]}/readyz`)).ok;
  await until(`ws/${nid} is ready`, ready);
}

async function nginx(options) {
  const started = await startNginx(ports, options);
  others.push(started);
  return started;
}

/** An official client with its default transports; `heard` are the bodies of `msg`. */
function dial(url, options = {}) {
  const socket = io(url, { forceNew: true, reconnection: false, timeout: 45_000, ...options });
  sockets.push(socket);
  const client = { socket, heard: [], errors: [] };
  socket.on('msg', (body) => client.heard.push(body));
  socket.on('connect_error', (error) => client.errors.push(error.message));
  return client;
}

const transport = ({ socket }) => socket.io.engine?.transport?.name;
const upgraded = (client) => client.socket.connected && transport(client) === 'websocket';

test('two hundred clients at once, no request fails, all upgrade, messages reach all', async () => {
  const proxy = await nginx();
  const clients = Array.from({ length: CLIENTS }, () => dial(proxy.url));
  const errors = () => clients.flatMap(({ errors }) => errors);
  await until('all are connected', () => {
    assert.deepEqual(errors(), []);
    return clients.every(({ socket }) => socket.connected);
  }, PATIENCE);
  // Asked while their transports change: every answer comes, in order.
  const asked = clients.map(async ({ socket }) => {
    const answers = [];
    const asks = Array.from({ length: 5 }, (_, n) =>
      socket.timeout(45_000).emitWithAck('echo', n).then((answer) => answers.push(answer)));
    await Promise.all(asks);
    return answers;
  });
  for (const answers of await within(60_000, 'all are answered', Promise.all(asked))) {
    assert.deepEqual(answers, [0, 1, 2, 3, 4]);
  }
  await until('all are upgraded', () => clients.every(upgraded), PATIENCE);

  for (const [n, { socket }] of clients.slice(0, 5).entries()) socket.emit('bcast', `to all ${n}`);
  await until('all heard all', () => clients.every(({ heard }) => heard.length >= 5), PATIENCE);
  for (const { heard } of clients) {
    assert.deepEqual(heard.toSorted(), [0, 1, 2, 3, 4].map((n) => `to all ${n}`));
  }

  assert.deepEqual(errors(), []);
  clients.forEach(({ socket }) => socket.disconnect());
  const log = await until('every WebSocket is over', async () => {
    const log = await proxy.requests();
    return log.filter(({ status }) => status === 101).length >= CLIENTS && log;
  }, PATIENCE);
  const failed = log.filter(({ status }) => status !== 101 && (status < 200 || status > 299));
  assert.deepEqual(failed, []);
  assert.equal(log.filter(({ status }) => status === 101).length, CLIENTS);

  // It was a round-robin: a session's requests came to nodes that do not have it.
  const sid = (uri) => new URL(uri, proxy.url).searchParams.get('sid');
  const seen = new Map();
  for (const { uri, node } of log) {
    const id = sid(uri);
    if (id) seen.set(id, (seen.get(id) ?? new Set()).add(node));
  }
  assert.equal(seen.size, CLIENTS);
  const wandered = [...seen.values()].filter((nodes) => nodes.size > 1).length;
  assert.ok(wandered > CLIENTS / 2, `${wandered} of ${CLIENTS} sessions met several nodes`);
});

test('the clients of a killed node start anew at the others', async () => {
  const proxy = await nginx({ retries: true });
  const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
  const clients = Array.from({ length: 30 }, () => dial(proxy.url, options));
  // Some that never upgrade: their polls wait at any node when one of them dies.
  const polling = Array.from({ length: 10 }, () =>
    dial(proxy.url, { ...options, transports: ['polling'] }));
  // A client that is just moving would notice by its heartbeat alone.
  await until('all are upgraded', () => clients.every(upgraded), PATIENCE);
  await until('others poll', () => polling.every(({ socket }) => socket.connected), PATIENCE);
  clients.push(...polling);
  nodes[2].kill();
  await nodes[2].exited();
  const asked = Date.now();
  await until('all are answered again', async () => {
    const answers = await Promise.all(clients.map(({ socket }) =>
      socket.timeout(500).emitWithAck('echo', 1).catch(() => undefined)));
    return answers.every((answer) => answer === 1);
  }, PATIENCE);
  assert.ok(Date.now() - asked < 10_000, `${Date.now() - asked} ms`);
  clients[0].socket.emit('bcast', 'again');
  await until('all hear each other', () => clients.every(({ heard }) => heard.includes('again')));
  clients.forEach(({ socket }) => socket.disconnect());
});

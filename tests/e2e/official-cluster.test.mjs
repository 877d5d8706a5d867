// The official client on two nodes that meet on Redis: rooms, and events to everyone.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Peer, startConformance } from '../lib/conformance.mjs';
import { startRedis } from '../lib/redis.mjs';

let redis;
let nodes;
before(async () => {
  redis = await startRedis();
  nodes = await Promise.all(
    [0, 1].map((nid) => startConformance({ args: ['--bus', redis.url, '--nid', `${nid}`] })),
  );
});
after(async () => {
  await Promise.all((nodes ?? []).map((node) => node.stop()));
  await redis?.stop();
});

async function connected(t, nid) {
  const peer = new Peer(nodes[nid].url);
  t.after(() => peer.close());
  await peer.next('connect');
  return peer;
}

test('whoever was told that it joined misses nothing that another node says', async (t) => {
  const [here, there] = await Promise.all([connected(t, 0), connected(t, 1)]);
  for (let round = 0; round < 50; round += 1) {
    const room = `room ${round}`;
    assert.equal(await there.ask('join', room), room);
    assert.equal(await here.ask('to-room', room, round), 'ok');
    assert.deepEqual(await there.next('room-msg'), [room, round]);
    assert.equal(await there.ask('leave', room), room);
  }
  assert.ok(!here.unseen.includes('room-msg'));
});

test('what is said to everyone reaches each once, on every node', async (t) => {
  const peers = await Promise.all([0, 0, 1, 1].map((nid) => connected(t, nid)));
  const bytes = Buffer.from([0, 255]);
  for (let n = 0; n < 20; n += 1) peers[n % 4].socket.emit('bcast', { n, bytes });
  assert.equal(await peers[0].ask('to-all', 'the end'), 'ok');
  for (const peer of peers) {
    assert.deepEqual(await peer.next('all-msg'), ['the end']);
    const heard = [];
    for (let n = 0; n < 20; n += 1) heard.push((await peer.next('msg'))[0]);
    assert.ok(heard.every((message) => message.bytes.equals(bytes)));
    heard.sort((left, right) => left.n - right.n);
    assert.deepEqual(heard.map(({ n }) => n), Array.from({ length: 20 }, (_, n) => n));
    assert.ok(!peer.unseen.includes('msg'));
  }
});

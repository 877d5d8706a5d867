// The official JavaScript client in Node, unmodified: with its default transports and each alone.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import parser from 'socket.io-msgpack-parser';
import { Peer, startConformance } from '../lib/conformance.mjs';
import { until } from '../lib/until.mjs';

const BINARY = Buffer.from(Array.from({ length: 256 }, (_, n) => n));

let server;
before(async () => {
  server = await startConformance();
});
after(() => server?.stop());

const ways = [
  ['its default transports', undefined, 'websocket'],
  ['long-polling alone', ['polling'], 'polling'],
  ['WebSocket alone', ['websocket'], 'websocket'],
];

for (const [name, transports, best] of ways) {
  describe(`with ${name}`, () => {
    /** A connected client, closed with the test. */
    async function connected(t, nsp = '', options = {}) {
      const peer = new Peer(`${server.url}${nsp}`, { transports, ...options });
      t.after(() => peer.close());
      await peer.next('connect');
      return peer;
    }

    test('it connects, tells its auth object, and ends on the best transport', async (t) => {
      const peer = await connected(t, '', { auth: { token: '123', deep: [1, null] } });
      assert.deepEqual(await peer.next('auth'), [{ token: '123', deep: [1, null] }]);
      await until('it has the best transport', () => peer.transport === best);
      assert.equal(await peer.ask('echo', 'still here'), 'still here');
      const bare = await connected(t);
      assert.deepEqual(await bare.next('auth'), [{}]);
    });

    test('events come back with text, numbers, objects and binary', async (t) => {
      const peer = await connected(t);
      for (const args of [
        ['text'],
        [1, '2', { 3: [true, null] }],
        [BINARY],
        ['é\u2028😀', { deep: [BINARY, { deeper: Buffer.alloc(0) }] }],
        [],
      ]) {
        peer.socket.emit('message', ...args);
        assert.deepEqual(await peer.next('message-back'), args);
      }
    });

    test('acknowledgements go both ways, also binary ones', async (t) => {
      const peer = await connected(t);
      assert.deepEqual(await peer.ask('message-with-ack', BINARY), BINARY);
      assert.equal(await peer.ask('message-with-ack', 'text'), 'text');
      const all = await new Promise((resolve) => {
        peer.socket.emit('message-with-ack', 1, BINARY, { two: BINARY }, (...args) => resolve(args));
      });
      assert.deepEqual(all, [1, BINARY, { two: BINARY }]);
      const came = new Promise((resolve) => {
        peer.socket.once('emit-with-ack', (...args) => {
          args.pop()('answer', BINARY);
          resolve(args);
        });
      });
      peer.socket.emit('emit-with-ack', 'question', BINARY);
      assert.deepEqual(await came, ['question', BINARY]);
      await peer.next('emit-with-ack');
      assert.deepEqual(await peer.next('emit-with-ack'), ['answer', BINARY]);
    });

    test('a thousand events are answered in order while the transport changes', async (t) => {
      const peer = await connected(t);
      const back = [];
      peer.socket.on('message-back', (n) => back.push(n));
      for (let n = 0; n < 1_000; n += 1) {
        peer.socket.emit('message', n);
        if (n % 100 === 0) await new Promise(setImmediate);
      }
      await until('all came back', () => back.length >= 1_000);
      assert.deepEqual(back, Array.from({ length: 1_000 }, (_, n) => n));
      await until('it has the best transport', () => peer.transport === best);
    });

    test('namespaces of one connection are apart, each with an id of its own', async (t) => {
      const main = await connected(t);
      const custom = main.socket.io.socket('/custom');
      t.after(() => custom.disconnect());
      const back = new Promise((resolve) => custom.once('message-back', resolve));
      custom.emit('message', 'custom');
      assert.equal(await back, 'custom');
      assert.notEqual(custom.id, main.socket.id);
      assert.notEqual(main.socket.id, main.socket.io.engine.id);
      custom.disconnect();
      assert.equal(await main.ask('echo', 'the other stays'), 'the other stays');
      assert.ok(!main.unseen.includes('message-back'));
    });

    test('an unknown namespace and a guarded one refuse, with the reason', async (t) => {
      const refusal = async (nsp, auth) => {
        const peer = new Peer(`${server.url}${nsp}`, { transports, auth });
        t.after(() => peer.close());
        return (await peer.next('connect_error'))[0].message;
      };
      assert.equal(await refusal('/nowhere'), 'Invalid namespace');
      assert.equal(await refusal('/guarded', { token: 'guess' }), 'not authorized');
      assert.equal(await refusal('/guarded'), 'not authorized');
      const friend = await connected(t, '/guarded', { auth: { token: 'letmein' } });
      assert.equal(await friend.ask('echo', 'in'), 'in');
    });

    test('what is said on a room reaches those on it but the sender', async (t) => {
      const [here, there, away] = await Promise.all([connected(t), connected(t), connected(t)]);
      for (const peer of [here, there]) assert.equal(await peer.ask('join', 'tea'), 'tea');
      assert.equal(await here.ask('to-room', 'tea', { n: 1 }), 'ok');
      assert.deepEqual(await there.next('room-msg'), ['tea', { n: 1 }]);
      assert.equal(await there.ask('leave', 'tea'), 'tea');
      assert.equal(await here.ask('to-room', 'tea', 'again'), 'ok');
      assert.equal(await here.ask('to-all', 'everyone'), 'ok');
      here.socket.emit('bcast', 'news');
      for (const peer of [here, there, away]) {
        assert.deepEqual(await peer.next('all-msg'), ['everyone']);
        assert.deepEqual(await peer.next('msg'), ['news']);
        assert.ok(!peer.unseen.includes('room-msg'));
      }
    });

    test('who is put out stays away, and who lost the transport comes back', async (t) => {
      const kicked = await connected(t, '', { reconnection: true, reconnectionDelay: 10 });
      kicked.socket.emit('kick');
      assert.equal((await kicked.next('disconnect'))[0], 'io server disconnect');
      assert.equal(kicked.socket.active, false);
      const cut = await connected(t, '', { reconnection: true, reconnectionDelay: 10 });
      const before = cut.socket.id;
      cut.socket.emit('kick-transport');
      assert.match((await cut.next('disconnect'))[0], /^transport (close|error)$/);
      await cut.next('connect');
      assert.notEqual(cut.socket.id, before);
      assert.equal(await cut.ask('echo', 'again'), 'again');
    });

    test('who is put out or cut hears so, also while the transport changes', async (t) => {
      const end = async (_, index) => {
        const peer = await connected(t);
        // Each a little later than the one before.
        for (let turn = 0; turn < index; turn += 1) await peer.ask('echo', turn);
        const [event, reason] = index % 2 ? ['kick', 'io server disconnect'] : ['kick-transport', 'transport close'];
        peer.socket.emit(event);
        assert.equal((await peer.next('disconnect'))[0], reason);
      };
      for (let round = 0; round < 10; round += 1) await Promise.all(Array.from({ length: 16 }, end));
    });

    test('volatile events come back', async (t) => {
      const peer = await connected(t);
      // The client drops them while its transport is busy.
      await until('one came back', () => {
        peer.socket.volatile.emit('message', 'now');
        return peer.unseen.includes('message-back');
      });
      assert.deepEqual(await peer.next('message-back'), ['now']);
    });
  });
}

describe('in message-pack', () => {
  let packed;
  before(async () => {
    packed = await startConformance({ args: ['--msgpack'] });
  });
  after(() => packed?.stop());

  for (const [name, transports] of ways) {
    test(`events and acknowledgements, also binary ones, with ${name}`, async (t) => {
      const peer = new Peer(packed.url, { transports, parser, auth: { token: '123' } });
      t.after(() => peer.close());
      assert.deepEqual(await peer.next('auth'), [{ token: '123' }]);
      const args = ['é😀', -1, 2 ** 40, 0.5, { deep: [true, null, BINARY] }, Buffer.alloc(0)];
      peer.socket.emit('message', ...args);
      assert.deepEqual(await peer.next('message-back'), args);
      assert.deepEqual(await peer.ask('message-with-ack', BINARY), BINARY);
      assert.equal(await peer.ask('to-all', 'everyone'), 'ok');
      assert.deepEqual(await peer.next('all-msg'), ['everyone']);
      const custom = peer.socket.io.socket('/custom');
      t.after(() => custom.disconnect());
      assert.equal(await custom.timeout(10_000).emitWithAck('echo', 'custom'), 'custom');
      const lost = peer.socket.io.socket('/nowhere');
      const error = await new Promise((resolve) => lost.once('connect_error', resolve));
      assert.equal(error.message, 'Invalid namespace');
    });
  }
});

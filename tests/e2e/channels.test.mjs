// Channels as clients meet them: the official one by plain events, and our own in Node, with the
// proctor example as the program.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { official, person, startExam, startExamOnRedis } from '../lib/exam.mjs';
import { until } from '../lib/until.mjs';

const ROOM = 'exam:algebra';
const STAFF = 'staff:algebra';

/** The code of the error that an event was answered with. */
async function refused(peer, event, ...args) {
  const { error } = await peer.ask(event, ...args);
  assert.equal(typeof error?.message, 'string', `${event} was not refused`);
  return error.code;
}

describe('the official client', () => {
  let system;
  before(async () => {
    system = await startExam({ nodes: 2 });
  });
  after(() => system?.stop());

  async function enter(t, role, name, options) {
    const peer = await official(system, role, name, options);
    t.after(() => peer.close());
    return peer;
  }

  /** Somebody who is in the room, and what the room was at then. */
  async function inside(t, role, name, options) {
    const peer = await enter(t, role, name, options);
    peer.entry = await peer.ask('whisk.subscribe', { channel: ROOM });
    return peer;
  }

  test('a subscription is answered with the position, again with the same', async (t) => {
    const student = await inside(t, 'student', 'Ann');
    const { channel, epoch, offset } = student.entry;
    assert.deepEqual([channel, typeof epoch, typeof offset], [ROOM, 'string', 'number']);
    const again = await student.ask('whisk.subscribe', { channel: ROOM });
    assert.deepEqual([again.epoch, again.offset], [epoch, offset]);
    assert.deepEqual(await student.ask('whisk.unsubscribe', { channel: ROOM }), { channel: ROOM });
    assert.deepEqual(await student.ask('whisk.unsubscribe', { channel: ROOM }), { channel: ROOM });
  });

  test('what may not be subscribed to is refused with a code', async (t) => {
    const student = await enter(t, 'student', 'Ann');
    const codes = {
      'exam:geometry': 'another_room',
      [STAFF]: 'not_a_proctor',
      'private-notes': 'refused',
      nowhere: 'refused',
      _user: 'bad_channel',
      'ex am': 'bad_channel',
    };
    for (const [channel, code] of Object.entries(codes)) {
      assert.equal(await refused(student, 'whisk.subscribe', { channel }), code, channel);
    }
    const long = { channel: ROOM, query: 'x'.repeat(5000) };
    assert.equal(await refused(student, 'whisk.subscribe', long), 'bad_payload');
  });

  test('what is published where it is allowed reaches the others, with the server’s word on it', async (t) => {
    const proctor = await inside(t, 'proctor', 'Ada');
    const students = await Promise.all([0, 1].map((nid) => inside(t, 'student', 'Ann', { nid })));
    const told = await proctor.ask('whisk.publish', { channel: ROOM, topic: 'notice' }, { text: 'ten' });
    assert.equal(told.level, 'memory');
    // Before the first message on it a channel has no epoch.
    assert.ok(told.epoch !== '' && [told.epoch, ''].includes(proctor.entry.epoch), told.epoch);
    for (const student of students) {
      const [head, data] = await student.next('whisk.message');
      assert.deepEqual(data, { text: 'ten' });
      assert.deepEqual([head.channel, head.topic, head.user], [ROOM, 'notice', proctor.user]);
      assert.deepEqual([head.id, head.at], [told.id, told.at]);
      assert.deepEqual([head.epoch, head.offset], [told.epoch, told.offset]);
      assert.match(head.from, new RegExp(`^ws/0/${proctor.socket.id}$`));
    }
    const [moved] = await proctor.next('whisk.position');
    assert.deepEqual(moved, { channel: ROOM, epoch: told.epoch, offset: told.offset });
    assert.ok(!proctor.unseen.includes('whisk.message'));
  });

  test('who may not publish is refused, also with a message that names another sender', async (t) => {
    const [student, bystander] = [await inside(t, 'student', 'Ann'), await inside(t, 'student', 'Bob')];
    const head = { channel: ROOM, topic: 'notice', from: 'ws/0/x', user: 'proctor-1', client: 'x' };
    assert.equal(await refused(student, 'whisk.publish', head, { text: 'go home' }), 'not_a_proctor');
    assert.equal(await refused(student, 'whisk.request', head, { text: 'go home' }), 'not_a_proctor');
    const elsewhere = { channel: STAFF, topic: 'send_away' };
    assert.equal(await refused(student, 'whisk.request', elsewhere, {}), 'not_subscribed');
    assert.equal(await refused(student, 'whisk.publish', { topic: 'notice' }), 'bad_payload');
    // Heard once the bystander's own next event was answered.
    await bystander.ask('whisk.subscribe', { channel: ROOM });
    assert.ok(!bystander.unseen.includes('whisk.message'));
  });

  test('a request is answered by the reply of whom it was for, and by no other', async (t) => {
    const proctor = await inside(t, 'proctor', 'Ada');
    const [ann, bob] = await Promise.all([0, 1].map((nid) => inside(t, 'student', 'Ann', { nid })));
    const to = `ws/0/${ann.socket.id}`;
    const head = { channel: ROOM, topic: 'question', to, timeout_ms: 5000 };
    const asked = proctor.ask('whisk.request', head, { text: 'why?' });
    const [message, data] = await ann.next('whisk.message');
    assert.deepEqual([message.ask, message.direct, data], [true, true, { text: 'why?' }]);
    const reply = { channel: ROOM, to: message.from, re: message.id };
    assert.deepEqual(await bob.ask('whisk.reply', reply, { answer: 'I know!' }), {});
    assert.deepEqual(await ann.ask('whisk.reply', { ...reply, re: 'another' }, { answer: 'no' }), {});
    assert.deepEqual(await ann.ask('whisk.reply', reply, { answer: 'because' }), {});
    const { data: answer, from, user } = await asked;
    assert.deepEqual([answer, from, user], [{ answer: 'because' }, to, ann.user]);
    assert.ok(!bob.unseen.includes('whisk.message'));
  });

  test('a replier’s error and silence are told to the asker', async (t) => {
    const [proctor, ann] = [await inside(t, 'proctor', 'Ada'), await inside(t, 'student', 'Ann')];
    const head = { channel: ROOM, topic: 'question', to: `ws/0/${ann.socket.id}` };
    const refusal = refused(proctor, 'whisk.request', head, {});
    const [{ from, id }] = await ann.next('whisk.message');
    const error = { code: 'declined', message: 'rather not' };
    await ann.ask('whisk.reply', { channel: ROOM, to: from, re: id, error });
    assert.equal(await refusal, 'declined');
    assert.equal(await refused(proctor, 'whisk.request', { ...head, timeout_ms: 200 }, {}), 'timeout');
  });

  /** The next change of a roster that somebody hears: what, and of whom. */
  async function change(peer) {
    const [{ event, epoch, version, member }] = await peer.next('whisk.presence');
    assert.deepEqual([typeof epoch, typeof version], ['string', 'number']);
    return { event, member };
  }

  test('the roster comes with the subscription and in pages, and each change of it once', async (t) => {
    const [channel, room] = ['exam:roster', 'roster'];
    const ada = await enter(t, 'proctor', 'Ada', { room });
    const { presence: empty, client: none } = await ada.ask('whisk.subscribe', { channel, presence: false });
    assert.deepEqual([empty.members, none], [[], undefined]);

    const ann = await enter(t, 'student', 'Ann', { room, nid: 1 });
    const profile = { label: 'Ann', meta: { seat: 7 } };
    const { client, presence } = await ann.ask('whisk.subscribe', { channel, presence: profile });
    assert.match(client, /^[A-Za-z0-9_-]{22}$/);
    const came = await change(ada);
    assert.equal(came.event, 'client.connected');
    const { first_seen, last_seen, version, ...rest } = came.member;
    assert.deepEqual(rest, { client, user: ann.user, ...profile, state: 'connected' });
    assert.ok(first_seen <= last_seen && version > empty.version);
    assert.deepEqual(presence.members.map((member) => member.client), [client]);

    const bob = await enter(t, 'student', 'Bob', { room });
    const second = await bob.ask('whisk.subscribe', { channel });
    assert.equal((await change(ada)).member.client, second.client);
    const first = await ada.ask('whisk.presence', { channel, limit: 1 });
    const next = await ada.ask('whisk.presence', { channel, limit: 1, after: first.next });
    assert.deepEqual([first.members.length, next.members.length, next.next], [1, 1, undefined]);
    const both = [...first.members, ...next.members].map((member) => member.client);
    assert.deepEqual(both, [client, second.client].sort());
    assert.deepEqual(await ada.ask('whisk.count', { channel }), { connected: 2, disconnected: 0, users: 2 });

    assert.deepEqual(await ann.ask('whisk.update', { channel, meta: { hand: true } }), {});
    const updated = await change(ada);
    assert.deepEqual([updated.event, updated.member.label, updated.member.meta], ['client.updated', 'Ann', { hand: true }]);
    await ada.ask('whisk.knock', { channel });
    // Each node tells of its own.
    const seen = [...(await ada.next('whisk.presence')), ...(await ada.next('whisk.presence'))];
    assert.deepEqual(seen.map(({ event }) => event), ['seen', 'seen']);
    assert.deepEqual(seen.flatMap(({ seen }) => seen.map(([one]) => one)).sort(), both);

    await bob.ask('whisk.unsubscribe', { channel });
    const left = await change(ada);
    assert.deepEqual([left.event, left.member.client], ['client.removed', second.client]);
    assert.ok(!ada.unseen.includes('whisk.presence'));
  });

  test('who is lost is disconnected after the threshold, and the same one when it comes back', async (t) => {
    const [channel, room] = ['exam:lost', 'lost'];
    const ada = await enter(t, 'proctor', 'Ada', { room });
    await ada.ask('whisk.subscribe', { channel, presence: false });
    const ann = await enter(t, 'student', 'Ann', { room });
    const { client } = await ann.ask('whisk.subscribe', { channel });
    assert.equal((await change(ada)).event, 'client.connected');
    // The transport closes, without a goodbye of Socket.IO's.
    ann.socket.io.engine.close();
    const lost = await change(ada);
    assert.deepEqual([lost.event, lost.member.client, lost.member.state], ['client.disconnected', client, 'disconnected']);
    const to = { channel, topic: 'question', to: client };
    assert.equal(await refused(ada, 'whisk.request', to, {}), 'not_here');

    const back = await ann.again(1);
    t.after(() => back.close());
    assert.equal((await back.ask('whisk.subscribe', { channel })).client, client);
    const returned = await change(ada);
    assert.deepEqual([returned.event, returned.member.client], ['client.reconnected', client]);
    const asked = ada.ask('whisk.request', to, { text: 'there?' });
    const [message] = await back.next('whisk.message');
    await back.ask('whisk.reply', { channel, to: message.from, re: message.id }, 'yes');
    const reply = await asked;
    assert.deepEqual([reply.data, reply.client, reply.user], ['yes', client, ann.user]);
  });

  test('nobody changes or asks for what is not his own', async (t) => {
    const [student, proctor] = [await enter(t, 'student', 'Ann'), await inside(t, 'proctor', 'Ada')];
    for (const event of ['presence', 'count', 'update', 'knock']) {
      assert.equal(await refused(student, `whisk.${event}`, { channel: ROOM }), 'not_subscribed', event);
    }
    await proctor.ask('whisk.subscribe', { channel: STAFF });
    assert.equal(await refused(proctor, 'whisk.count', { channel: STAFF }), 'no_presence');
    const long = { channel: ROOM, presence: { label: 'x'.repeat(129) } };
    assert.equal(await refused(student, 'whisk.subscribe', long), 'bad_payload');
  });

  test('who is sent away hears why, and is not to come back', async (t) => {
    const proctor = await inside(t, 'proctor', 'Ada');
    const [ann, bystander] = [await inside(t, 'student', 'Ann', { nid: 1 }), await inside(t, 'student', 'Bob')];
    await proctor.ask('whisk.subscribe', { channel: STAFF });
    const order = { client: ann.entry.client, reason: 'Talking' };
    assert.equal(await proctor.ask('whisk.request', { channel: STAFF, topic: 'send_away' }, order).then(({ data }) => data), null);
    assert.deepEqual(await ann.next('whisk.boot'), [{ reason: 'Talking' }]);
    // So the official client stays away, too.
    assert.equal((await ann.next('disconnect'))[0], 'io server disconnect');
    const [head, data] = await proctor.next('whisk.message');
    assert.deepEqual([head.channel, head.topic, data], [STAFF, 'sent_away', { by: 'Ada', user: ann.user, reason: 'Talking' }]);
    assert.ok(bystander.socket.connected);
  });
});

describe('our own client, on three nodes', () => {
  let system;
  before(async () => {
    system = await startExamOnRedis({ env: { WHISK_EXAMPLE__REMOVAL_THRESHOLD: '8s' } });
  });
  after(() => system?.stop());

  async function enter(t, role, name, options) {
    const client = await person(system, role, name, options);
    t.after(() => client.close());
    return client;
  }

  async function inside(t, role, name, options) {
    return (await enter(t, role, name, options)).subscribe(ROOM);
  }

  /** What is heard on a channel from now on. */
  function heard(channel) {
    const texts = [];
    channel.on('notice', ({ text }) => texts.push(text));
    return texts;
  }

  async function killed(t, nid) {
    system.nodes[nid].kill();
    await system.nodes[nid].exited();
    t.after(() => system.startNode(nid));
  }

  test('a channel comes back by itself after its node was killed, and hears each message once', async (t) => {
    const proctor = await inside(t, 'proctor', 'Ada', { nid: 2 });
    const client = await enter(t, 'student', 'Ann', { nid: 0 });
    const exam = await client.subscribe(ROOM);
    const other = await client.subscribe(ROOM);
    const [texts, statuses] = [heard(exam), []];
    other.onStatus((status) => statuses.push(status));
    const before = await proctor.publish('notice', { text: 'before' });
    await until('it is heard', () => texts.length === 1);
    assert.deepEqual(exam.position, before.position);

    await killed(t, 0);
    await until('the channel is there again', () => exam.status === 'active' && statuses.length > 0);
    assert.deepEqual(statuses, ['dropped', 'subscribing', 'active']);
    assert.match(client.address, /^ws\/[12]\//);
    const after = await proctor.publish('notice', { text: 'after' });
    await until('it is heard', () => texts.length === 2);
    assert.deepEqual(texts, ['before', 'after']);
    assert.equal(after.position.epoch, before.position.epoch);
    assert.deepEqual([exam.position, other.position], [after.position, after.position]);
    assert.deepEqual(proctor.position, after.position);
  });

  test('a roster is whole again after a node was killed: nobody twice, nobody left behind', async (t) => {
    const [channel, room] = ['exam:killed', 'killed'];
    const ada = await (await enter(t, 'proctor', 'Ada', { nid: 0, room })).subscribe(channel);
    const students = [];
    for (let n = 0; n < 8; n += 1) {
      const client = await enter(t, 'student', `Student ${n}`, { nid: 1, room });
      const exam = await client.subscribe(channel, { presence: { label: `Student ${n}` } });
      students.push({ client, exam });
    }
    await until('all are there', () => ada.presence.size === 9);
    const events = Object.fromEntries(students.map(({ exam }) => [exam.presence.client, []]));
    for (const event of ['connected', 'disconnected', 'reconnected', 'removed']) {
      ada.presence.on(`client.${event}`, ({ client }) => events[client].push(event));
    }
    // The last one does not come back: nobody is left who knows of it but the store.
    const gone = students.at(-1);
    await killed(t, 1);
    gone.client.close();
    await until('the others are back', () => students.slice(0, -1).every(({ exam }) => exam.status === 'active'));
    const lost = gone.exam.presence.client;
    await until('who is gone is known to be', () => ada.presence.get(lost)?.state === 'disconnected');
    const states = ada.presence.members.map(({ label, state }) => `${label} ${state}`).sort();
    const expected = students.map((_, n) => `Student ${n} ${n === 7 ? 'disconnected' : 'connected'}`);
    assert.deepEqual(states, ['null connected', ...expected].sort());
    for (const [client, heard] of Object.entries(events)) {
      const may = client === lost ? ['disconnected'] : ['', 'disconnected,reconnected'];
      assert.ok(may.includes(heard.join()), `${ada.presence.get(client).label}: ${heard}`);
    }
    await until('who is gone is off the roster', () => ada.presence.size === 8);
    assert.deepEqual(events[lost], ['disconnected', 'removed']);
    for (const { exam } of students.slice(0, -1)) {
      await until('all see the same', () => exam.presence.complete && exam.presence.size === 8);
    }
    assert.deepEqual(await ada.presence.count(), { connected: 8, disconnected: 0, users: 8 });
  });

  test('what is said while away waits for the channel, or fails at once, as the sayer chose', async (t) => {
    const client = await enter(t, 'proctor', 'Ada', { nid: 1 });
    const exam = await client.subscribe(ROOM);
    const texts = heard(await inside(t, 'student', 'Ann', { nid: 2 }));
    await killed(t, 1);
    await until('it is away', () => client.state === 'reconnecting');
    const say = (text, whenAway) => exam.publish('notice', { text }, { whenAway, timeoutMs: 10_000 });
    const waits = say('later', 'wait');
    await assert.rejects(say('never', 'fail'), { code: 'away' });
    await assert.rejects(client.ask('whisk.knock', { channel: ROOM }, { whenAway: 'fail' }), { code: 'away' });
    assert.equal((await waits).level, 'memory');
    await until('it is heard', () => texts.length > 0);
    assert.deepEqual(texts, ['later']);
  });

  test('a gate that cannot read the session is asked again until it can', async (t) => {
    const student = await enter(t, 'student', 'Ann');
    const [stranger, outcomes] = [await official(system, 'student', 'Bob', { nid: 1 }), []];
    t.after(() => stranger.close());
    await system.redis.freeze();
    t.after(() => system.redis.thaw());
    const subscribing = student.subscribe(ROOM, { timeoutMs: 20_000 });
    subscribing.then(() => outcomes.push('subscribed'), (error) => outcomes.push(error.code));
    assert.equal(await refused(stranger, 'whisk.subscribe', { channel: ROOM }), 'unavailable');
    assert.deepEqual(outcomes, []);
    system.redis.thaw();
    await subscribing;
    assert.deepEqual(outcomes, ['subscribed']);
    assert.deepEqual(student.problems, []);
  });
});

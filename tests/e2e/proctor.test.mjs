// The exam room as people meet it: a proctor and students in real browsers, in one process and in
// several, of which browsers and nodes are killed.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, screenshot } from '../lib/browser.mjs';
import { person, startExam, startExamOnRedis } from '../lib/exam.mjs';
import { enter, happened, nodeOf, reopen, rowOf, shows, tabOf } from '../lib/exam-pages.mjs';
import { until } from '../lib/until.mjs';

/** The disconnect threshold of the tests is 2 s; one on a busy machine may notice a little later. */
const DROPPED_MS = 5_000;

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

/** Each test has a room of its own. */
let rooms = 0;
const newRoom = () => `room-${(rooms += 1)}`;

const hears = (page, list, text) =>
  until(`${list} shows ${text}`, async () => (await page.textContent(list)).includes(text));
const speedOf = (page, name) => rowOf(page, name).locator('.speed').textContent();

/** A proctor and two students in a room, each seen by all. */
async function three(t, system, room = newRoom()) {
  const ada = await enter(browser, system, 'proctor', 'Ada', { room });
  const ann = await enter(browser, system, 'student', 'Ann', { room });
  const bob = await enter(browser, system, 'student', 'Bob', { room });
  t.after(() => Promise.all([ada, ann, bob].map((page) => page.context().close())));
  const here = ['connected'];
  for (const page of [ada, ann, bob]) await shows(page, { Ada: here, Ann: here, Bob: here });
  return { room, ada, ann, bob };
}

/** A student in a browser of his own, that can be killed. */
async function another(t, system, name, room) {
  const own = await openBrowser();
  t.after(() => own.close());
  return { own, page: await enter(own, system, 'student', name, { room }) };
}

async function ask(page, name, text) {
  const row = rowOf(page, name);
  await row.locator('summary', { hasText: 'Ask' }).click();
  await row.getByLabel(`Question to ${name}`).fill(text);
  await row.getByRole('button', { name: 'Ask', exact: true }).click();
}

async function sendAway(page, name, reason) {
  const row = rowOf(page, name);
  await row.locator('summary', { hasText: 'Send away' }).click();
  await row.getByLabel(`Why ${name} has to go`).fill(reason);
  await row.getByRole('button', { name: 'Send away' }).click();
}

describe('in one process', () => {
  let system;
  before(async () => {
    system = await startExam({ env: { WHISK_EXAMPLE__REMOVAL_THRESHOLD: '12s' } });
  });
  after(() => system?.stop());

  test('the first run tells which pages to open', () => {
    for (const role of ['proctor', 'student']) {
      assert.ok(system.program.output.includes(`http://127.0.0.1:${system.webPort}/?role=${role}`));
    }
  });

  test('all see who is here, their own entry marked, and who came, once', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    for (const [page, name] of [[ada, 'Ada'], [ann, 'Ann'], [bob, 'Bob']]) {
      assert.equal(await page.locator('#roster .badge.own').count(), 1);
      assert.equal(await rowOf(page, name).locator('.badge.own').count(), 1);
      assert.match(await rowOf(page, name).locator('.tab').textContent(), /this tab, connected since/);
      assert.equal(await page.textContent('#count'), '3 here');
    }
    assert.deepEqual(await happened(ada, 'Ann'), ['connected']);
    assert.deepEqual(await happened(ada, 'Bob'), ['connected']);
    assert.deepEqual(await happened(ann, 'Bob'), ['connected']);
    assert.deepEqual([ada, ann, bob].flatMap((page) => page.problems), []);
  });

  test('a second tab of a student stands beneath the same name', async (t) => {
    const { ada, ann } = await three(t, system);
    const second = await ann.context().newPage();
    await second.goto(`${system.url}/exam`);
    await shows(ada, { Ada: ['connected'], Ann: ['connected', 'connected'], Bob: ['connected'] });
    assert.equal(await rowOf(second, 'Ann').locator('.tab', { hasText: 'this tab' }).count(), 1);
  });

  test('a speed check shows its round-trip, once and again and again', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await ada.getByRole('button', { name: 'Check the speed of Ann' }).click();
    await until('the round-trip is shown', async () => / ms/.test(await speedOf(ada, 'Ann')));
    await hears(ann, '#checked', 'Speed checked');
    assert.equal(await speedOf(ada, 'Bob'), '');
    assert.equal(await bob.textContent('#checked'), '');
    await ada.click('#check-all');
    for (const name of ['Ann', 'Bob']) {
      await until(`${name} is checked again and again`, async () =>
        /^(< 1|\d+) ms, checked [3-9] times$/.test(await speedOf(ada, name)));
    }
    await ada.click('#check-all');
    assert.equal(await ada.getAttribute('#check-all', 'aria-pressed'), 'false');
  });

  test('who does not answer is shown so, and nobody waits for him', async (t) => {
    const { ada, room } = await three(t, system);
    // Programs that call themselves students, and are no pages.
    const [deaf, slow] = [await person(system, 'student', 'Deaf', { room }), await person(system, 'student', 'Slow', { room })];
    t.after(() => [deaf, slow].forEach((client) => client.close()));
    await deaf.subscribe(`exam:${room}`, { presence: { label: 'Deaf' } });
    const exam = await slow.subscribe(`exam:${room}`, { presence: { label: 'Slow' } });
    exam.on('speed_check', () => new Promise(() => {}));
    await until('both are on the roster', () => rowOf(ada, 'Slow').count());
    await ada.click('#check-all');
    await until('one has no handler', async () => (await speedOf(ada, 'Deaf')) === 'no answer (unknown_event)');
    await until('one never answers', async () => (await speedOf(ada, 'Slow')) === 'no answer');
    await until('another does', async () => / ms/.test(await speedOf(ada, 'Ann')));
  });

  test('a private question is seen by whom it is for, and the answer comes back', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await ask(ada, 'Ann', 'May I see <b>your</b> desk?');
    await hears(ann, '#questions', 'May I see <b>your</b> desk?');
    assert.equal(await bob.locator('.question').count(), 0);
    await ann.getByLabel('Your answer').fill('Here it is');
    await ann.getByRole('button', { name: 'Answer' }).click();
    await until('the answer is shown', async () => (await ada.textContent('#asked .answer')) === 'Here it is');
    assert.equal(await ann.locator('.question').count(), 0);
    await ask(ada, 'Bob', 'And yours?');
    await bob.getByRole('button', { name: 'Rather not' }).click();
    await until('the refusal is shown', async () => (await ada.textContent('#asked .answer')) === '(rather not)');
  });

  test('a notice reaches every student, as text', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    const text = '<img src=x onerror="document.title=\'taken\'">10 minutes left';
    await ada.fill('#notice', text);
    await ada.click('#tell button');
    for (const page of [ann, bob]) {
      await hears(page, '#notices', text);
      assert.equal(await page.locator('#notices img').count(), 0);
      assert.match(await page.title(), /^Exam/);
    }
    await hears(ada, '#told', text);
  });

  test('a raised hand is seen by all', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await ann.click('#hand');
    for (const page of [ada, ann, bob]) {
      await until('the hand is seen', () => rowOf(page, 'Ann').locator('.hand').isVisible());
      assert.equal(await rowOf(page, 'Bob').locator('.hand').isVisible(), false);
    }
    await hears(ada, '#activity', 'Ann raised a hand');
    await ann.click('#hand');
    await until('it is down', async () => !(await rowOf(ada, 'Ann').locator('.hand').isVisible()));
  });

  test('a student cannot do what proctors do, by hand in the console either', async (t) => {
    const { ada, ann, bob, room } = await three(t, system);
    const user = await rowOf(ann, 'Bob').getAttribute('data-user');
    const codes = await ann.evaluate(async ([room, user]) => {
      const { client } = await import('/room.js');
      const exam = await client.subscribe(`exam:${room}`);
      const { members } = await exam.presence.ready;
      const to = members.find((member) => member.user === user).client;
      const tries = {
        notice: () => exam.publish('notice', { text: 'go home' }),
        toOne: () => exam.publish('notice', { text: 'go home' }, { to }),
        question: () => exam.request('question', { text: 'what did you write?' }, { to }),
        speed: () => exam.request('speed_check', {}, { to }),
        staff: () => client.subscribe(`staff:${room}`),
        elsewhere: () => client.subscribe('exam:another-room'),
        sendAway: () => client.ask('whisk.request', { channel: `staff:${room}`, topic: 'send_away' }),
        order: () => exam.request('send_away', { user, reason: 'because' }),
      };
      const codes = {};
      for (const [name, run] of Object.entries(tries)) {
        codes[name] = await run().then(() => 'allowed', (error) => error.code);
      }
      return codes;
    }, [room, user]);
    const no = 'not_a_proctor';
    assert.deepEqual(codes, {
      notice: no, toOne: no, question: no, speed: no, staff: no,
      elsewhere: 'another_room', sendAway: 'not_subscribed', order: no,
    });
    // What was refused was heard by nobody: a notice of the proctor is the first thing that is.
    await ada.fill('#notice', 'go on');
    await ada.click('#tell button');
    await hears(bob, '#notices', 'go on');
    assert.equal(await bob.locator('#notices li').count(), 1);
    assert.equal(await bob.locator('.question').count(), 0);
  });

  test('who is sent away reads why and does not come back; the others see it at once', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await sendAway(ada, 'Bob', 'Talking to Ann');
    await hears(bob, '#over-text', 'You were sent away: Talking to Ann');
    for (const page of [ada, ann]) await shows(page, { Ada: ['connected'], Ann: ['connected'] });
    await hears(ada, '#activity', 'Talking to Ann');
    assert.equal(await bob.textContent('#state'), 'Disconnected');
    assert.deepEqual(await happened(ann, 'Bob'), ['connected', 'removed']);
  });

  test('who leaves by the button is gone at once', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await bob.click('#leave');
    await hears(bob, '#over-text', 'You left the room.');
    for (const page of [ada, ann]) await shows(page, { Ada: ['connected'], Ann: ['connected'] }, { deadline: 1500 });
    assert.deepEqual(await happened(ada, 'Bob'), ['connected', 'removed']);
  });

  test('a knock is answered by all who are there', async (t) => {
    const { ada } = await three(t, system);
    await ada.click('#knock');
    await hears(ada, '#knocked', '3 of 3 gave a sign of life');
  });

  test('a tab that is closed drops out after the threshold, and is removed after another', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await bob.close();
    for (const page of [ada, ann]) {
      await shows(page, { Ada: ['connected'], Ann: ['connected'], Bob: ['disconnected'] }, { deadline: DROPPED_MS });
    }
    assert.match(await rowOf(ada, 'Bob').locator('.tab').textContent(), /dropped, last seen/);
    assert.equal(await ada.textContent('#count'), '2 here, 1 dropped');
    await shows(ada, { Ada: ['connected'], Ann: ['connected'] }, { deadline: 20_000 });
    for (const page of [ada, ann]) {
      assert.deepEqual((await happened(page, 'Bob')).slice(-2), ['disconnected', 'removed']);
    }
  });

  test('all of it at once, in light and in dark, on a desk and on a phone', async (t) => {
    const { ada, ann, bob, room } = await three(t, system, 'algebra');
    await another(t, system, 'Eve', room).then(({ own }) => own.kill());
    await ada.click('#check-all');
    await ann.click('#hand');
    await hears(ada, '#activity', 'Ann raised a hand');
    await ask(ada, 'Bob', 'May I see your desk?');
    await bob.getByLabel('Your answer').fill('Of course');
    await bob.getByRole('button', { name: 'Answer' }).click();
    await ada.fill('#notice', '10 minutes left');
    await ada.click('#tell button');
    await hears(ann, '#notices', '10 minutes left');
    await ask(ada, 'Ann', 'You raised a hand?');
    await hears(ann, '#questions', 'You raised a hand?');
    await shows(ada, { Ada: ['connected'], Ann: ['connected'], Bob: ['connected'], Eve: ['disconnected'] });
    for (const name of ['Ann', 'Bob']) await until('speeds are shown', async () => / ms/.test(await speedOf(ada, name)));
    for (const [page, name] of [[ada, 'proctor'], [ann, 'proctor-student']]) {
      await page.setViewportSize({ width: 900, height: 880 });
      await screenshot(page, name);
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.setViewportSize({ width: 390, height: 844 });
      // Nothing stands out to the side.
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await screenshot(page, `${name}-dark-phone`);
    }
    assert.deepEqual([ada, ann, bob].flatMap((page) => page.problems), []);
  });

  test('a browser that is killed drops out, and its tab comes back as the same one', async (t) => {
    const { ada, ann, room } = await three(t, system);
    const { own, page } = await another(t, system, 'Eve', room);
    const here = ['connected'];
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: here });
    const client = await rowOf(ada, 'Eve').locator('.tab').getAttribute('data-client');
    const tab = await tabOf(page);
    own.kill();
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: ['disconnected'] }, { deadline: DROPPED_MS });
    const back = await reopen(browser, system, tab);
    t.after(() => back.context().close());
    for (const page of [ada, ann, back]) await shows(page, { Ada: here, Ann: here, Bob: here, Eve: here });
    assert.equal(await rowOf(ada, 'Eve').locator('.tab').getAttribute('data-client'), client);
    for (const page of [ada, ann]) {
      assert.deepEqual(await happened(page, 'Eve'), ['connected', 'disconnected', 'reconnected']);
    }
  });

  test('a browser that freezes drops out, and comes back by itself', async (t) => {
    const { ada, room } = await three(t, system);
    const { own } = await another(t, system, 'Eve', room);
    const here = ['connected'];
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: here });
    await own.freeze();
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: ['disconnected'] }, { deadline: DROPPED_MS });
    own.thaw();
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: here });
    assert.deepEqual(await happened(ada, 'Eve'), ['connected', 'disconnected', 'reconnected']);
  });
});

describe('in four processes on Redis', () => {
  let system;
  before(async () => {
    system = await startExamOnRedis();
  });
  after(() => system?.stop());

  /** Reloads a page until it is on one of these nodes. */
  async function moveTo(page, nodes) {
    await until('the page is on another node', async () => {
      const node = await nodeOf(page);
      if (nodes.includes(node)) return true;
      if (!Number.isNaN(node)) await page.reload();
      return false;
    });
  }

  test('people on different nodes see each other, ask, answer and tell', async (t) => {
    const { ada, ann, bob } = await three(t, system);
    await moveTo(ada, [0]);
    await moveTo(ann, [1]);
    await moveTo(bob, [2]);
    const here = ['connected'];
    for (const page of [ada, ann, bob]) await shows(page, { Ada: here, Ann: here, Bob: here });
    await ada.click('#check-all');
    for (const name of ['Ann', 'Bob']) {
      await until(`${name} is checked`, async () => /checked [2-9] times/.test(await speedOf(ada, name)));
    }
    await ask(ada, 'Bob', 'Ready?');
    await bob.getByLabel('Your answer').fill('Yes');
    await bob.getByRole('button', { name: 'Answer' }).click();
    await until('the answer is shown', async () => (await ada.textContent('#asked .answer')) === 'Yes');
    await ada.fill('#notice', 'Begin!');
    await ada.click('#tell button');
    for (const page of [ann, bob]) await hears(page, '#notices', 'Begin!');
    await ada.click('#knock');
    await hears(ada, '#knocked', '3 of 3 gave a sign of life');
    await sendAway(ada, 'Bob', 'Done');
    await hears(bob, '#over-text', 'You were sent away: Done');
    for (const page of [ada, ann]) await shows(page, { Ada: here, Ann: here });
    assert.deepEqual([ada, ann, bob].flatMap((page) => page.problems), []);
  });

  test('the students of a node that is killed come back by others; nobody is doubled or left behind', async (t) => {
    const { ada, ann, bob, room } = await three(t, system);
    const here = ['connected'];
    await moveTo(ada, [0]);
    await moveTo(ann, [1]);
    await moveTo(bob, [1]);
    const { own, page: eve } = await another(t, system, 'Eve', room);
    await moveTo(eve, [1]);
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: here });
    const earlier = {};
    for (const name of ['Ann', 'Bob', 'Eve']) earlier[name] = await happened(ada, name);

    // One of the students does not come back: the node that could have told of it is gone, too.
    const tab = await tabOf(eve);
    system.nodes[1].kill();
    own.kill();
    t.after(() => system.startNode(1));
    for (const page of [ann, bob]) {
      await until('the student is on another node', async () => [0, 2].includes(await nodeOf(page)));
    }
    await shows(ada, { Ada: here, Ann: here, Bob: here, Eve: ['disconnected'] });
    const back = await reopen(browser, system, tab);
    t.after(() => back.context().close());
    for (const page of [ada, ann, bob, back]) {
      await shows(page, { Ada: here, Ann: here, Bob: here, Eve: here });
      assert.equal(await page.locator('#roster .tab').count(), 4);
    }
    const since = async (name) => (await happened(ada, name)).slice(earlier[name].length);
    assert.deepEqual(await since('Eve'), ['disconnected', 'reconnected']);
    // Those who were back soon were not missed; who was, was missed once.
    for (const name of ['Ann', 'Bob']) {
      const events = (await since(name)).join();
      assert.ok(['', 'disconnected,reconnected'].includes(events), `${name}: ${events}`);
    }
    // They are all there indeed: each answers.
    await ada.click('#check-all');
    for (const name of ['Ann', 'Bob', 'Eve']) {
      await until(`${name} answers`, async () => / ms/.test(await speedOf(ada, name)));
    }
  });
});

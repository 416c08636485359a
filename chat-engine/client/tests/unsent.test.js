import assert from 'node:assert/strict';
import { beforeEach, test, mock } from 'node:test';

import { ChatClient, keyAt } from '../chat.js';
import { ack, entry, refusal, settled, wire } from './wire.js';

const NOW = 1_700_000_000_000;
let net, chat;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: NOW });
  net = wire();
  chat = client();
});

const client = () => new ChatClient({ url: 'http://host/chat/ws', random: () => 0.5, ...net });
const texts = (socket = net.latest()) => socket.of('send').map(({ body }) => body.text);
const time = (key) => Number.parseInt(key.replace('-', '').slice(0, 12), 16);

async function online(more) {
  chat.connect();
  await net.latest().greet(more);
}

async function again() {
  mock.timers.tick(15_000);
  await net.latest().greet();
}

test('what was not answered is sent again in order under the same keys', async () => {
  await online();
  const drafts = ['a', 'b', 'c'].map((text) => chat.say('r', text));
  await net.latest().say(ack(net.latest().of('send')[0], 1));
  net.latest().cut();
  drafts.push(chat.say('r', 'd'));
  await again();
  assert.deepEqual(texts(), ['b', 'c', 'd']);
  assert.deepEqual(net.latest().of('send').map(({ key }) => key), drafts.slice(1).map(({ key }) => key));
});

test('what is posted before the first connection goes out after hello', async () => {
  chat.say('r', 'early');
  chat.connect();
  net.latest().open();
  assert.deepEqual(net.latest().sent.map(({ type }) => type), ['hello']);
  await net.latest().say({ type: 'welcome', ref: 1, user: 'ann', now: NOW, limits: { frame_bytes: 65536, rooms: 9 } });
  assert.deepEqual(texts(), ['early']);
});

test('an ack and its repeat settle a draft once', async () => {
  await online();
  const told = [];
  const draft = chat.say('r', 'a');
  chat.on('draft', ({ status }) => told.push(status));
  const send = net.latest().take('send');
  await net.latest().say(ack(send, 7), ack(send, 7));
  assert.equal((await draft.done).seq, 7);
  assert.deepEqual([told, chat.unsent], [['stored'], []]);
});

test('only an answer settles a draft: its entry may come while a second try is refused', async () => {
  await online();
  const draft = chat.say('r', 'a');
  net.latest().cut();
  await again();
  const second = net.latest().of('send').at(-1);
  await net.latest().say(entry(3, { key: draft.key, author: 'ann' }), refusal(second, 'rate_limited', { retry_after_ms: 100 }));
  assert.notEqual(draft.status, 'stored');
  mock.timers.tick(1_000);
  const third = net.latest().of('send').at(-1);
  assert.equal(third.key, draft.key, 'or everything later would be answered `behind`');
  await net.latest().say(ack(third, 3));
  assert.equal(draft.status, 'stored');
});

test('a refusal for now stops the room, and all is sent again in order', async () => {
  await online();
  for (const text of ['a', 'b', 'c']) chat.say('r', text);
  chat.say('other', 'x');
  const socket = net.latest();
  const [a, b, c] = socket.of('send');
  await socket.say(refusal(a, 'rate_limited', { retry_after_ms: 700 }), refusal(b, 'behind'), refusal(c, 'behind'));
  chat.say('r', 'd');
  mock.timers.tick(700);
  assert.deepEqual(texts(), ['a', 'b', 'c', 'x'], 'not before the wait is over');
  mock.timers.tick(125);
  assert.deepEqual(texts().slice(4), ['a'], 'one at first');
  await socket.say(ack(socket.take('send'), 1));
  assert.deepEqual(texts().slice(4), ['a', 'b', 'c']);
  await socket.say(ack(socket.take('send'), 3));
  assert.deepEqual(texts().slice(4), ['a', 'b', 'c', 'd']);
  assert.deepEqual(socket.of('send').slice(4, 7).map(({ key }) => key), [a.key, b.key, c.key]);
});

test('what was sent before a refused draft is still being answered', async () => {
  await online();
  for (const text of ['a', 'b', 'c']) chat.say('r', text);
  const socket = net.latest();
  const [a, b] = socket.of('send');
  await socket.say(refusal(b, 'rate_limited'));
  mock.timers.tick(125);
  assert.deepEqual(texts(), ['a', 'b', 'c']);
  await socket.say(ack(a, 1));
  assert.deepEqual(texts(), ['a', 'b', 'c', 'b', 'c']);
});

test('late answers to an earlier try change nothing', async () => {
  await online();
  for (const text of ['a', 'b']) chat.say('r', text);
  const socket = net.latest();
  const [a, b] = socket.of('send');
  await socket.say(refusal(a, 'retry'));
  mock.timers.tick(125);
  await socket.say(refusal(b, 'behind'));
  mock.timers.tick(5_000);
  assert.deepEqual(texts(), ['a', 'b', 'a']);
  await socket.say(ack(socket.take('send'), 1));
  await socket.say(ack(socket.take('send'), 2));
  assert.deepEqual([texts(), chat.unsent], [['a', 'b', 'a', 'b'], []]);
});

test('a server that waits for a later draft gets it', async () => {
  await online();
  for (const text of ['a', 'b']) chat.say('r', text);
  const socket = net.latest();
  const [a, b] = socket.of('send');
  await socket.say(refusal(b, 'rate_limited'), refusal(a, 'behind'));
  mock.timers.tick(250);
  assert.deepEqual(texts(), ['a', 'b', 'a', 'b']);
});

test('a final refusal takes only that draft off the list', async () => {
  await online();
  const [bad, good] = [chat.say('r', ''), chat.say('r', 'fine')];
  await net.latest().say(refusal(net.latest().of('send')[0], 'invalid_body', { retryable: false, code: 1003 }));
  await assert.rejects(bad.done, { name: 'invalid_body', code: 1003 });
  assert.deepEqual([bad.status, chat.unsent], ['refused', [good]]);
});

test('a command is accepted and not stored', async () => {
  await online();
  const draft = chat.say('r', '/stock=aapl.us');
  const { ref, key } = net.latest().take('send');
  await net.latest().say({ type: 'accepted', ref, key });
  assert.equal((await draft.done).status, 'accepted');
});

test('a page that was reloaded sends what the last one could not, before its own', async () => {
  await online();
  const lost = ['a', 'b'].map((text) => chat.say('r', text));
  chat = client();
  chat.say('r', 'c');
  await online();
  assert.deepEqual(texts(), ['a', 'b', 'c']);
  assert.deepEqual(net.latest().of('send').slice(0, 2).map(({ key }) => key), lost.map(({ key }) => key));
  await net.latest().say(...net.latest().of('send').map((frame, i) => ack(frame, i + 1)));
  assert.equal(net.storage.map.size, 0);
});

test('another user of the same tab does not send them', async () => {
  await online();
  chat.say('r', 'of ann');
  chat = client();
  await online({ user: 'bob' });
  assert.deepEqual(texts(), []);
  chat = client();
  await online({ user: 'ann' });
  assert.deepEqual(texts(), ['of ann']);
});

test('a storage that is full or broken is survived', async (context) => {
  context.mock.method(console, 'warn', () => {});
  net.storage.setItem = () => assert.fail('quota');
  net.storage.getItem = () => '{"not":"a list"';
  await online();
  chat.say('r', 'a');
  assert.deepEqual(texts(), ['a']);
});

test('only some drafts are under way at once', async () => {
  await online();
  for (let i = 0; i < 40; i += 1) chat.say('r', `${i}`);
  assert.equal(texts().length, 16);
  await net.latest().say(ack(net.latest().of('send')[0], 1));
  assert.equal(texts().length, 17);
});

test('what can never be sent is refused at once', async () => {
  await online();
  assert.throws(() => chat.say('r', 'x'.repeat(70_000)), { name: 'invalid_body' });
  for (let i = 0; i < 500; i += 1) chat.say('r', `${i}`);
  assert.throws(() => chat.say('r', 'one more'), { name: 'too_many' });
});

test('keys carry the server\'s time', async () => {
  await online({ now: NOW + 3_600_000 });
  mock.timers.tick(5);
  const { key } = chat.say('r', 'a');
  assert.equal(time(key), NOW + 3_600_005);
  assert.match(key, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(keyAt(NOW), keyAt(NOW));
});

test('rooms are created, joined and left under keys too', async () => {
  await online();
  const room = chat.create({ name: 'lunch', title: 'Lunch', visibility: 'public' });
  const { type, ref, ...create } = net.latest().take('create');
  assert.deepEqual(create, { spec: room.frame.spec, key: room.key });
  await net.latest().say({ type: 'ack', ref, key: room.key, room: 'new', seq: 1, id: 'i' });
  assert.equal((await room.done).room, 'new');
  chat.join('new');
  chat.leave('new', 'bob');
  const bodies = net.latest().of('send').map(({ body }) => body);
  assert.deepEqual(bodies.map(({ change, user }) => [change, user]), [['join', 'ann'], ['leave', 'bob']]);
});

test('a first private message tells its room', async () => {
  await online();
  const draft = chat.say({ to: 'bob' }, 'psst');
  const send = net.latest().take('send');
  assert.deepEqual([send.to, send.room], ['bob', undefined]);
  await net.latest().say(ack(send, 2));
  assert.equal((await draft.done).room, 'r');
  await settled();
});

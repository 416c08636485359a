import assert from 'node:assert/strict';
import { beforeEach, test, mock } from 'node:test';

import { ChatClient, PROTOCOL, backoff } from '../chat.js';
import { entry, settled, welcome, wire } from './wire.js';

let net, chat, seen;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_700_000_000_000 });
  net = wire();
  chat = new ChatClient({ url: 'http://host/chat/ws', random: () => 0.5, ...net });
  seen = [];
  for (const name of ['state', 'entry', 'gap', 'reset', 'followed', 'unfollowed', 'signal']) {
    chat.on(name, (event) => seen.push({ event: name, ...event }));
  }
});

const states = () => seen.filter(({ event }) => event === 'state').map(({ state }) => state);
const of = (name) => seen.filter(({ event }) => event === name);
const seqs = () => of('entry').map(({ seq }) => seq);

test('hello comes first, with the protocol and the token', async () => {
  chat = new ChatClient({ url: 'http://host/chat/ws', token: 'secret', ...net });
  chat.connect();
  const socket = net.latest();
  assert.equal(socket.url, 'ws://host/chat/ws');
  assert.deepEqual(socket.protocols, [PROTOCOL]);
  socket.open();
  const { ref, ...hello } = socket.sent[0];
  assert.deepEqual(hello, { type: 'hello', token: 'secret', cursors: [] });
  assert.equal(typeof ref, 'number');
  await socket.say(welcome({ ref }));
  assert.equal(chat.state, 'online');
  assert.equal(chat.user, 'ann');
});

test('after a cut it resumes each room where it stood, and each entry comes once', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say({ type: 'followed', room: 'r', seq: 4, id: 'id-4' }, entry(5), entry(6));
  net.latest().cut();
  assert.deepEqual(states(), ['connecting', 'online', 'offline']);
  mock.timers.tick(125);
  net.latest().open();
  assert.deepEqual(net.latest().take('hello').cursors, [{ room: 'r', seq: 6, id: 'id-6' }]);
  await net.latest().say(welcome({ ref: net.latest().take('hello').ref }));
  await net.latest().say({ type: 'followed', room: 'r', seq: 6, id: 'id-6' }, entry(6), entry(7));
  assert.deepEqual(seqs(), [5, 6, 7]);
  assert.deepEqual(of('gap'), []);
});

test('entries of unknown kinds advance the cursor too', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say(entry(1), entry(2, { body: { kind: 'hologram', beam: 3 } }));
  assert.deepEqual(chat.cursors(), [{ room: 'r', seq: 2, id: 'id-2' }]);
});

test('unknown frames and what is no frame are passed over', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say({ type: 'confetti' }, { type: 'constructor' }, 'not json', 'null', '[]', '{}', entry(1));
  assert.deepEqual(seqs(), [1]);
  assert.equal(chat.state, 'online');
});

test('a gap is handed on and moves the cursor', async () => {
  chat.connect();
  await net.latest().greet();
  const gap = { type: 'gap', room: 'r', from: 2, to: 9, why: 'retention' };
  await net.latest().say(entry(1), gap, entry(10));
  assert.deepEqual(of('gap'), [{ event: 'gap', ...gap }]);
  assert.deepEqual(seqs(), [1, 10]);
});

test('positions that are missing without a word are reported', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say(entry(1), entry(4));
  assert.deepEqual(of('gap').map(({ from, to, why }) => [from, to, why]), [[2, 3, 'unexplained']]);
});

test('a reset forgets the cursor, and the next position may be lower', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say(entry(50), { type: 'reset', room: 'r' }, { type: 'followed', room: 'r', seq: 7, id: 'other' });
  assert.deepEqual(chat.cursors(), [{ room: 'r', seq: 7, id: 'other' }]);
  await net.latest().say(entry(8));
  assert.deepEqual(seqs(), [50, 8]);
  assert.equal(of('reset').length, 1);
});

test('a room that is followed no more is not resumed', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say(entry(1), { type: 'unfollowed', room: 'r', why: 'removed' });
  assert.deepEqual(chat.cursors(), []);
  assert.equal(of('unfollowed')[0].why, 'removed');
});

test('a room that cannot be sent right now is followed again from where it stood', async () => {
  chat.connect();
  await net.latest().greet();
  const socket = net.latest();
  await socket.say(entry(1), { type: 'unfollowed', room: 'r', why: 'retry' });
  mock.timers.tick(125);
  const { ref, ...follow } = socket.take('follow');
  assert.deepEqual(follow, { type: 'follow', room: 'r', cursor: { seq: 1, id: 'id-1' } });
  await socket.say({ type: 'error', ref, code: 1100, name: 'retry', message: 'later', retryable: true });
  mock.timers.tick(250);
  await socket.say({ type: 'followed', ref: socket.take('follow').ref, room: 'r', seq: 1, id: 'id-1' }, entry(2));
  assert.deepEqual([seqs(), of('unfollowed')], [[1, 2], []]);
});

test('a room that comes while it is asked for again is not taken for lost', async () => {
  chat.connect();
  await net.latest().greet();
  const socket = net.latest();
  await socket.say(entry(1), { type: 'unfollowed', room: 'r', why: 'retry' });
  mock.timers.tick(125);
  const { ref } = socket.take('follow');
  await socket.say({ type: 'followed', room: 'r', seq: 1, id: 'id-1' }); // to an earlier try
  await socket.say({ type: 'error', ref, code: 1000, name: 'invalid', message: 'followed already', retryable: false });
  assert.deepEqual(of('unfollowed'), []);
  assert.deepEqual(chat.cursors(), [{ room: 'r', seq: 1, id: 'id-1' }]);
  await socket.say({ type: 'unfollowed', room: 'r', why: 'retry' }, { type: 'followed', room: 'r', seq: 1, id: 'id-1' });
  mock.timers.tick(60_000);
  assert.deepEqual(socket.of('follow').length, 1, 'nothing is asked for that came by itself');
});

test('waits grow with full jitter and stay below the cap', () => {
  for (let attempt = 0; attempt < 2_000; attempt += 1) {
    const most = Math.min(15_000, 250 * 2 ** attempt);
    assert.equal(backoff(attempt, () => 0), 0);
    assert.ok(backoff(attempt, () => 0.999_999) <= most);
    assert.ok(backoff(attempt) <= 15_000);
  }
});

test('tries follow each other with growing waits, and a good connection starts anew', async () => {
  chat.connect();
  for (const wait of [125, 250, 500, 1_000, 2_000, 4_000, 7_500, 7_500]) {
    net.latest().cut();
    assert.equal(of('state').at(-1).retryInMs, wait);
    mock.timers.tick(wait);
  }
  await net.latest().greet();
  mock.timers.tick(5_000);
  net.latest().cut();
  assert.equal(of('state').at(-1).retryInMs, 125);
});

test('a close frame says how long to wait', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say({ type: 'close', code: 1012, reason: 'restarting, resume', reconnect: true, retry_after_ms: 3_000 });
  net.latest().cut(1012);
  const { retryInMs, code, reason } = of('state').at(-1);
  assert.deepEqual([retryInMs, code, reason], [3_125, 1012, 'restarting, resume']);
});

test('a close frame that says it is no use is final', async () => {
  chat.connect();
  await net.latest().greet();
  await net.latest().say({ type: 'close', code: 4003, reason: 'logged out', reconnect: false });
  net.latest().cut(4003);
  mock.timers.tick(60_000);
  assert.equal(chat.state, 'closed');
  assert.equal(net.sockets.length, 1);
});

test('the close code alone decides where no close frame came', async () => {
  chat.connect();
  net.latest().cut(4001, 'unauthenticated');
  assert.deepEqual(states(), ['connecting', 'closed']);
});

test('a refused hello is final, a hello to be retried is not', async () => {
  chat.connect();
  net.latest().open();
  const error = { type: 'error', ref: net.latest().take('hello').ref, code: 1100, name: 'retry', message: 'later' };
  await net.latest().say({ ...error, retryable: true });
  assert.equal(chat.state, 'offline');
  mock.timers.tick(125);
  net.latest().open();
  const ref = net.latest().take('hello').ref;
  await net.latest().say({ ...error, ref, code: 1022, name: 'unauthenticated', retryable: false });
  assert.equal(chat.state, 'closed');
  assert.equal(of('state').at(-1).error.name, 'unauthenticated');
});

test('a link that gives no answer is given up', async () => {
  chat.connect();
  await net.latest().greet();
  mock.timers.tick(60_000);
  assert.equal(chat.state, 'online', 'nothing was due');
  chat.history('r').catch(() => {});
  mock.timers.tick(7_000);
  assert.equal(net.latest().of('rooms').length, 1, 'asked for a sign of life');
  mock.timers.tick(7_000);
  assert.equal(chat.state, 'offline');
  assert.equal(net.latest().readyState, 3);
});

test('a command that takes its time does not cost the connection', async () => {
  chat.connect();
  await net.latest().greet();
  chat.say('r', '/slow');
  for (let second = 0; second < 28; second += 7) {
    mock.timers.tick(7_000);
    await net.latest().say({ type: 'rooms', ref: net.latest().take('rooms').ref, rooms: [] });
  }
  assert.deepEqual([chat.state, net.sockets.length], ['online', 1]);
});

test('waking up checks a quiet link and hurries a waiting one', async () => {
  chat.connect();
  await net.latest().greet();
  mock.timers.tick(60_000);
  chat.wake();
  assert.equal(net.latest().of('rooms').length, 1);
  net.latest().cut();
  chat.wake();
  assert.equal(net.sockets.length, 2);
  await settled();
});

test('another user on the same cookie ends the client', async () => {
  chat.connect();
  await net.latest().greet();
  chat.say('r', 'mine');
  net.latest().cut();
  mock.timers.tick(125);
  await net.latest().greet({ user: 'bob' });
  assert.equal(chat.state, 'closed');
  assert.equal(net.latest().of('send').length, 0);
});

test('a request gets its own answer, an error or a time-out', async () => {
  chat.connect();
  await assert.rejects(chat.rooms(), { name: 'offline', retryable: true });
  await net.latest().greet();
  const socket = net.latest();
  const refused = assert.rejects(chat.history('r', { before: 9, limit: 50 }), { name: 'not_found', code: 1020 });
  const members = chat.members('r');
  assert.equal(socket.take('history').before, 9);
  await socket.say({ type: 'members', ref: socket.take('members').ref, room: 'r', members: [{ user: 'ann' }] });
  await socket.say({ type: 'error', ref: socket.take('history').ref, code: 1020, name: 'not_found', message: 'not found' });
  assert.deepEqual(await members, [{ user: 'ann' }]);
  await refused;
  const late = assert.rejects(chat.rooms(), { name: 'timeout' });
  mock.timers.tick(8_000);
  await socket.say(entry(1)); // the link lives, only this answer is late
  mock.timers.tick(8_000);
  await late;
});

test('a listener that throws does not keep entries from the others', async (context) => {
  context.mock.method(console, 'error', () => {});
  chat.on('entry', () => assert.fail('a bug in the page'));
  const all = [];
  chat.on('entry', ({ seq }) => all.push(seq));
  chat.connect();
  await net.latest().greet();
  await net.latest().say(entry(1), entry(2));
  assert.deepEqual(all, [1, 2]);
});

const signals = () => net.latest().of('signal').map(({ signal, on, seq }) => [signal, on ?? seq]);

test('typing is told after a moment and then at most every two seconds', async () => {
  chat.connect();
  await net.latest().greet();
  for (let key = 0; key < 30; key += 1) {
    chat.typing('r');
    mock.timers.tick(100);
  }
  assert.deepEqual(signals(), [['typing', true], ['typing', true]]);
  chat.typing('r', false);
  chat.typing('r', false);
  assert.deepEqual(signals().slice(2), [['typing', false]]);
});

test('who sends or deletes the first keys at once was not typing', async () => {
  chat.connect();
  await net.latest().greet();
  chat.typing('r');
  chat.typing('r', false);
  chat.typing('r');
  chat.say('r', 'quick');
  mock.timers.tick(1_000);
  assert.deepEqual(signals(), []);
});

test('the typing of others ends after four seconds, with their message, or when they say so', async () => {
  chat.connect();
  await net.latest().greet();
  const typing = (on) => ({ type: 'signal', kind: 'typing', room: 'r', user: 'bob', name: 'Bob', on });
  const told = () => of('signal').map(({ user, on }) => [user, on]);
  await net.latest().say(typing(true));
  mock.timers.tick(3_000);
  await net.latest().say(typing(true));
  mock.timers.tick(3_999);
  assert.deepEqual(told(), [['bob', true], ['bob', true]]);
  mock.timers.tick(1);
  await net.latest().say(typing(true), entry(1), typing(true), typing(false));
  mock.timers.tick(10_000);
  assert.deepEqual(told().slice(2), [false, true, false, true, false].map((on) => ['bob', on]));
});

test('read marks only rise', async () => {
  chat.connect();
  await net.latest().greet();
  for (const seq of [3, 5, 4]) chat.read('r', seq);
  mock.timers.tick(300);
  assert.deepEqual(signals(), [['read', 5]]);
});

test('a token that cannot be had now is asked for again, and nobody logged in ends the client', async () => {
  const answers = [() => Promise.reject(new TypeError('fetch failed')), () => 'second', () => null];
  chat = new ChatClient({ url: 'http://host/chat/ws', random: () => 0.5, ...net, token: async () => answers.shift()() });
  chat.connect();
  net.latest().open();
  await settled();
  assert.equal(chat.state, 'offline');
  mock.timers.tick(125);
  net.latest().open();
  await settled();
  assert.equal(net.latest().take('hello').token, 'second');
  await net.latest().say(welcome({ ref: net.latest().take('hello').ref }));
  net.latest().cut();
  mock.timers.tick(250);
  net.latest().open();
  await settled();
  assert.deepEqual([chat.state, net.latest().sent], ['closed', []]);
});

/** What the page makes of a log, without a browser. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { rows } from '../../web/app/items.js';
import { MEMBERS, Room } from '../../web/app/room.js';

const WHO = { user: 'ann', name: 'Ann' };
const NOON = new Date(2024, 2, 1, 12).getTime();

const room = (more = {}) => new Room({ room: 'r', title: 'Lunch', head: 0, read: 0, unread: 0, active: 0, ...more });

function entry(seq, more = {}) {
  const body = { kind: 'text', text: `text ${seq}` };
  return { room: 'r', seq, id: `${seq}`, key: `key ${seq}`, author: 'bob', name: 'Bob', body, at: NOON + seq, ...more };
}

const change = (seq, body) => entry(seq, { body });
const shown = (one) => one.messages.map(({ body }) => body.text);

function loaded(...entries) {
  const one = room();
  one.merge(entries);
  return one;
}

test('live entries and pages of history make one list, each position once', () => {
  const one = loaded(entry(3), entry(4));
  one.take(entry(5), 'ann');
  one.take(entry(5), 'ann');
  one.merge([entry(1), entry(2), entry(3)], 3);
  assert.deepEqual(shown(one), ['text 1', 'text 2', 'text 3', 'text 4', 'text 5']);
});

test('edits, reactions and deletes change the message they are about', () => {
  const one = loaded(entry(1));
  one.take(change(2, { kind: 'edit', target: 1, text: 'better' }), 'ann');
  one.take(change(3, { kind: 'react', target: 1, emoji: '👍', on: true }), 'ann');
  one.take(change(3, { kind: 'react', target: 1, emoji: '👍', on: true }), 'ann');
  assert.deepEqual([shown(one), one.messages[0].folded.reactions], [['better'], [{ emoji: '👍', users: ['bob'] }]]);
  one.take(change(4, { kind: 'react', target: 1, emoji: '👍', on: false }), 'ann');
  one.take(change(5, { kind: 'delete', target: 1 }), 'ann');
  one.take(change(6, { kind: 'edit', target: 1, text: 'back' }), 'ann');
  assert.deepEqual([shown(one), one.messages[0].folded.deleted], [[''], true]);
});

test('an erasure blanks what somebody wrote and forgets who it was', () => {
  const join = change(2, { kind: 'member', change: 'join', user: 'bob' });
  const one = loaded(entry(1), join, entry(3, { author: 'eve' }));
  one.take(entry(4), 'ann');
  const erased = change(5, { kind: 'erase', targets: [1, 2, 4], user: 'erased:0a' });
  one.take({ ...erased, author: 'system', name: 'System' }, 'ann');
  assert.deepEqual(shown(one), ['', 'text 3', '']);
  assert.deepEqual(one.messages.map(({ author }) => author), ['erased:0a', 'eve', 'erased:0a']);
  assert.deepEqual([one.last.body.text, one.last.author], ['', 'erased:0a']);
});

test('an edit that overtakes the page it is about is not lost', () => {
  const one = room();
  one.take(change(2, { kind: 'edit', target: 1, text: 'better' }), 'ann');
  one.merge([entry(1)]);
  assert.deepEqual(shown(one), ['better']);
});

test('a role of one\'s own holds at once, and the only owner is known where all members are', () => {
  const one = room({ role: 'member' });
  one.take(change(1, { kind: 'member', change: 'role', user: 'bob', role: 'owner' }), 'ann');
  assert.equal(one.role, 'member');
  one.take(change(2, { kind: 'member', change: 'role', user: 'ann', role: 'owner' }), 'ann');
  assert.equal(one.role, 'owner');
  const crowd = (count) => Array.from({ length: count }, (_, at) => ({ user: at === 0 ? 'ann' : `p${at}`, role: at === 0 ? 'owner' : 'member' }));
  const told = [1, 2, MEMBERS - 1, MEMBERS].map((count) => Object.assign(one, { members: crowd(count) }).isOnlyOwner('ann'));
  assert.deepEqual(told, [true, true, true, false]);
});

test('unread counts the messages of others that the server has not counted', () => {
  const one = room({ head: 5, read: 3, unread: 2 });
  one.take(entry(5), 'ann');
  one.take(entry(6), 'ann');
  one.take(entry(7, { author: 'ann' }), 'ann');
  one.take(change(8, { kind: 'member', change: 'join', user: 'eve' }), 'ann');
  assert.equal(one.unread, 3);
  assert.equal(one.markRead(), 8);
  assert.deepEqual([one.unread, one.markRead()], [0, null]);
});

test('a message keeps its row from the draft to the log', () => {
  const one = loaded(entry(1));
  const draft = { key: '018dfa00-0000-7000-8000-000000000000', body: { kind: 'text', text: 'mine' }, status: 'waiting' };
  one.draft(draft);
  const before = rows(one, WHO).at(-1);
  one.take(entry(2, { author: 'ann', key: draft.key, body: draft.body }), 'ann');
  const after = rows(one, WHO).at(-1);
  assert.equal(before.key, after.key);
  assert.deepEqual([before.draft, after.draft, one.pending.size], [draft, undefined, 0]);
});

test('an answer stands below the command that it answers', () => {
  const one = loaded(entry(1));
  const command = { key: 'c', body: { kind: 'text', text: '/stock=aapl.us' } };
  one.command({ ...command, status: 'waiting' });
  one.take(entry(2, { author: 'bot:stock' }), 'ann');
  one.command({ ...command, status: 'accepted' });
  assert.deepEqual(rows(one, WHO).map(({ type }) => type), ['day', 'message', 'note', 'message']);
});

test('days, the first new message and changes of author divide the list', () => {
  const one = loaded(entry(1, { at: NOON - 86_400_000 }), entry(2), entry(3), entry(4, { author: 'eve' }), entry(5));
  one.newFrom = 2;
  const list = rows(one, WHO);
  assert.deepEqual(list.map(({ type }) => type), ['day', 'message', 'day', 'message', 'new', 'message', 'message', 'message']);
  const firsts = list.filter(({ type }) => type === 'message').map(({ first }) => first);
  assert.deepEqual(firsts, [true, true, true, true, true]);
  one.newFrom = null;
  assert.deepEqual(rows(one, WHO).filter(({ type }) => type === 'message').map(({ first }) => first), [true, true, false, true, true]);
});

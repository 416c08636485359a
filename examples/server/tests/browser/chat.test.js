/**
 * Two people, two browsers, one server that does not always live.
 *
 * CHAT_SERVER_BIN=../../../../target/debug/chat-server node --test
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';

import { Person } from './person.js';
import { startQuotes } from './quotes.js';
import { Server } from './server.js';

/** A room may be called anything; it is shown as it was typed. */
const LUNCH = 'Lunch <b>break</b>';
const QUOTE = 'AAPL.US quote is $93.42 per share';
const count = (said, text) => said.filter((line) => line.includes(text)).length;
const has = (...texts) => (said) => texts.every((text) => count(said, text) > 0);

let quotes, server, ann, bob;

before(async () => {
  quotes = await startQuotes();
  server = new Server(quotes.template);
  await server.start();
  [ann, bob] = await Promise.all([Person.arrive('ann', 'Ann', server.url), Person.arrive('bob', 'Bob', server.url)]);
});

after(async () => {
  await Promise.all([ann?.leave(), bob?.leave()]);
  await server?.remove();
  quotes?.close();
});

test('both register; a wrong password is told in words', async () => {
  await ann.register();
  await bob.register();
  await bob.page.getByRole('button', { name: 'Log out' }).click();
  await bob.login('not the password');
  await bob.page.getByRole('alert').waitFor();
  await bob.login();
  await bob.page.getByRole('button', { name: 'New room' }).waitFor();
});

test('one makes a room, the other joins it, and they talk both ways', async () => {
  await ann.createRoom(LUNCH);
  await ann.say('first words');
  await bob.joinRoom(LUNCH);
  await bob.sees('what was said before', has('Ann: first words'));
  await bob.say('hello Ann');
  await ann.sees('the answer', has('Bob: hello Ann'));
});

test('only who has an account is added to a room, and can be taken out again', async () => {
  const { page } = ann;
  const row = (person, title) => person.page.locator('.room-row').filter({ hasText: title });
  const add = async (user) => {
    await page.getByRole('button', { name: 'Add someone' }).click();
    await page.getByLabel('User name').fill(user);
    await page.getByRole('button', { name: 'Add', exact: true }).click();
  };
  await ann.createRoom('A room of two');
  await page.getByRole('button', { name: 'Who is here' }).click();
  await add('nobody-here');
  await page.getByText('There is nobody called nobody-here').waitFor();
  assert.equal(await page.locator('.toast').count(), 1, 'it is said once');
  await add('BOB');
  await row(bob, 'A room of two').waitFor();
  await page.getByRole('button', { name: /Remove bob/i }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await row(bob, 'A room of two').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /Remove bob/i }).waitFor({ state: 'detached' });
  await page.getByLabel('Members').getByRole('button', { name: 'Close' }).click();
  await row(ann, LUNCH).click();
  await page.getByRole('heading', { name: LUNCH }).waitFor();
});

test('what a message said before it was edited can be read', async () => {
  await ann.say('frist of all');
  await ann.sees('her own words', has('Ann: frist of all'));
  await ann.page.getByRole('textbox', { name: 'Message' }).press('ArrowUp');
  await ann.say('first of all');
  await bob.sees('the edit', has('Ann: first of all (edited)'));
  await bob.page.getByRole('button', { name: '(edited)' }).click();
  const texts = bob.page.getByRole('dialog').locator('.text');
  await texts.nth(1).waitFor();
  assert.deepEqual(await texts.allTextContents(), ['first of all', 'frist of all']);
  await bob.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
});

test('markup is text', async () => {
  const texts = ['<script>window.hacked = true</script>', '<img src=x onerror="window.hacked = true">', '<b>bold?</b> &amp;'];
  for (const text of texts) await bob.say(text);
  for (const person of [ann, bob]) {
    await person.sees('the text as it was typed', has(...texts.map((text) => `Bob: ${text}`)));
    assert.equal(await person.page.evaluate(() => window.hacked), undefined);
    assert.equal(await person.page.locator('.rows script, .rows img, .rows b').count(), 0);
  }
});

test('the same words twice stand twice', async () => {
  await ann.say('ok');
  await ann.say('ok');
  for (const person of [ann, bob]) {
    await person.sees('both', (said) => said.filter((line) => line === 'Ann: ok').length === 2);
  }
});

test('a quote comes once, from the bot, and its command is not stored', async () => {
  await ann.say('/stock=aapl.us');
  for (const person of [ann, bob]) await person.sees('the quote', (said) => count(said, QUOTE) === 1);
  await bob.say('after the quote');
  for (const person of [ann, bob]) {
    const said = await person.sees('what came after', has('after the quote'));
    assert.equal(count(said, QUOTE), 1);
    assert.equal(await person.page.locator('.message.bot', { hasText: QUOTE }).count(), 1);
  }
  const stored = await ann.history();
  assert.equal(stored.filter(({ body }) => body.text.includes('/stock')).length, 0);
});

test('an unknown command is answered to its caller alone', async () => {
  await ann.say('/stok=aapl.us');
  await ann.page.locator('.note.error', { hasText: '/stok=aapl.us' }).waitFor();
  await bob.say('seen?');
  const said = await bob.sees('the next words', has('seen?'));
  assert.equal(count(said, 'stok'), 0);
});

/** Returns a message of the history as the page shows it. */
const line = ({ name, body, folded }) => `${name}: ${body.text}${folded?.edited ? ' (edited)' : ''}`;

test('the server dies in mid-conversation: both resume, nothing is missing or doubled', async () => {
  const talk = async (person, total) => {
    for (let i = 1; i <= total; i += 1) {
      await person.say(`${person.user} ${i} of ${total}`);
      await wait(100);
    }
  };
  const talking = Promise.all([talk(ann, 30), talk(bob, 30)]);
  await wait(1_000);
  await server.kill();
  await ann.page.getByText('You are offline').waitFor();
  await ann.say('/stock=aapl.us');
  await wait(500);
  await server.start();
  await talking;

  const wanted = ['ann', 'bob'].flatMap((user) => Array.from({ length: 30 }, (_, i) => `: ${user} ${i + 1} of 30`));
  const pages = [];
  for (const person of [ann, bob]) {
    const complete = (said) => has(...wanted)(said) && count(said, QUOTE) === 2;
    pages.push(await person.sees('every word and the quote', complete, 45_000));
    await person.page.locator('.message.draft').waitFor({ state: 'detached' });
  }
  const stored = (await ann.history()).map(line);
  assert.deepEqual(pages[0], stored.slice(-pages[0].length), 'Ann sees the log');
  assert.deepEqual(pages[1], stored.slice(-pages[1].length), 'Bob sees the log');
  for (const text of wanted) assert.equal(count(stored, text), 1, text);
  for (const user of ['ann', 'bob']) {
    const order = stored.filter((said) => said.includes(`: ${user} `)).map((said) => Number(/ (\d+) of/.exec(said)[1]));
    assert.deepEqual(order, [...order].sort((a, b) => a - b), `${user}'s words stand in their order`);
  }
});

test('the past is read page by page, and the reader keeps their place', async () => {
  await bob.page.reload();
  const recent = await bob.sees('the latest page', (said) => said.length >= 50);
  assert.equal(recent.length, 50);
  const scroller = bob.page.locator('.scroller');
  const oldest = await bob.page.locator('.rows > .message').first().getAttribute('data-seq');
  const place = () => bob.page.evaluate((seq) => document.querySelector(`[data-seq="${seq}"]`).getBoundingClientRect().top, oldest);
  await scroller.evaluate((node) => node.scrollTo(0, 1));
  const before = await place();
  const all = await bob.sees('the first words', (said) => said[0] === 'Ann: first words');
  assert.ok(Math.abs((await place()) - before) < 30, 'what was at the top is still there');
  assert.deepEqual(all, (await bob.history()).map(line));
});

test('nobody complained', () => {
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

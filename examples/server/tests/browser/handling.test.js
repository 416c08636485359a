/** How the page handles: where the keyboard is, and what the page says while it cannot do what one wants. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Person } from './person.js';
import { startQuotes } from './quotes.js';
import { Server } from './server.js';

let quotes, server, ann;

const focused = () => ann.page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.className);
const focus = (name) => ann.page.waitForFunction((wanted) => document.activeElement.getAttribute('aria-label') === wanted, name);
const box = () => ann.page.getByRole('textbox', { name: 'Message' });

before(async () => {
  quotes = await startQuotes();
  server = new Server(quotes.template);
  await server.start();
  ann = await Person.arrive('ann', 'Ann', server.url);
  await ann.register();
});

after(async () => {
  await ann?.leave();
  await server?.remove();
  quotes?.close();
});

test('who has no room yet is shown two ways to one', async () => {
  await ann.page.getByRole('button', { name: 'Find a room' }).waitFor();
  await ann.page.getByRole('button', { name: 'Start a room' }).click();
  await ann.page.getByLabel('Name', { exact: true }).fill('Tea');
  await ann.page.getByRole('button', { name: 'Create room' }).click();
  await ann.page.getByRole('heading', { name: 'Tea' }).waitFor();
});

test('one can type as soon as a room is open', async () => {
  await focus('Message');
  await ann.createRoom('Lunch');
  await focus('Message');
  await ann.page.keyboard.type('where to?');
  await ann.page.keyboard.press('Enter');
  await ann.sees('what was typed', (said) => said.includes('Ann: where to?'));
  await ann.page.getByRole('navigation').getByText('Tea').click();
  await ann.page.getByRole('heading', { name: 'Tea' }).waitFor();
  await focus('Message');
  await ann.page.goto(server.url);
  await ann.page.getByRole('heading', { name: 'Lunch' }).waitFor(); // the liveliest room is open
  await focus('Message');
});

test('a text that is too long says by how much', async () => {
  await box().fill('x'.repeat(3_990));
  await ann.page.getByText('10 left').waitFor();
  await box().fill('x'.repeat(4_012));
  await ann.page.getByText('12 too many').waitFor();
  assert.equal(await ann.page.getByRole('button', { name: 'Send' }).isDisabled(), true);
  await box().fill('');
});

test('the messages are one stop of the keyboard, and the arrows lead through them', async () => {
  await ann.say('to the right');
  await ann.sees('it', (said) => said.includes('Ann: to the right'));
  await box().focus();
  await ann.page.keyboard.press('Shift+Tab');
  assert.equal(await focused(), 'Messages');
  await ann.page.keyboard.press('ArrowUp');
  assert.match(await focused(), /^message/);
  for (let i = 0; i < 4; i += 1) await ann.page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 'Reply');
  await ann.page.keyboard.press('Enter');
  await ann.page.getByText('Replying to Ann').waitFor();
  assert.equal(await focused(), 'Message');
  await ann.page.keyboard.press('Escape');
  await ann.page.keyboard.press('Shift+Tab');
  await ann.page.keyboard.press('Escape');
  assert.equal(await focused(), 'Message');
});

test('without a connection nobody is said to be here, and what is not sent says so', async () => {
  const people = ann.page.getByRole('button', { name: 'Who is here' });
  await ann.page.getByText('1 of 1 here').waitFor();
  await server.kill();
  await ann.page.getByText('You are offline').waitFor();
  await ann.say('later');
  await ann.page.getByText('Not sent yet: waiting for the connection').waitFor();
  assert.equal((await people.textContent()).trim(), '1');
  await server.start();
  await ann.sees('what was sent later', (said) => said.includes('Ann: later'));
  await ann.page.getByText('1 of 1 here').waitFor();
});

test('a password is changed by who knows it, and other logins end', async () => {
  const elsewhere = await Person.arrive('ann', 'Ann', server.url);
  await elsewhere.login();
  await elsewhere.page.getByRole('button', { name: 'New room' }).waitFor();
  const change = async (current, next) => {
    await ann.page.getByRole('button', { name: 'Change password' }).click();
    await ann.page.getByLabel('Current password').fill(current);
    await ann.page.getByLabel('New password').fill(next);
    await ann.page.getByRole('dialog').getByRole('button', { name: 'Change' }).click();
  };
  await change('what was it again', 'a better password');
  await ann.page.getByText('The current password is wrong.').waitFor();
  await change(ann.password, 'a better password');
  await ann.page.getByText('Your password was changed.').waitFor();
  await elsewhere.page.getByText('You were logged out.').waitFor();
  await elsewhere.login('a better password');
  await elsewhere.page.getByRole('button', { name: 'New room' }).waitFor();
  assert.deepEqual(elsewhere.complaints, []);
  await elsewhere.leave();
});

test('a finger on a message shows what can be done with it, and does none of it', async () => {
  const phone = { viewport: { width: 390, height: 800 }, hasTouch: true, isMobile: true };
  const bob = await Person.arrive('bob', 'Bob', server.url, phone);
  await bob.register();
  await bob.joinRoom('Lunch');
  const message = bob.page.locator('.message').filter({ hasText: 'where to?' });
  await message.tap({ position: { x: 300, y: 12 } }); // where the tools will be
  await message.getByRole('button', { name: 'Reply' }).tap();
  await bob.page.locator('.composer-about').waitFor();
  assert.equal(await message.locator('.reaction').count(), 0);
  await message.tap({ position: { x: 60, y: 10 } });
  await message.getByRole('button', { name: 'React 👍' }).tap();
  await message.locator('.reaction').waitFor();
  assert.deepEqual(bob.complaints, []);
  await bob.leave();
});

test('a room is joined however long its title and that of others', async () => {
  await ann.createRoom('x'.repeat(100));
  const eve = await Person.arrive('eve', 'Eve', server.url);
  await eve.register();
  await eve.page.getByRole('button', { name: 'Browse' }).click();
  const dialog = await eve.page.getByRole('dialog').boundingBox();
  for (const join of await eve.page.getByRole('button', { name: 'Join' }).all()) {
    const { x, width } = await join.boundingBox();
    assert.ok(x + width <= dialog.x + dialog.width, 'a button is outside of the dialog');
  }
  await eve.leave();
});

test('who is logged in by another tab of the same browser is acted for by that tab alone', async () => {
  const other = await ann.page.context().newPage();
  await other.request.post(`${server.url}/api/register`, { data: { user: 'zoe', password: 'the password of zoe' } });
  await other.request.post(`${server.url}/api/login`, { data: { user: 'zoe', password: 'the password of zoe' } });
  await ann.page.getByRole('button', { name: 'Log out' }).click();
  await ann.page.getByText('Somebody else has logged in').waitFor();
  const me = await other.request.get(`${server.url}/api/me`);
  assert.equal((await me.json()).user, 'zoe', 'not logged out by the tab of another');
});

test('nobody complained', () => {
  assert.deepEqual(ann.complaints, []);
});

/** What an owner does for a room: its name, who else decides, and the words of others that must go. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Person } from './person.js';
import { startQuotes } from './quotes.js';
import { Server } from './server.js';

let quotes, server, ann, bob;

const button = (person, name) => person.page.getByRole('button', { name });
const event = (person, text) => person.page.locator('.event').filter({ hasText: text }).waitFor();
const rude = ({ page }) => page.locator('.message').filter({ hasText: 'something rude' });

before(async () => {
  quotes = await startQuotes();
  server = new Server(quotes.template);
  await server.start();
  [ann, bob] = await Promise.all([['ann', 'Ann'], ['bob', 'Bob']].map(([user, name]) => Person.arrive(user, name, server.url)));
  await Promise.all([ann.register(), bob.register()]);
  await ann.createRoom('Lunch');
  await bob.joinRoom('Lunch');
  await bob.say('something rude');
  await ann.sees('what Bob says', (said) => said.includes('Bob: something rude'));
});

after(async () => {
  await Promise.all([ann?.leave(), bob?.leave()]);
  await server?.remove();
  quotes?.close();
});

test('an owner names the room anew and says what it is about', async () => {
  assert.equal(await button(bob, 'Change this room').isVisible(), false, 'Bob is no owner');
  await button(ann, 'Change this room').click();
  const dialog = ann.page.getByRole('dialog');
  assert.equal(await dialog.getByLabel('Name').inputValue(), 'Lunch');
  await dialog.getByLabel('Name').fill('Dinner');
  await dialog.getByLabel('Topic').fill('where and when');
  await dialog.getByRole('button', { name: 'Change' }).click();
  for (const { page } of [ann, bob]) {
    await page.getByRole('heading', { name: 'Dinner' }).waitFor();
    await page.locator('.room-title').getByText('where and when').waitFor();
  }
  await event(bob, 'Ann named the room “Dinner” and set the topic: where and when');
  const events = await bob.page.locator('.event').count();
  for (const same of ['Dinner', 'Dinner ', ' ']) {
    await button(ann, 'Change this room').click();
    await dialog.getByLabel('Name').fill(same);
    await dialog.getByRole('button', { name: 'Change' }).click();
    await dialog.waitFor({ state: 'detached' });
  }
  await button(ann, 'Change this room').click();
  await dialog.getByLabel('Topic').fill('');
  await dialog.getByRole('button', { name: 'Change' }).click();
  await event(bob, 'Ann took the topic away');
  assert.equal(await bob.page.locator('.event').count(), events + 1, 'what was not changed is not posted');
});

test('the only owner is told what it means to leave', async () => {
  await button(ann, 'Who is here').click();
  await button(ann, 'Leave room').click();
  await ann.page.getByRole('dialog').getByText('the only owner').waitFor();
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
});

test('an owner makes another one, who may now do the same', async () => {
  await button(ann, 'Role of Bob').click();
  const dialog = ann.page.getByRole('dialog');
  assert.equal(await dialog.getByRole('radio', { name: 'Member reads' }).isChecked(), true);
  await dialog.getByRole('radio', { name: 'Owner' }).check();
  await dialog.getByRole('button', { name: 'Change' }).click();
  await event(ann, 'Ann made Bob an owner');
  await ann.page.waitForFunction(() => document.activeElement.getAttribute('aria-label') === 'Role of Bob');
  await button(bob, 'Change this room').waitFor();
  await button(ann, 'Leave room').click();
  await ann.page.getByRole('dialog').getByRole('heading', { name: 'Leave Dinner?' }).waitFor();
  assert.equal(await ann.page.getByText('the only owner').count(), 0);
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
});

test('an owner deletes what somebody else said, and changes it not', async () => {
  await ann.page.getByLabel('Members').getByRole('button', { name: 'Close' }).click();
  await rude(ann).hover();
  assert.equal(await rude(ann).getByRole('button', { name: 'Edit' }).count(), 0);
  await rude(ann).getByRole('button', { name: 'Delete' }).click();
  await ann.page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await bob.sees('that it is gone', (said) => said.includes('Bob: Message deleted'));
  await ann.say('please be kind');
  const kind = bob.page.locator('.message').filter({ hasText: 'please be kind' });
  await kind.hover();
  await kind.getByRole('button', { name: 'Delete' }).waitFor();
});

test('nobody complained', () => {
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

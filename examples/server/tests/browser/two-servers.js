/**
 * Two people, two browsers, two servers that are one chat over a Redis. Needs one, so it is not run with the others:
 *
 * eval "$(../../../../scripts/services env)"; CHAT_SERVER_BIN=../../../../target/debug/chat-server node --test two-servers.js
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Person } from './person.js';
import { startQuotes } from './quotes.js';
import { Server } from './server.js';

/** A lease of 30 s, one look of 5 s, and what a slow machine adds. */
const OFFLINE_MS = 45_000;

let folder, quotes, servers, ann, bob;

before(async () => {
  const redis = process.env.CHAT_TEST_REDIS;
  if (!redis) throw new Error('CHAT_TEST_REDIS says where a Redis is: see scripts/services');
  folder = await mkdtemp(join(tmpdir(), 'chat-two-servers-'));
  await writeFile(join(folder, 'secret'), 'what the servers share');
  const shared = `${redis}?namespace=browser-${process.pid}`;
  const flags = ['--store', `sqlite:${join(folder, 'chat.db')}`, '--secret-file', join(folder, 'secret'), '--broker', shared, '--presence', shared];
  quotes = await startQuotes();
  servers = [new Server(quotes.template, flags), new Server(quotes.template, flags)];
  for (const server of servers) await server.start();
  ann = await Person.arrive('ann', 'Ann', servers[0].url);
  bob = await Person.arrive('bob', 'Bob', servers[1].url);
});

after(async () => {
  await Promise.all([ann?.leave(), bob?.leave()]);
  await Promise.all((servers ?? []).map((server) => server.remove()));
  quotes?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const here = (person, count, timeout) => person.page.getByText(`${count} of 2 here`).waitFor({ timeout });

test('people on two servers see each other come, and talk', async () => {
  await ann.register();
  await bob.register();
  await ann.createRoom('tea');
  await bob.joinRoom('tea');
  await here(ann, 2);
  await here(bob, 2);
  await ann.say('from one server');
  await bob.sees('it on the other', (said) => said.includes('Ann: from one server'));
  await bob.say('and back');
  await ann.sees('it', (said) => said.includes('Bob: and back'));
});

test('who closes the page is not here any more', async () => {
  await bob.page.goto('about:blank');
  await here(ann, 1);
  await bob.page.goto(servers[1].url);
  await here(ann, 2);
});

test('whose server was killed is not here any more, as soon as its lease is over', async () => {
  await servers[1].kill();
  await here(ann, 1, OFFLINE_MS);
});

test('nobody complained', () => {
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

/**
 * The page on clusters, as two people live it: three servers, two bots, PostgreSQL, RabbitMQ and Redis, and whatever may
 * die is killed while they talk. Needs those services, so it is not run with the others:
 *
 * eval "$(../../../../scripts/services env)"; CHAT_SERVER_BIN=../../../../target/debug/chat-server node --test cluster.js
 */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Person } from './person.js';
import { Server } from './server.js';

const SERVICES = new URL('../../../../scripts/services', import.meta.url).pathname;
/** Who talks waits so long between two messages. */
const BREATH_MS = 250;
/** A service that was killed may take so long to be back, and the servers to find it. */
const BACK_MS = 60_000;

const run = promisify(execFile);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let folder, servers, bots, ann, bob, queue;
let talking = true;
let asked = 0;
const talks = [];

function service(name) {
  const found = process.env[name];
  if (!found) throw new Error(`${name} says where a server is: see scripts/services`);
  return found;
}

function startBot() {
  const bot = spawn(join(dirname(process.env.CHAT_SERVER_BIN), 'stock-bot'), ['--sample', '--queue', queue], { stdio: 'ignore' });
  bot.on('error', (error) => ann.complaints.push(String(error)));
  return bot;
}

before(async () => {
  const own = `cluster_${Date.now()}`;
  folder = await mkdtemp(join(tmpdir(), 'chat-cluster-'));
  await writeFile(join(folder, 'secret'), 'what the servers share');
  queue = `${service('CHAT_TEST_AMQP')}?namespace=${own}`;
  const flags = [
    ['--store', `${service('CHAT_TEST_POSTGRES')}?schema=${own}`],
    ['--broker', queue],
    ['--queue', queue],
    ['--presence', `${service('CHAT_TEST_REDIS')}?namespace=${own}`],
    ['--secret-file', join(folder, 'secret')],
    ['--log', 'error'], // that something cannot be reached is no news here
  ];
  servers = [1, 2, 3].map(() => new Server(null, flags.flat()));
  for (const server of servers) await server.start();
  ann = await Person.arrive('ann', 'Ann', servers[0].url);
  bob = await Person.arrive('bob', 'Bob', servers[2].url);
  bots = [startBot(), startBot()];
});

after(async () => {
  talking = false;
  await Promise.all(talks);
  await Promise.all([ann?.leave(), bob?.leave()]);
  for (const bot of bots ?? []) bot.kill('SIGKILL');
  await Promise.all((servers ?? []).map((server) => server.remove()));
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Says numbers until the end, whatever happens meanwhile. Returns how many. */
async function talk(person) {
  let number = 0;
  while (talking) {
    await person.say(`number ${number++}`);
    await pause(BREATH_MS);
  }
  return number;
}

/** Whatever was killed is back: what either says now is with the other, and a command is answered for both. */
async function allIsWell() {
  for (const [speaker, listener] of [[ann, bob], [bob, ann]]) {
    const words = `all is well ${Math.random()}`;
    await speaker.say(words);
    await listener.sees(words, (said) => said.includes(`${speaker.name}: ${words}`), BACK_MS);
  }
  asked += 1;
  await ann.say('/stock=AAPL.US');
  for (const person of [ann, bob]) await person.sees(`quote ${asked}`, (said) => quotes(said).length >= asked, BACK_MS);
}

const quotes = (said) => said.filter((line) => line.includes('AAPL.US quote is'));

async function killService(name) {
  const { stdout } = await run(SERVICES, ['pid', name]);
  process.kill(Number(stdout), 'SIGKILL');
  await pause(1_000); // so long nobody watches over it
  await run(SERVICES, ['start', name]);
}

test('people on two servers of three talk, and a bot answers', async () => {
  await ann.register();
  await bob.register();
  await ann.createRoom('tea');
  await bob.joinRoom('tea');
  await allIsWell();
  talks.push(talk(ann), talk(bob));
});

for (const [at, whose] of ["ann's", "nobody's", "bob's"].entries()) {
  test(`${whose} server is killed`, async () => {
    await servers[at].kill();
    await pause(1_000);
    await servers[at].start();
    await allIsWell();
  });
}

test('a bot is killed', async () => {
  bots[0].kill('SIGKILL');
  await allIsWell();
  bots[0] = startBot();
});

test('both bots are killed, and a command waits for others', async () => {
  for (const bot of bots) bot.kill('SIGKILL');
  await ann.say('/stock=AAPL.US');
  bots = [startBot(), startBot()];
  asked += 1;
  await bob.sees(`quote ${asked}`, (said) => quotes(said).length >= asked, BACK_MS);
});

for (const name of ['rabbitmq', 'redis', 'postgres']) {
  test(`${name} is killed`, async () => {
    await killService(name);
    await allIsWell();
  });
}

test('all that was said is on both pages and in the log, once and in one order', async () => {
  talking = false;
  const counts = await Promise.all(talks);
  await allIsWell();
  const log = (await ann.history()).filter((entry) => entry.body.kind === 'text');
  for (const [person, count] of [[ann, counts[0]], [bob, counts[1]]]) {
    const numbers = log.filter((entry) => entry.author === person.user && entry.body.text.startsWith('number'));
    const expected = Array.from({ length: count }, (_, number) => `number ${number}`);
    assert.deepEqual(numbers.map((entry) => entry.body.text), expected, `what ${person.name} said`);
  }
  assert.equal(log.filter((entry) => entry.body.text.includes('AAPL.US quote is')).length, asked);
  const [left, right] = [await ann.said(), await bob.said()];
  const shown = Math.min(left.length, right.length);
  assert.deepEqual(left.slice(-shown), right.slice(-shown));
});

test('nobody complained', () => {
  assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});

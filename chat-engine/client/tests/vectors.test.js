/** Runs the golden vectors of the protocol: docs/protocol/vectors, explained in the README there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { backoff } from '../chat.js';
import { Script, matches } from './script.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../../docs/protocol/vectors/${name}.json`, import.meta.url)));
const conversations = vectors('conversations');

for (const conversation of conversations.conversations) {
  test(`conversation: ${conversation.name}`, async () => {
    const script = new Script(conversations, conversation);
    for (const step of conversation.steps) await script.step(step);
    script.end();
  });
}

for (const { name, frame, ...client } of vectors('server-frames').vectors) {
  test(`server frame: ${name}`, async () => {
    const { type, ...fields } = JSON.parse(frame);
    const script = new Script(conversations, {});
    await script.step({ greet: {} });
    await script.step({ say: { type: 'followed', room: fields.room ?? 'r', seq: 41, id: fields.id } });
    await script.step({ say: frame });
    if (client.hears) await script.step({ hears: { event: client.hears, ...fields } });
    if (client.hears === null) script.end();
    if (type !== 'close') return assert.equal(script.chat.state, 'online');
    await script.step({ cut: { code: fields.code } });
    await script.step(client.reconnects ? { greet: { after_ms: fields.retry_after_ms } } : { ends: true });
  });
}

test('waits are full jitter within their bounds', () => {
  for (const { attempt, most_ms } of vectors('backoff').waits) {
    assert.equal(backoff(attempt, () => 0), 0);
    assert.equal(backoff(attempt, () => 0.5), most_ms / 2);
    assert.equal(backoff(attempt, () => 1), most_ms);
  }
});

test('a script that does not match fails', async () => {
  const script = new Script(conversations, {});
  await script.step({ greet: {} });
  await script.step({ say: { type: 'followed', room: 'r', seq: 4 } });
  await script.step({ say: { type: 'gap', room: 'r', from: 5, to: 6, why: 'retention' } });
  assert.throws(() => script.end(), 'something was told that is not in the script');
  await assert.rejects(script.step({ hears: { event: 'gap', to: 7 } }));
  await assert.rejects(script.step({ expect: { type: 'rooms' } }));
  assert.ok(!matches({ cursors: [{ room: 'r', seq: 1 }] }, { cursors: [] }));
});

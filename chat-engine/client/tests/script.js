/** Plays the server of a golden conversation, and the application around the client, with a clock of its own. */
import assert from 'node:assert/strict';
import { mock } from 'node:test';

import { ChatClient } from '../chat.js';
import { settled, wire } from './wire.js';

/** Longer than any wait of the client's. */
const PATIENCE_MS = 60_000;
const TOLD = ['entry', 'gap', 'reset', 'followed', 'unfollowed', 'signal'];

export class Script {
  #welcome;
  #net = wire();
  #socket = null;
  #sockets = 0;
  #read = 0;
  #cutAt = 0;
  #names = new Map();
  #events = [];

  constructor({ welcome }, { tokens }) {
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_700_000_000_000 });
    this.#welcome = welcome;
    const next = tokens && (async () => tokens.shift());
    this.chat = new ChatClient({ url: 'http://host/chat/ws', random: () => 0.5, token: next, ...this.#net });
    for (const name of TOLD) this.chat.on(name, (event) => this.#events.push({ ...event, event: name }));
    this.chat.connect();
  }

  /** Does one step: its verb is the field that is a method here. */
  async step(step) {
    const verb = Object.keys(step).find((name) => Object.hasOwn(this.#steps, name));
    assert.ok(verb, `no verb in ${JSON.stringify(step)}`);
    await this.#steps[verb](step[verb], step);
    await settled();
  }

  /** The end: nothing was asked or told beyond the script. */
  end() {
    this.#quiet();
    assert.deepEqual(this.#events.filter(({ event }) => event !== 'followed'), []);
  }

  #steps = {
    connects: async ({ after_ms: after = 0, within_ms: within = PATIENCE_MS }) => {
      await this.#until(() => this.#net.sockets.length > this.#sockets, 'a connection');
      this.#sockets += 1;
      [this.#socket, this.#read] = [this.#net.latest(), 0];
      const waited = Date.now() - this.#cutAt;
      if (this.#cutAt) assert.ok(waited >= after && waited <= within, `connected after ${waited} ms`);
      this.#socket.open();
    },
    greet: async ({ hello = {}, token, after_ms, within_ms, ...more }) => {
      await this.#steps.connects({ after_ms, within_ms });
      const frame = await this.#next('hello');
      assert.ok(matches(frame, { ...hello, ...(token && { token }) }), JSON.stringify(frame));
      assert.equal(frame.token, token);
      await this.#steps.welcome({ ref: frame.ref, ...more });
    },
    welcome: (more) => this.#steps.say({ ...this.#welcome, ...more }),
    expect: async (wanted, { as, after_ms: after = 0, key_ms: keyMs }) => {
      const since = Date.now();
      const frame = await this.#next(wanted.type);
      assert.ok(Date.now() - since >= after, 'too early');
      assert.ok(matches(frame, this.#fill(wanted)), `${JSON.stringify(frame)} is not ${JSON.stringify(wanted)}`);
      const time = () => Number.parseInt(frame.key.replace('-', '').slice(0, 12), 16);
      if (keyMs) assert.ok(Math.abs(time() - keyMs) < PATIENCE_MS, 'the key has another time');
      if (as) this.#names.set(as, { ...this.#names.get(as), ...frame });
    },
    say: (frame) => this.#socket.say(typeof frame === 'string' ? frame : this.#fill(frame)),
    cut: ({ code }) => {
      this.#cutAt = Date.now();
      this.#socket.cut(code);
    },
    quiet: () => this.#quiet(),
    hears: (wanted) => {
      const skipped = wanted.event === 'followed' ? [] : ['followed'];
      while (skipped.includes(this.#events[0]?.event)) this.#events.shift();
      const event = this.#events.shift();
      assert.ok(event && matches(event, wanted), `${JSON.stringify(event)} is not ${JSON.stringify(wanted)}`);
    },
    may_hear: (wanted) => {
      const at = this.#events.findIndex((event) => matches(event, wanted));
      if (at >= 0) this.#events.splice(at, 1);
    },
    do: (what, step) => {
      const done = this.#actions[what](step);
      if (step.as) this.#names.set(step.as, { ...done, done: undefined, outcome: outcome(done) });
    },
    settles: async (name, { stored, refused, accepted, count }) => {
      const { value, error } = await this.#names.get(name).outcome;
      if (refused !== undefined) assert.ok(error && error.name === (refused ?? error.name), `${error} for ${name}`);
      else assert.ifError(error);
      if (stored) assert.deepEqual([value.status, value.seq], ['stored', stored]);
      if (accepted) assert.equal(value.status, 'accepted');
      if (count !== undefined) assert.equal(value.length, count);
    },
    ends: async () => {
      await settled();
      assert.equal(this.chat.state, 'closed');
      mock.timers.tick(PATIENCE_MS);
      assert.equal(this.#net.sockets.length, this.#sockets, 'connected again');
    },
  };

  #actions = {
    post: ({ to, text }) => {
      try {
        return this.chat.say({ to }, text);
      } catch (error) {
        return { done: Promise.reject(error) };
      }
    },
    rooms: () => ({ done: this.chat.rooms() }),
    typing: ({ room }) => this.chat.typing(room),
    read: ({ room, seq }) => this.chat.read(room, seq),
  };

  async #next(type) {
    await this.#until(() => this.#socket.sent.length > this.#read, type);
    const frame = this.#socket.sent[this.#read++];
    assert.equal(frame.type, type);
    return frame;
  }

  #quiet() {
    assert.deepEqual(this.#socket.sent.slice(this.#read), []);
  }

  /** Lets time pass until something is so. */
  async #until(test, what) {
    for (let waited = 0; waited < PATIENCE_MS; waited += 5) {
      await settled();
      if (test()) return;
      mock.timers.tick(5);
    }
    assert.fail(`waited in vain for ${what}`);
  }

  /** Puts in what `$name.field` stands for. */
  #fill(frame) {
    const known = (value) => {
      const [, name, field] = (typeof value === 'string' && /^\$(\w+)\.(\w+)$/.exec(value)) || [];
      return name ? this.#names.get(name)[field] : value;
    };
    return Object.fromEntries(Object.entries(frame).map(([name, value]) => [name, known(value)]));
  }
}

const outcome = ({ done }) => done?.then((value) => ({ value }), (error) => ({ error }));

/** Tells whether all wanted fields are there; the order of cursors does not matter. */
export function matches(frame, wanted) {
  const plain = (value) => (Array.isArray(value) ? [...value].sort((a, b) => (a.room < b.room ? -1 : 1)) : value);
  return Object.entries(wanted).every(([name, value]) => {
    try {
      assert.deepEqual(plain(frame[name]), plain(value));
      return true;
    } catch {
      return false;
    }
  });
}

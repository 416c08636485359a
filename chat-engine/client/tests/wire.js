/** A scripted WebSocket: the test plays the server. */

/** Makes a WebSocket class that remembers its sockets, and a storage beside it. */
export function wire() {
  const sockets = [];
  class FakeSocket {
    readyState = 0;
    sent = [];

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
    }

    send(text) {
      this.sent.push(JSON.parse(text));
    }

    close() {
      this.readyState = 3;
    }

    // ---- what the test does as the server ----

    open() {
      this.readyState = 1;
      this.onopen({});
    }

    /** Says frames; objects are encoded, texts are sent as they are. */
    async say(...frames) {
      for (const frame of frames) {
        this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
      }
      await settled();
    }

    cut(code = 1006, reason = '') {
      this.readyState = 3;
      this.onclose({ code, reason });
    }

    /** Opens and answers `hello`. */
    async greet(more = {}) {
      this.open();
      await this.say(welcome({ ref: this.take('hello').ref, ...more }));
    }

    /** Returns all frames of one type that the client has sent. */
    of(type) {
      return this.sent.filter((frame) => frame.type === type);
    }

    /** Returns the latest frame of one type. */
    take(type) {
      return this.of(type).at(-1);
    }
  }
  return { WebSocket: FakeSocket, sockets, storage: memory(), latest: () => sockets.at(-1) };
}

export function welcome(more = {}) {
  const limits = { frame_bytes: 65536, text_chars: 4000, rooms: 256 };
  return { type: 'welcome', user: 'ann', name: 'Ann', now: Date.now(), features: [], commands: [], limits, ...more };
}

export function entry(seq, more = {}) {
  const body = { kind: 'text', text: `text ${seq}` };
  return { type: 'entry', room: 'r', seq, id: `id-${seq}`, key: `key-${seq}`, author: 'bob', name: 'Bob', body, ...more };
}

export const refusal = (frame, name, more = {}) => ({
  type: 'error', ref: frame.ref, key: frame.key, code: 1100, name, message: name, retryable: true, ...more,
});

export const ack = (frame, seq) => ({ type: 'ack', ref: frame.ref, key: frame.key, room: 'r', seq, id: `id-${seq}` });

/** A Storage like the browser's. */
export function memory() {
  const map = new Map();
  return {
    map,
    getItem: (name) => map.get(name) ?? null,
    setItem: (name, value) => map.set(name, value),
    removeItem: (name) => map.delete(name),
  };
}

/** Lets all pending promise callbacks run. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

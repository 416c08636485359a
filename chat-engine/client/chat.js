/**
 * The client of chat-engine for browsers: one file, no dependency, no build step.
 *
 * It keeps one WebSocket open, and keeps the promises that only a client can keep:
 *
 * - what you post is kept until the server answers, across cuts, reloads and server restarts, and is sent again
 *   under the same key and in the same order, so that it is stored exactly once;
 * - after a cut it resumes every room where it stood, and hands out each entry once and in order;
 * - what it cannot get is said (`gap`, `reset`), never skipped in silence.
 *
 * ```js
 * import { ChatClient } from '/chat/client.js';
 * const chat = new ChatClient({ url: '/chat/ws' });
 * chat.on('entry', (entry) => console.log(entry.name, entry.body.text));
 * chat.connect();
 * chat.say(room, 'hello');
 * ```
 *
 * The wire protocol is described in docs/protocol.md, the types in chat.d.ts.
 */

/** The WebSocket subprotocol. */
export const PROTOCOL = 'chat.v1.json';

/** First wait before connecting again, doubled with each try: long enough for a proxy to switch over. */
const BACKOFF_BASE_MS = 250;
/** Longest wait: short enough that nobody reaches for the reload button. */
const BACKOFF_CAP_MS = 15_000;
/** A connection that held this long was good: the next wait starts small again. */
const STABLE_MS = 5_000;
/** If an answer is due and nothing is heard this long, the client asks, and after the same time again gives the link
 * up: the server answers within 5 s even if its store does not, only a command may take longer. */
const SILENCE_MS = 7_000;
/** Drafts under way in one room: below the burst of 20 that a server allows, so that a resend is not refused.
 * After a refusal it is one at first, and one more with each answer. */
const WINDOW = 16;
/** Drafts kept at most: more than anybody types during an outage, and far below what sessionStorage takes. */
const UNSENT_MAX = 500;
/** What `welcome` says by default, until it has been said. */
const FRAME_BYTES_MAX = 64 * 1024;
/** Typing is told only after this long: who sends or deletes the first keys at once was not typing for anybody. */
const TYPING_AFTER_MS = 300;
/** Typing is told to others again this often; they forget it after {@link TYPING_LASTS_MS}. */
const TYPING_MS = 2_000;
/** What is heard of others' typing holds this long, since its end may be lost. */
const TYPING_LASTS_MS = 4_000;
/** Read marks are collected this long, since only the last one counts. */
const READ_MS = 300;
/** Reasons for which the server stops sending a room that pass by themselves, such as a store that restarts. */
const PASSING = new Set(['retry', 'rate_limited', 'draining']);
/** Close codes after which connecting again would only fail again, if no `close` frame says otherwise. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4001, 4002, 4003, 4020]);
/** The close code of an authentication that has ended: final only for those who cannot get a new token. */
const EXPIRED = 4002;

/** Returns how long to wait before try number `attempt` (from 0): anything up to the doubled base ("full jitter"),
 * so that clients which were cut off together do not come back together. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
}

/** Makes a key: a UUID of version 7 whose time is `ms`. */
export function keyAt(ms, bytes = crypto.getRandomValues(new Uint8Array(16))) {
  for (let i = 0; i < 6; i += 1) bytes[i] = Math.floor(ms / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Is why something was not done. `name` is stable; `message` is fit to be shown to the person. */
export class ChatError extends Error {
  constructor({ name, message, code = 0, retryable = false, retry_after_ms: retryAfterMs = 0 }) {
    super(message);
    Object.assign(this, { name, code, retryable, retryAfterMs });
  }
}

const failure = (name, message, retryable = false) => new ChatError({ name, message, retryable });

/** Is one user's connection to a chat. */
export class ChatClient {
  /** `closed`, `connecting`, `online`, or `offline` (will connect again by itself). */
  state = 'closed';
  /** Who this is; known from the first welcome on. */
  user = null;
  /** The last `welcome`: name, commands, limits, features. */
  server = null;

  #options;
  #random;
  #listeners = new Map();
  #socket = null;
  #tries = 0;
  #onlineSince = 0;
  #heard = 0;
  #reconnect = null;
  #silence = null;
  #goodbye = null;
  #clock = 0;
  #ref = 0;
  #requests = new Map();
  #cursors = new Map();
  /** Rooms that the server could not send, until it does. */
  #putOff = new Set();
  #unsent;
  #typed = new Map();
  #typists = new Map();
  #reads = new Map();
  #readTimer = null;
  #wake = () => this.wake();

  constructor(options) {
    this.#options = { WebSocket: globalThis.WebSocket, storage: defaultStorage(), timeoutMs: 15_000, ...options };
    this.#random = this.#options.random ?? Math.random;
    this.#unsent = new Unsent({
      transmit: (frame) => this.#transmit({ ...frame, ref: ++this.#ref }),
      changed: (draft) => this.#emit('draft', draft),
      random: this.#random,
      storage: this.#options.storage,
    });
    for (const cursor of this.#options.cursors ?? []) this.#cursors.set(cursor.room, cursor);
    if (this.#options.user) this.#become(this.#options.user);
  }

  /** Calls `listener` on each event of this name; returns a function that ends it. */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  // ---- the connection ----------------------------------------------------------------------------------------

  /** Connects, and keeps connecting until `close()` or until the server says that it is no use. */
  connect() {
    if (this.state !== 'closed') return;
    globalThis.addEventListener?.('online', this.#wake);
    globalThis.document?.addEventListener('visibilitychange', this.#wake);
    this.#open();
  }

  /** Disconnects. Drafts that were not answered stay in the storage. */
  close() {
    this.#end({ code: 1000, reason: 'goodbye', final: true });
  }

  /** Connects at once if waiting; if online, asks for a sign of life, since a machine that slept missed its cuts. */
  wake() {
    if (globalThis.document?.hidden) return;
    const quiet = Date.now() - this.#heard > STABLE_MS;
    if (this.state === 'offline') this.#open();
    else if (this.state === 'online' && quiet) this.rooms({ limit: 1 }).catch(() => {});
  }

  /** Brings a new token before the old one ends. Not needed where `token` is a function. */
  async refresh(token) {
    if (!this.#renews()) this.#options.token = token;
    this.#welcomed(await this.request({ type: 'refresh', token }));
  }

  /** Returns where each room stands, for `new ChatClient({ cursors })` another time. */
  cursors() {
    return [...this.#cursors.values()];
  }

  // ---- asking ------------------------------------------------------------------------------------------------

  /** Sends any request and resolves to its answer; rejects with a {@link ChatError}, at once while offline. */
  request(frame) {
    if (this.state !== 'online') return Promise.reject(failure('offline', 'not connected right now', true));
    return this.#ask(frame);
  }

  /** Lists rooms, the most recently active first. */
  async rooms({ which = 'mine', before, limit } = {}) {
    return (await this.request({ type: 'rooms', which, before, limit })).rooms;
  }

  /** Lists members by user id; their presence is told from then on. */
  async members(room, { afterUser, limit } = {}) {
    return (await this.request({ type: 'members', room, after_user: afterUser, limit })).members;
  }

  /** Reads messages, oldest first, edits and deletes applied; without a position, the newest. */
  async history(room, { before, after, limit } = {}) {
    return (await this.request({ type: 'history', room, before, after, limit })).entries;
  }

  /** Receives a room that is not followed by itself, such as one beyond the first 256. */
  follow(room, cursor) {
    return this.request({ type: 'follow', room, cursor: cursor && { seq: cursor.seq, id: cursor.id } });
  }

  /** Receives a room no more on this connection. */
  unfollow(room) {
    return this.request({ type: 'unfollow', room });
  }

  // ---- what lasts: kept until answered -------------------------------------------------------------------------

  /** Posts a body; `target` is a room id, or `{ to: user }` for the private room with a user. Never waits. */
  post(target, body) {
    const where = typeof target === 'string' ? { room: target } : { to: target.to };
    this.#stopTyping(where.room);
    return this.#draft({ type: 'send', ...where, body });
  }

  /** Posts a text, or gives a slash command. */
  say(target, text, { replyTo } = {}) {
    return this.post(target, { kind: 'text', text, ...(replyTo && { reply_to: replyTo }) });
  }

  /** Creates a room; creating a named room twice gives the same room. */
  create(spec) {
    return this.#draft({ type: 'create', spec });
  }

  /** Becomes a member of a public room, or makes another user a member. */
  join(room, user = this.user) {
    return this.post(room, { kind: 'member', change: 'join', user });
  }

  /** Leaves a room, or takes another user out of it. */
  leave(room, user = this.user) {
    return this.post(room, { kind: 'member', change: 'leave', user });
  }

  /** Returns the drafts that were not answered yet, oldest first. */
  get unsent() {
    return this.#unsent.all();
  }

  // ---- what does not last --------------------------------------------------------------------------------------

  /** Tells the others in the room that the user types, or stopped. Call it on every key. */
  typing(room, on = true) {
    if (!on) {
      if (this.#stopTyping(room)) this.signal(room, 'typing', { on: false });
      return;
    }
    if (!this.#typed.has(room)) this.#typed.set(room, { timer: null, told: -Infinity });
    const typed = this.#typed.get(room);
    if (Date.now() - typed.told < TYPING_MS) return;
    typed.timer ??= setTimeout(() => {
      Object.assign(typed, { timer: null, told: Date.now() });
      this.signal(room, 'typing', { on: true });
    }, TYPING_AFTER_MS);
  }

  /** Marks a room as read up to `seq`. Marks only rise; one made while offline is told later. */
  read(room, seq) {
    if (seq <= (this.#reads.get(room)?.seq ?? 0)) return;
    this.#reads.set(room, { seq, told: false });
    this.#readTimer ??= setTimeout(() => this.#tellReads(), READ_MS);
  }

  /** Sends a signal, such as one of the application's own kinds (with a dot in the name). Lost while offline. */
  signal(room, kind, fields = {}) {
    if (this.state === 'online') this.#transmit({ type: 'signal', room, signal: kind, ...fields });
  }

  // ---- inside: the connection ------------------------------------------------------------------------------------

  #open() {
    clearTimeout(this.#reconnect);
    this.#goodbye = null;
    this.#move('connecting');
    const socket = new this.#options.WebSocket(absolute(this.#options.url), [PROTOCOL]);
    this.#socket = socket;
    // A socket that was given up must not speak any more.
    const mine = (act) => (event) => this.#socket === socket && act(event);
    socket.onopen = mine(() => this.#hello());
    socket.onmessage = mine((event) => this.#receive(event.data));
    socket.onclose = mine((event) => this.#end({ code: event.code, reason: event.reason }));
    this.#listen();
  }

  async #hello() {
    const socket = this.#socket;
    const known = this.cursors().slice(-(this.server?.limits.rooms ?? 256));
    try {
      const token = this.#renews() ? await this.#options.token() : this.#options.token;
      if (this.#socket !== socket) return; // given up meanwhile
      if (token === null) throw new ChatError({ name: 'unauthenticated', code: 1022, message: 'there is no token' });
      this.#welcomed(await this.#ask({ type: 'hello', ...(token && { token }), cursors: known }));
    } catch (error) {
      this.#unwelcome(socket, error);
    }
  }

  #unwelcome(socket, error) {
    // If the connection itself was lost, that is being handled already.
    if (this.#socket !== socket || error.name === 'timeout') return;
    // Too many connections is not for ever: the `close` that follows says when to come again.
    if (error.name === 'too_many') return;
    const final = error instanceof ChatError && !error.retryable;
    this.#end({ code: error.code ?? 0, reason: error.message, final, retryAfterMs: error.retryAfterMs, error });
  }

  /** Tells whether the client can get new tokens by itself. */
  #renews() {
    return typeof this.#options.token === 'function';
  }

  /** Brings a new token. If there is none, the connection ends with the old one, and the next one asks again. */
  async #renew() {
    try {
      const token = await this.#options.token();
      if (token !== null) this.#welcomed(await this.request({ type: 'refresh', token }));
    } catch (error) {
      console.warn('the login could not be prolonged', error);
    }
  }

  #welcomed(welcome) {
    // The cookie of another login must not make somebody else say what this user wrote.
    if (this.user && this.user !== welcome.user) {
      this.#end({ code: 0, reason: 'another user is logged in', final: true });
      return;
    }
    this.server = welcome;
    this.#clock = welcome.now - Date.now();
    this.#become(welcome.user);
    if (this.state === 'online') return;
    this.#onlineSince = Date.now();
    this.#move('online');
    this.#listen();
    this.#emit('welcome', welcome);
    this.#unsent.resume();
    this.#tellReads();
  }

  #become(user) {
    if (!user || user === this.#unsent.owner) return;
    this.user = user;
    this.#unsent.adopt(user);
  }

  /** Gives the connection up; connects again later unless that is no use. */
  #end({ code, reason, final = false, retryAfterMs = 0, error }) {
    const socket = this.#socket;
    if (this.state === 'closed' && !socket) return;
    this.#socket = null;
    clearTimeout(this.#reconnect);
    clearTimeout(this.#silence);
    this.#silence = null;
    if (socket && socket.readyState <= 1) socket.close(1000);
    this.#unsent.pause();
    for (const request of this.#requests.values()) request.fail(failure('offline', 'the connection was lost', true));
    this.#requests.clear();
    for (const room of [...this.#typed.keys()]) this.#stopTyping(room);
    const close = this.#goodbye ?? { code, reason, reconnect: !final && !FINAL.has(code), retry_after_ms: retryAfterMs };
    const again = close.reconnect || (close.code === EXPIRED && this.#renews());
    if (!again || final) return this.#finish({ code: close.code, reason: close.reason, error });
    if (this.#onlineSince && Date.now() - this.#onlineSince >= STABLE_MS) this.#tries = 0;
    this.#onlineSince = 0;
    const wait = (close.retry_after_ms ?? 0) + backoff(this.#tries++, this.#random);
    this.#reconnect = setTimeout(() => this.#open(), wait);
    this.#move('offline', { code: close.code, reason: close.reason, retryInMs: wait, tries: this.#tries });
  }

  #finish(why) {
    globalThis.removeEventListener?.('online', this.#wake);
    globalThis.document?.removeEventListener('visibilitychange', this.#wake);
    this.#tries = 0;
    this.#move('closed', why);
  }

  /** (Re)starts the wait for a sign of life, if an answer is due. */
  #listen(asked = false) {
    clearTimeout(this.#silence);
    const due = this.state === 'connecting' || this.#requests.size > 0 || this.#unsent.underWay();
    this.#silence = due ? setTimeout(() => this.#wonder(asked), SILENCE_MS) : null;
  }

  #wonder(asked) {
    if (asked || this.state !== 'online') return this.#end({ code: 1006, reason: 'no answer' });
    this.rooms({ limit: 1 }).catch(() => {});
    this.#listen(true);
  }

  #ask(frame) {
    const ref = ++this.#ref;
    const answer = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#requests.delete(ref);
        reject(failure('timeout', 'the server did not answer in time', true));
      }, this.#options.timeoutMs);
      const settle = (act) => (value) => {
        clearTimeout(timer);
        act(value);
      };
      this.#requests.set(ref, { done: settle(resolve), fail: settle(reject) });
    });
    this.#transmit({ ...frame, ref });
    return answer;
  }

  #transmit(frame) {
    const { type, ref, ...rest } = frame;
    this.#socket.send(JSON.stringify({ type, ref, ...rest }));
    if (ref) this.#silence ??= setTimeout(() => this.#wonder(false), SILENCE_MS);
    return ref;
  }

  // ---- inside: what the server says --------------------------------------------------------------------------------

  #receive(data) {
    const frame = parse(data);
    if (!frame) return;
    this.#heard = Date.now();
    // Types that this version does not know are passed over: a newer server may say more.
    const act = Object.hasOwn(this.#frames, frame.type) ? this.#frames[frame.type] : null;
    act?.(frame);
    const request = this.#requests.get(frame.ref);
    if (request) {
      this.#requests.delete(frame.ref);
      if (frame.type === 'error') request.fail(new ChatError(frame));
      else request.done(frame);
    }
    if (this.#socket) this.#listen();
  }

  #frames = {
    entry: (frame) => this.#entry(frame),
    ack: (frame) => this.#unsent.settle(frame.key, 'stored', frame),
    accepted: (frame) => this.#unsent.settle(frame.key, 'accepted', frame),
    error: (frame) => this.#unsent.refuse(frame),
    followed: (frame) => this.#followed(frame),
    unfollowed: (frame) => this.#unfollowed(frame),
    gap: (frame) => this.#gap(frame),
    reset: (frame) => {
      this.#cursors.delete(frame.room);
      this.#emit('reset', frame);
    },
    signal: (frame) => {
      if (frame.kind === 'typing') this.#heardTyping(frame);
      this.#emit('signal', frame);
    },
    expiring: (frame) => {
      this.#emit('expiring', frame);
      if (this.#renews()) this.#renew();
    },
    close: (frame) => {
      this.#goodbye = frame;
    },
  };

  #entry(entry) {
    const { room, seq, id } = entry;
    const cursor = this.#cursors.get(room);
    if (cursor && seq <= cursor.seq) return; // a repeat after a resume
    if (cursor) this.#miss(room, cursor.seq + 1, seq - 1);
    this.#advance({ room, seq, id });
    this.#typists.get(`${room} ${entry.author}`)?.stop(); // who has sent it types no more
    this.#emit('entry', entry);
  }

  /** Sees to it that everybody's typing ends, also when the word of it is lost. */
  #heardTyping(signal) {
    const name = `${signal.room} ${signal.user}`;
    clearTimeout(this.#typists.get(name)?.timer);
    this.#typists.delete(name);
    if (!signal.on) return;
    const stop = () => {
      this.#heardTyping({ ...signal, on: false });
      this.#emit('signal', { ...signal, on: false });
    };
    this.#typists.set(name, { stop, timer: setTimeout(stop, TYPING_LASTS_MS) });
  }

  /** Forgets that the user types; returns whether others were told. */
  #stopTyping(room) {
    const typed = this.#typed.get(room);
    clearTimeout(typed?.timer);
    this.#typed.delete(room);
    return typed !== undefined && typed.told !== -Infinity;
  }

  #followed(frame) {
    const { room, seq, id } = frame;
    const cursor = this.#cursors.get(room);
    this.#putOff.delete(room);
    if (cursor) this.#miss(room, cursor.seq + 1, seq);
    if (!cursor || seq > cursor.seq) this.#advance({ room, seq, ...(id && { id }) });
    this.#emit('followed', frame);
  }

  #unfollowed(frame) {
    if (PASSING.has(frame.why)) return this.#followAgain(frame, 0);
    this.#putOff.delete(frame.room);
    if (frame.why !== 'too_many') this.#cursors.delete(frame.room); // still ours, only one too many to receive
    this.#emit('unfollowed', frame);
  }

  /** Asks for a room until the server sends it again; another connection resumes it anyway. */
  #followAgain(frame, tries) {
    const socket = this.#socket;
    this.#putOff.add(frame.room);
    const isDue = () => this.#socket === socket && this.#putOff.has(frame.room);
    setTimeout(() => {
      if (!isDue()) return;
      this.follow(frame.room, this.#cursors.get(frame.room)).catch((error) => {
        if (!isDue()) return; // it came after all: to an earlier try, or because somebody else asked
        if (error.retryable) this.#followAgain(frame, tries + 1);
        else this.#unfollowed({ ...frame, why: error.name });
      });
    }, backoff(tries, this.#random));
  }

  #gap(frame) {
    const { room, to } = frame;
    // The id at `to` is not known; the next entry brings one again.
    if (to > (this.#cursors.get(room)?.seq ?? -1)) this.#advance({ room, seq: to });
    this.#emit('gap', frame);
  }

  /** Says that positions are missing which the server has not explained: it should never happen, so it must be seen. */
  #miss(room, from, to) {
    if (from <= to) this.#emit('gap', { type: 'gap', room, from, to, why: 'unexplained' });
  }

  #advance(cursor) {
    // Deleted first, so that the map stays ordered by activity and `hello` names the liveliest rooms.
    this.#cursors.delete(cursor.room);
    this.#cursors.set(cursor.room, cursor);
  }

  #tellReads() {
    clearTimeout(this.#readTimer);
    this.#readTimer = null;
    if (this.state !== 'online') return;
    for (const [room, mark] of this.#reads) {
      if (!mark.told) this.signal(room, 'read', { seq: mark.seq });
      mark.told = true;
    }
  }

  #draft(frame) {
    const full = this.#unsent.all().length >= UNSENT_MAX;
    if (full) throw failure('too_many', 'too many messages are waiting to be sent');
    const draft = makeDraft({ ...frame, key: keyAt(Date.now() + this.#clock) });
    const bytes = new TextEncoder().encode(JSON.stringify(draft.frame)).length + 64; // and a little for `ref`
    // The server would close the connection on it, again and again.
    if (bytes > (this.server?.limits.frame_bytes ?? FRAME_BYTES_MAX)) throw failure('invalid_body', 'this is too long');
    this.#unsent.add(draft, this.state === 'online');
    return draft;
  }

  #move(state, detail = {}) {
    this.state = state;
    this.#emit('state', { state, ...detail });
  }

  #emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      // One listener's mistake must not cost the others an entry.
      try {
        listener(value);
      } catch (error) {
        console.error('a chat listener failed', error);
      }
    }
  }
}

/**
 * Keeps the drafts that were not answered, one lane per room, so that one sender's order holds in each.
 *
 * A lane sends a few drafts ahead. If one of them is refused for now, the server refuses all later ones of the room
 * too (`behind`), so the lane stops, and soon sends it and the later ones again, in order, under the same keys.
 */
class Unsent {
  owner = null;
  #lanes = new Map();
  #links;
  #flowing = false;

  constructor(links) {
    this.#links = links;
  }

  all() {
    return [...this.#lanes.values()].flatMap((lane) => lane.drafts);
  }

  underWay() {
    return this.all().some((draft) => draft.ref !== null);
  }

  /** Takes up what an earlier page of this user left behind, before what was written since. */
  adopt(owner) {
    this.owner = owner;
    const fresh = this.all();
    this.#lanes.clear();
    for (const frame of this.#load()) {
      const draft = makeDraft(frame);
      this.#place(draft);
      this.#links.changed(draft);
    }
    const known = new Set(this.all().map((draft) => draft.key));
    for (const draft of fresh) if (!known.has(draft.key)) this.#place(draft);
    this.#save();
  }

  add(draft, online) {
    const lane = this.#place(draft);
    this.#save();
    this.#links.changed(draft);
    if (online) this.#pump(lane);
  }

  resume() {
    this.#flowing = true;
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  pause() {
    this.#flowing = false;
    for (const lane of this.#lanes.values()) this.#stop(lane);
  }

  /**
   * Takes a draft off the list: it is in the log, or it was a command and is being carried out.
   *
   * Only its answer does that, not the entry itself, which may come first when a stored draft is sent again after a cut:
   * if the second try is refused for now, the server waits for a third, and everything later waits behind it.
   */
  settle(key, status, answer) {
    const [lane, draft] = this.#find((one) => one.key === key);
    if (!draft) return; // answered before: the answer to a second try
    lane.tries = 0;
    lane.window = Math.min(WINDOW, lane.window + 1);
    this.#remove(lane, draft);
    Object.assign(draft, { status, ref: null, room: answer.room ?? draft.room, seq: answer.seq, id: answer.id });
    draft.resolve(draft);
    this.#links.changed(draft);
    this.#pump(lane);
  }

  /** Takes an error; only one that answers the latest try counts, later answers to earlier tries say nothing new. */
  refuse(frame) {
    const [lane, draft] = this.#find((one) => one.ref !== null && one.ref === frame.ref);
    if (!draft) return;
    if (frame.retryable) return this.#hold(lane, draft, frame);
    this.#remove(lane, draft);
    const error = new ChatError(frame);
    Object.assign(draft, { status: 'refused', ref: null, error });
    draft.reject(error);
    this.#links.changed(draft);
    this.#pump(lane);
  }

  /** Lets a refused draft and all later ones wait. Earlier ones are still being answered. */
  #hold(room, draft, { name, retry_after_ms: least = 0 }) {
    const lane = isCommand(draft.frame) ? this.#apart(room, draft) : room;
    for (const later of lane.drafts.slice(lane.drafts.indexOf(draft))) later.ref = null;
    // `behind` although nothing is before it: the server waits for another one, so let it have them all.
    lane.window = name === 'behind' && draft === lane.drafts[0] ? WINDOW : 1;
    clearTimeout(lane.timer);
    lane.timer = setTimeout(() => {
      lane.timer = null;
      this.#pump(lane);
    }, least + backoff(lane.tries++, this.#links.random));
  }

  /** Gives a command a lane of its own: it has no place in the room's order, so nobody waits for it. */
  #apart(lane, draft) {
    if (lane.name === draft.key) return lane;
    lane.drafts.splice(lane.drafts.indexOf(draft), 1);
    const own = this.#lane(draft.key);
    own.drafts.push(draft);
    this.#pump(lane);
    return own;
  }

  #pump(lane) {
    if (lane.drafts.length === 0) this.#lanes.delete(lane.name);
    if (!this.#flowing || lane.timer) return;
    for (const draft of lane.drafts.slice(0, lane.window)) {
      draft.ref ??= this.#links.transmit(draft.frame);
    }
  }

  /** Forgets what is under way in a lane; all of it will be sent again over the next connection. */
  #stop(lane) {
    clearTimeout(lane.timer);
    lane.timer = null;
    lane.window = WINDOW;
    for (const draft of lane.drafts) draft.ref = null;
  }

  #place(draft) {
    const { type, room, to } = draft.frame;
    const name = `${type} ${room ?? ''} ${to ?? ''}`;
    const lane = this.#lane(name);
    lane.drafts.push(draft);
    return lane;
  }

  #lane(name) {
    if (!this.#lanes.has(name)) this.#lanes.set(name, { name, drafts: [], timer: null, tries: 0, window: WINDOW });
    return this.#lanes.get(name);
  }

  #remove(lane, draft) {
    lane.drafts.splice(lane.drafts.indexOf(draft), 1);
    this.#save();
  }

  #find(test) {
    for (const lane of this.#lanes.values()) {
      const draft = lane.drafts.find(test);
      if (draft) return [lane, draft];
    }
    return [];
  }

  #save() {
    if (!this.owner) return;
    const name = storageName(this.owner);
    const frames = this.all().map((draft) => draft.frame);
    // Storage may be full or forbidden; then drafts live as long as the page does.
    try {
      if (frames.length === 0) this.#links.storage?.removeItem(name);
      else this.#links.storage?.setItem(name, JSON.stringify(frames));
    } catch (error) {
      console.warn('unsent messages cannot be kept across a reload', error);
    }
  }

  #load() {
    try {
      const frames = JSON.parse(this.#links.storage?.getItem(storageName(this.owner)) ?? '[]');
      return Array.isArray(frames) ? frames.filter((frame) => typeof frame?.key === 'string') : [];
    } catch {
      return [];
    }
  }
}

/** Makes the handle of one draft, whose `done` settles with the server's answer. */
function makeDraft({ type, ...rest }) {
  const frame = { type, ...rest };
  const draft = { key: frame.key, room: frame.room, to: frame.to, body: frame.body, status: 'waiting', ref: null, frame };
  draft.done = new Promise((resolve, reject) => Object.assign(draft, { resolve, reject }));
  draft.done.catch(() => {}); // who does not wait for the answer hears of it by the event
  return draft;
}

/** Tells whether the server takes a draft for a command, if a person says it. */
const isCommand = ({ body }) => body?.kind === 'text' && /^\/(?!\/)/.test(body.text);

const storageName = (user) => `chat-engine unsent ${user}`;

/** Keeps drafts per tab by default: two tabs must not send each other's. Reading the property can throw. */
function defaultStorage() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

/** Makes `/chat/ws` absolute against the page. */
function absolute(url) {
  const full = new URL(url, globalThis.location?.href);
  full.protocol = full.protocol.replace(/^http/, 'ws');
  return full.href;
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return typeof frame?.type === 'string' ? frame : null;
  } catch {
    return null;
  }
}

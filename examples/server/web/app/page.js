/** The chat page: joins the connection, what is known of the rooms, and what is shown. */

import { ChatClient } from '/chat/client.js';

import { changePassword, edits, logout, me } from './accounts.js';
import { Banner } from './banner.js';
import { Composer } from './composer.js';
import { browseRooms, changeRoom, chooseRole, isSure, newPassword, newRoom, showEdits } from './dialogs.js';
import { el, nextFrame, sentence, toast } from './dom.js';
import { Header } from './header.js';
import { People } from './people.js';
import { MEMBERS, PAGE, Room } from './room.js';
import { Sidebar } from './sidebar.js';
import { Timeline } from './timeline.js';

/** Others forget after this long that somebody types, if no word comes. */
const TYPING_MS = 4_000;
/** Rooms listed at most, in pages of 200. */
const ROOMS_MAX = 1_000;
/** The server follows this many by itself; others are followed when they are opened. */
const FOLLOWED_MAX = 256;

export class ChatPage {
  rooms = new Map();
  current = null;
  online = new Map();

  #ended;
  #loading = null;
  #welcomed = false;
  #leaving = false;
  #over = false;
  /** The keys of drafts that somebody waits for. */
  #awaited = new Set();

  constructor({ who, about, ended }) {
    Object.assign(this, { who, about });
    this.#ended = ended;
    this.chat = new ChatClient({ url: '/chat/ws', user: who.user });
    this.redraw = nextFrame(() => this.#draw());
    this.banner = new Banner(this);
    this.sidebar = new Sidebar(this);
    this.header = new Header(this);
    this.timeline = new Timeline(this);
    this.composer = new Composer(this);
    this.people = new People(this);
    this.view = this.#layout();
  }

  start() {
    const { chat } = this;
    chat.on('state', (state) => this.#moved(state));
    chat.on('welcome', () => this.#welcome());
    chat.on('entry', (entry) => this.#entry(entry));
    chat.on('signal', (signal) => this.#signal(signal));
    chat.on('draft', (draft) => this.#draft(draft));
    chat.on('followed', ({ room }) => this.rooms.has(room) || this.#listSoon());
    chat.on('unfollowed', ({ room, why }) => this.#unfollowed(room, why));
    for (const event of ['gap', 'reset']) chat.on(event, ({ room }) => this.#broken(room));
    window.addEventListener('hashchange', this.#route);
    document.addEventListener('visibilitychange', this.#seen);
    window.addEventListener('focus', this.#seen);
    chat.connect();
    this.redraw();
  }

  /** Tells whether somebody is here: `null` while nobody can tell. */
  isHere(user) {
    return this.chat.state === 'online' ? Boolean(this.online.get(user)) : null;
  }

  get room() {
    return this.rooms.get(this.current) ?? null;
  }

  // ---- what people do ------------------------------------------------------------------------------------------

  /** Shows a room; the address names it, so that a reload and the back button find it. */
  open(id) {
    location.hash = id ? `#/room/${id}` : '';
  }

  /** Sends what was typed. Returns whether it was taken. */
  send(text, { replyTo } = {}) {
    return this.#try(() => this.chat.say(this.current, text, { replyTo }));
  }

  edit(message, text) {
    return this.#try(() => this.chat.post(message.room, { kind: 'edit', target: message.seq, text }));
  }

  /** Shows what a message said before it was edited. */
  async edits(message) {
    await this.#asMe(async () => {
      await showEdits(await edits(message));
    });
  }

  async remove(message) {
    if (await isSure({ title: 'Delete this message?', act: 'Delete' })) this.#try(() => this.chat.post(message.room, { kind: 'delete', target: message.seq }));
  }

  react(message, emoji) {
    const mine = message.folded?.reactions?.find((one) => one.emoji === emoji)?.users.includes(this.who.user);
    return this.#try(() => this.chat.post(message.room, { kind: 'react', target: message.seq, emoji, on: !mine }));
  }

  /** Writes to one person; the first message makes the room. */
  async write(user, text) {
    await this.#ask(async () => {
      const { room } = await this.#done(this.chat.say({ to: user }, text)).catch(nobody(user));
      await this.#list().catch(() => {}); // it is stored all the same
      this.open(room);
    });
  }

  async create() {
    const spec = await newRoom();
    if (!spec) return;
    await this.#ask(async () => {
      const { room } = await this.#done(this.chat.create(spec));
      await this.#list();
      this.open(room);
    });
  }

  async browse() {
    const room = await browseRooms(this);
    if (!room) return;
    await this.#ask(async () => {
      await this.#done(this.chat.join(room));
      await this.#list();
      this.open(room);
    });
  }

  /** Makes somebody a member of the room that is shown. */
  async add(user) {
    await this.#ask(async () => {
      await this.#done(this.chat.join(this.current, user)).catch(nobody(user));
      await this.#members(this.room);
    });
  }

  /** Takes somebody out of the room that is shown. */
  async removeMember(user, name) {
    const { room } = this;
    if (!await isSure({ title: `Remove ${name} from ${room.label(this.who.user)}?`, act: 'Remove' })) return;
    await this.#ask(async () => {
      await this.#done(this.chat.leave(room.id, user));
      await this.#members(room);
    });
  }

  /** Gives somebody another role in the room that is shown. */
  async setRole({ user, name, role: before }) {
    const { room } = this;
    const role = await chooseRole({ name, role: before });
    if (role) await this.#ask(() => this.#done(this.chat.post(room.id, { kind: 'member', change: 'role', user, role })));
  }

  /** Gives the room that is shown another name or topic. */
  async change() {
    const { room } = this;
    const changed = await changeRoom(room);
    if (changed) await this.#ask(() => this.#done(this.chat.post(room.id, { kind: 'room', change: 'set', ...changed })));
  }

  async leave() {
    const { room } = this;
    const text = room?.isOnlyOwner(this.who.user) &&
      `You are the only owner: nobody could change the room after you.${room.members.length > 1 ? ' Give somebody else that role first.' : ''}`;
    if (!room || !await isSure({ title: `Leave ${room.label(this.who.user)}?`, text, act: 'Leave' })) return;
    await this.#ask(() => this.#done(this.chat.leave(room.id)));
  }

  async changePassword() {
    const passwords = await newPassword(this.who);
    if (!passwords) return;
    await this.#asMe(async () => {
      await changePassword(passwords);
      toast('Your password was changed.');
    });
  }

  async logout() {
    const { length } = this.chat.unsent;
    if (length > 0 && !await isSure({ title: `${length} message(s) were not sent yet. Log out all the same?`, act: 'Log out' })) return;
    await this.#asMe(async () => {
      this.#leaving = true; // the server closes the connection first
      await logout();
      this.#end();
    });
    this.#leaving = false;
  }

  /** Reads the page before the oldest message that is shown. */
  async older() {
    const { room } = this;
    if (!room?.loaded || room.complete || room.paging) return;
    const before = room.messages[0]?.seq;
    room.paging = true;
    try {
      room.merge(await this.chat.history(room.id, { before, limit: PAGE }), before);
    } catch {
      // Offline or late: scrolling on, or the next connection, tries again.
    } finally {
      room.paging = false;
      this.redraw();
    }
  }

  /** Marks the room as read, if somebody looks at its end. */
  look() {
    const { room } = this;
    if (!room?.loaded || document.hidden || !this.timeline.atEnd) return;
    const seq = room.markRead();
    if (seq !== null) {
      this.chat.read(room.id, seq);
      this.redraw();
    }
  }

  // ---- what the server says --------------------------------------------------------------------------------------

  async #welcome() {
    for (const draft of this.chat.unsent) this.#draft(draft);
    await this.#list().catch(() => {});
    if (!this.#welcomed) this.#arrive();
    this.#welcomed = true;
    const { room } = this;
    if (room && !room.loaded) await this.#load(room);
    if (room) await this.#members(room);
  }

  /** Shows the room of the address or, where there is space beside the list, the liveliest one. */
  #arrive() {
    const [liveliest] = [...this.rooms.values()].sort((a, b) => b.active - a.active);
    if (!location.hash && liveliest && matchMedia('(min-width: 721px)').matches) this.open(liveliest.id);
    else this.#route();
  }

  async #moved(state) {
    this.banner.show(state);
    this.redraw();
    if (state.state === 'closed') this.#closed(state);
    // A login that ended looks like any failed connection: only the server can tell them apart.
    if (state.state === 'offline' && state.tries >= 2) {
      const who = await me().catch(() => this.who);
      if (who?.user !== this.who.user && this.chat.state !== 'online') this.#end('Please log in again.');
    }
  }

  async #closed({ code }) {
    if (this.#leaving) return;
    const notices = { 4002: 'Your login has ended. Please log in again.', 4003: 'You were logged out.' };
    const who = await me().catch(() => this.who);
    if (who?.user !== this.who.user) this.#end(notices[code] ?? 'Please log in again.');
  }

  #entry(entry) {
    const room = this.rooms.get(entry.room);
    if (!room) return this.#listSoon();
    room.take(entry, this.who.user);
    if (entry.body.kind === 'member' && entry.room === this.current) this.#members(room);
    if (entry.room === this.current && this.timeline.atEnd) room.trim();
    this.redraw();
  }

  #signal(signal) {
    const room = this.rooms.get(signal.room);
    if (signal.kind === 'presence') this.online.set(signal.user, signal.online);
    else if (signal.kind === 'whisper') room?.note('whisper', signal.text, signal.user);
    else if (signal.kind === 'typing') this.#typing(room, signal);
    else if (signal.kind === 'read' && room && signal.seq >= room.read) {
      room.read = signal.seq;
      if (signal.seq >= room.head) room.unread = 0;
      else this.#listSoon();
    }
    this.redraw();
  }

  #typing(room, { user, name, on }) {
    if (!room || user === this.who.user) return;
    if (on) room.typing.set(user, { name, until: Date.now() + TYPING_MS });
    else room.typing.delete(user);
    setTimeout(this.redraw, TYPING_MS + 50);
  }

  #draft(draft) {
    const room = this.rooms.get(draft.room);
    const text = draft.body?.text;
    if (room && isCommand(text)) room.command(draft);
    else if (room && draft.body?.kind === 'text') room.draft(draft);
    else if (draft.status === 'refused' && !this.#awaited.has(draft.key)) toast(sentence(draft.error.message), 'error');
    this.redraw();
  }

  #unfollowed(id, why) {
    const room = this.rooms.get(id);
    if (!room || why === 'unfollowed') return;
    this.rooms.delete(id);
    if (why === 'removed') toast(`You were removed from ${room.label(this.who.user)}.`);
    if (id === this.current) this.open(null);
    this.redraw();
  }

  #broken(id) {
    const room = this.rooms.get(id);
    room?.forget();
    if (room && id === this.current) this.#load(room);
  }

  // ---- reading -----------------------------------------------------------------------------------------------------

  #listSoon() {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#list().catch(() => {});
    }, 200);
  }

  #soon = null;

  /** Reads the list of the user's rooms; one reading at a time. */
  #list() {
    this.#loading ??= this.#readRooms().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #readRooms() {
    const all = [];
    let page;
    do {
      page = await this.chat.rooms({ limit: 200, before: all.at(-1)?.active });
      all.push(...page);
    } while (page.length === 200 && all.length < ROOMS_MAX);
    const listed = all.filter(({ visibility }) => visibility !== 'inbox');
    for (const summary of listed) this.#know(summary);
    const ids = new Set(listed.map(({ room }) => room));
    for (const id of this.rooms.keys()) if (!ids.has(id)) this.rooms.delete(id);
    for (const draft of this.chat.unsent) this.rooms.get(draft.room)?.pending.has(draft.key) || this.#draft(draft);
    this.redraw();
  }

  #know(summary) {
    const known = this.rooms.get(summary.room);
    if (known) known.update(summary);
    else this.rooms.set(summary.room, new Room(summary));
    // Whether the other person of a private chat is there, only the list of members tells.
    const room = this.rooms.get(summary.room);
    if (room.visibility === 'direct' && room.members.length === 0) this.#members(room);
  }

  async #load(room) {
    try {
      room.merge(await this.chat.history(room.id, { limit: PAGE }));
    } catch (error) {
      if (this.chat.state === 'online') toast(sentence(error.message), 'error');
    }
    this.redraw();
  }

  async #members(room) {
    try {
      room.members = await this.chat.members(room.id, { limit: MEMBERS });
      for (const { user, online } of room.members) this.online.set(user, online);
    } catch {
      // Offline: asked again with the next connection.
    }
    this.redraw();
  }

  // ---- showing -----------------------------------------------------------------------------------------------------

  #route = () => {
    const id = /^#\/room\/([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null;
    if (id && !this.rooms.has(id)) return this.#welcomed && this.open(null);
    this.current = id;
    const { room } = this;
    if (room) {
      room.newFrom = room.unread > 0 ? room.read : null;
      if (!room.loaded) this.#load(room);
      this.#members(room);
      if (this.rooms.size > FOLLOWED_MAX) this.chat.follow(id).catch(() => {}); // followed already, as a rule
    }
    this.composer.reset();
    this.redraw();
  };

  #seen = () => this.look();

  #draw() {
    const { room } = this;
    this.view.classList.toggle('in-room', room !== null);
    this.sidebar.draw();
    this.header.draw();
    this.people.draw();
    this.composer.draw();
    this.timeline.draw();
    const unread = [...this.rooms.values()].filter((one) => one.unread > 0).length;
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${room ? `${room.label(this.who.user)} · ` : ''}chat-engine`;
    this.look();
  }

  #layout() {
    const room = el('main', { class: 'room' }, this.header.view, this.timeline.view, this.composer.view);
    return el('div', { class: 'page' }, this.banner.view, el('div', { class: 'columns' }, this.sidebar.view, room, this.people.view));
  }

  #try(act) {
    try {
      act();
      return true;
    } catch (error) {
      toast(sentence(error.message), 'error');
      return false;
    }
  }

  /** Waits for what was asked: whoever waits says what went wrong, and nobody else. */
  #done({ key, done }) {
    this.#awaited.add(key);
    return done.finally(() => this.#awaited.delete(key));
  }

  async #ask(act) {
    try {
      await act();
    } catch (error) {
      toast(sentence(error.message), 'error');
    }
  }

  /** Asks over HTTP, as whom the cookie says: another tab may have logged somebody else in. */
  #asMe(act) {
    return this.#ask(async () => {
      const { user } = await me() ?? {};
      if (user && user !== this.who.user) this.#end('Somebody else has logged in here. Please log in again.');
      else await act();
    });
  }

  #end(notice) {
    if (this.#over) return;
    this.#over = true;
    window.removeEventListener('hashchange', this.#route);
    document.removeEventListener('visibilitychange', this.#seen);
    window.removeEventListener('focus', this.#seen);
    this.chat.close();
    location.hash = '';
    document.title = 'chat-engine';
    this.#ended(notice);
  }
}

const isCommand = (text) => Boolean(text?.startsWith('/') && !text.startsWith('//'));

/** Says of whom there was no account. */
const nobody = (user) => (error) => {
  throw error.name === 'not_found' ? new Error(`there is nobody called ${user}`) : error;
};

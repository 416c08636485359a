/** One room as the page knows it: what is loaded of its log, what is on its way, what only this user sees. */

/** Messages kept of a room; older ones are read again when somebody scrolls up to them. */
const KEPT_MAX = 1_000;
const KEPT = 400;
/** Notes kept of a room: answers for this user's eyes only. */
const NOTES_MAX = 50;

/** What a page of history holds. */
export const PAGE = 50;
/** Members that are shown of a room. */
export const MEMBERS = 200;

export class Room {
  /** Messages and events, by rising seq; what lies between the first and the last is complete. */
  messages = [];
  /** Drafts that are not in `messages` yet, by key. */
  pending = new Map();
  notes = [];
  /** Who types: user → { name, until }. */
  typing = new Map();
  members = [];
  loaded = false;
  /** Nothing is older than the first of `messages`. */
  complete = false;
  /** The read mark when the room was opened: where "new" begins. */
  newFrom = null;
  #noted = 0;
  #changes = [];
  #counted = 0;

  constructor(summary) {
    this.id = summary.room;
    this.update(summary);
  }

  /** Takes what a list of rooms says; the server's count of what is unread wins. */
  update(summary) {
    const { title, name, topic, visibility, role, with: peer, head, read, unread, active, last } = summary;
    Object.assign(this, { name, topic, visibility, role, peer, read, unread, active });
    this.title = title || this.title || name || '';
    this.head = Math.max(this.head ?? 0, head);
    if (last && last.seq >= (this.last?.seq ?? 0)) this.last = last;
    this.#counted = Math.max(this.#counted, head);
  }

  /** Forgets what is loaded; it is of another log, or has a hole. */
  forget() {
    this.messages = [];
    this.#changes = [];
    this.loaded = false;
    this.complete = false;
  }

  /** Takes a live entry. */
  take(entry, me) {
    this.head = Math.max(this.head, entry.seq);
    this.active = Math.max(this.active, entry.at);
    if (entry.author === me) this.pending.delete(entry.key);
    this.#named(entry);
    this.typing.delete(entry.author);
    if (entry.body.kind === 'room') this.#roomChange(entry.body);
    if (entry.body.change === 'role' && entry.body.user === me) this.role = entry.body.role;
    if (isChange(entry)) {
      this.#changes.push(entry);
      this.#changes.splice(0, this.#changes.length - PAGE);
      this.#fold(entry);
    } else if (isMessage(entry)) {
      this.last = entry;
      if (entry.author !== me && entry.seq > this.#counted) this.unread += 1;
    }
    this.#counted = Math.max(this.#counted, entry.seq);
    if (this.loaded && isShown(entry)) this.#insert({ ...entry, version: 0 });
  }

  /** Takes a page of history; `asked` is the position it was asked before. */
  merge(entries, asked) {
    const known = new Set(this.messages.map(({ seq }) => seq));
    const older = entries.filter(({ seq }) => !known.has(seq)).map((entry) => ({ ...entry, version: 0 }));
    this.messages = [...older, ...this.messages].sort((a, b) => a.seq - b.seq);
    for (const { key } of entries) this.pending.delete(key);
    entries.forEach((entry) => this.#named(entry));
    // An edit can overtake the answer that was read before it.
    if (!asked) for (const change of this.#changes) this.#fold(change);
    this.loaded = true;
    if (entries.length < PAGE) this.complete = true;
  }

  /** Drops old messages of a long-lived page; the reader is at the other end. */
  trim() {
    if (this.messages.length <= KEPT_MAX) return;
    this.messages.splice(0, this.messages.length - KEPT);
    this.complete = false;
  }

  /** Follows one of this user's own drafts. */
  draft(draft) {
    const known = draft.seq && this.messages.some(({ seq }) => seq === draft.seq);
    if (draft.status === 'waiting' || (draft.status === 'stored' && !known)) this.pending.set(draft.key, draft);
    else if (draft.status !== 'refused') this.pending.delete(draft.key);
  }

  /** Adds a note that only this user sees, behind what is there now. */
  note(kind, text, who) {
    const after = this.messages.at(-1)?.seq ?? 0;
    const note = { id: `${(this.#noted += 1)}`, kind, text, who, after, at: Date.now() };
    this.notes.push(note);
    this.notes.splice(0, this.notes.length - NOTES_MAX);
    return note;
  }

  /** Follows a command of this user's: nobody else sees it, so it is a note from the start. */
  command(draft) {
    const known = this.notes.find(({ key }) => key === draft.key);
    if (draft.status === 'stored') this.notes = this.notes.filter((note) => note !== known); // it was no command
    else Object.assign(known ?? this.note('command', draft.body.text), { key: draft.key, status: draft.status, error: draft.error });
  }

  /** Marks everything as read; returns the mark, or `null` if nothing changed. */
  markRead() {
    if (this.unread === 0 && this.read >= this.head) return null;
    this.unread = 0;
    this.read = this.head;
    return this.read;
  }

  /** Tells how the room is called here. */
  label(me) {
    if (this.title) return this.title;
    const others = this.members.filter(({ user }) => user !== me).map(({ name }) => name);
    return others.join(', ') || this.peer?.name || (this.visibility === 'direct' ? 'Private chat' : 'Room without a name');
  }

  /** Tells whether somebody is the only owner. Of a room with more members than are shown, nobody knows. */
  isOnlyOwner(user) {
    const owners = this.members.filter(({ role }) => role === 'owner');
    return this.members.length < MEMBERS && owners.length === 1 && owners[0].user === user;
  }

  /** Learns display names: a member has none before the first word. */
  #named({ author, name }) {
    const member = this.members.find(({ user }) => user === author);
    if (member) member.name = name;
  }

  #roomChange({ change, title, topic }) {
    if (change !== 'set') return;
    if (title !== undefined) this.title = title;
    if (topic !== undefined) this.topic = topic;
  }

  #insert(message) {
    const last = this.messages.at(-1);
    if (!last || message.seq > last.seq) this.messages.push(message);
    else if (!this.messages.some(({ seq }) => seq === message.seq)) {
      this.messages.push(message);
      this.messages.sort((a, b) => a.seq - b.seq);
    }
  }

  #fold(change) {
    for (const target of change.body.targets ?? [change.body.target]) this.#foldInto(target, change);
  }

  /** Forgets who an entry was about: a message is nobody's, and what happened to them is not told any more. */
  #forget(entry, standIn) {
    if (entry && isMessage(entry)) Object.assign(entry, { author: standIn, name: standIn, version: entry.version + 1 });
    else this.messages = this.messages.filter((other) => other !== entry);
  }

  #foldInto(target, change) {
    const is = ({ seq }) => seq === target;
    const message = this.messages.find(is) ?? [this.last].filter(Boolean).find(is);
    if (change.body.kind === 'erase') this.#forget(message, change.body.user);
    if (!message || message.folded?.deleted || !isMessage(message)) return;
    const folded = { ...message.folded };
    if (change.body.kind === 'edit') {
      message.body = { ...message.body, text: change.body.text };
      folded.edited = change.at;
    } else if (change.body.kind === 'delete' || change.body.kind === 'erase') {
      message.body = { kind: message.body.kind, text: '' };
      Object.assign(folded, { deleted: true, reactions: [] });
    } else {
      folded.reactions = react(folded.reactions ?? [], change);
    }
    message.folded = folded;
    message.version += 1;
    if (this.last?.seq === message.seq) this.last = message;
  }
}

/** Returns what somebody is called. Who was erased is nobody. */
export const nameOf = ({ author, name }) => (author.startsWith('erased:') ? 'Somebody erased' : name || author);

/** Tells whether who is logged in may delete what others say. */
export const mayModerate = ({ role, visibility }) => ['owner', 'moderator'].includes(role) && visibility !== 'direct';

/** Tells whether an entry is something that people write: a text, or an application's own kind. */
export const isMessage = ({ body }) => body.kind === 'text' || body.kind.includes('.');

const isChange = ({ body }) => ['edit', 'delete', 'react', 'erase'].includes(body.kind);

const isShown = (entry) => isMessage(entry) || entry.body.kind === 'member' || entry.body.kind === 'room';

function react(reactions, { author, body }) {
  const rest = reactions.map(({ emoji, users }) =>
    (emoji === body.emoji ? { emoji, users: users.filter((user) => user !== author) } : { emoji, users }));
  if (body.on) {
    const same = rest.find(({ emoji }) => emoji === body.emoji);
    if (same) same.users = [...same.users, author];
    else rest.push({ emoji: body.emoji, users: [author] });
  }
  return rest.filter(({ users }) => users.length > 0);
}

/** What a timeline shows, in order: days, the "new" line, messages, events, notes, and what is on its way. */

import { isMessage, mayModerate } from './room.js';
import { dayKey } from './time.js';

/** Messages of one author within this time stand under one name. */
const GROUP_MS = 5 * 60_000;

/**
 * Returns the rows of a room: `{ type, key, stamp, … }`. A row whose `key` and `stamp` are the same looks the same,
 * and a message keeps its key from the moment it is typed. `online` tells whether drafts are under way.
 */
export function rows(room, { user: me, name }, online = true) {
  const out = [];
  const notes = [...room.notes];
  let day = null;
  let before = null;
  let announced = room.newFrom === null;

  const begin = (at) => {
    if (dayKey(at) === day) return;
    day = dayKey(at);
    before = null;
    out.push({ type: 'day', key: `day ${day}`, stamp: dayKey(Date.now()), at });
  };
  const putNotes = (through) => {
    while (notes.length > 0 && notes[0].after < through) {
      const note = notes.shift();
      out.push({ type: 'note', key: `note ${note.id}`, stamp: `${note.status}`, note });
      before = null;
    }
  };

  for (const message of room.messages) {
    putNotes(message.seq);
    begin(message.at);
    if (!announced && message.seq > room.newFrom && message.author !== me) {
      announced = true;
      before = null;
      out.push({ type: 'new', key: 'new', stamp: '' });
    }
    const row = isMessage(message) ? messageRow(message, before, room) : eventRow(message);
    out.push(row);
    before = row.type === 'message' ? message : null;
  }
  putNotes(Infinity);
  for (const draft of room.pending.values()) {
    const message = { ...draftMessage(draft, me), name };
    begin(message.at);
    out.push({ ...messageRow(message, before, room), draft, online, stamp: `${draft.status} ${online} ${grouped(before, message)}` });
    before = message;
  }
  return out;
}

function messageRow(message, before, room) {
  const first = !grouped(before, message);
  const quoted = message.body.reply_to && room.messages.find(({ seq }) => seq === message.body.reply_to);
  const stamp = `${message.seq} ${message.version} ${!first} ${quoted?.version ?? ''} ${message.name} ${mayModerate(room)}`;
  return { type: 'message', key: `${message.author} ${message.key}`, stamp, message, first, quoted };
}

function eventRow(entry) {
  return { type: 'event', key: `event ${entry.seq}`, stamp: '', entry };
}

/** Gives a draft the shape of the message that it will be. */
function draftMessage(draft, me) {
  const at = Number.parseInt(draft.key.replace('-', '').slice(0, 12), 16);
  return { author: me, key: draft.key, body: draft.body, at, version: 0 };
}

const grouped = (before, message) =>
  Boolean(before && before.author === message.author && message.at - before.at < GROUP_MS && !message.body.reply_to);

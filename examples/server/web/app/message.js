/** One row of a timeline. */

import { avatar, el, sentence } from './dom.js';
import { icon } from './icons.js';
import { mayModerate, nameOf } from './room.js';
import { dayName, moment, time } from './time.js';

const REACTIONS = ['👍', '❤️', '😄', '🎉'];
const LINK = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g;
const ROLES = { member: 'a member', moderator: 'a moderator', owner: 'an owner' };

/** Draws a row. */
export function rowView(row, page) {
  switch (row.type) {
    case 'day': return el('li', { class: 'day' }, el('span', {}, dayName(row.at)));
    case 'new': return el('li', { class: 'new-line' }, el('span', {}, 'New'));
    case 'event': return el('li', { class: 'event', title: moment(row.entry.at) }, eventText(row.entry, page));
    case 'note': return noteView(row.note, page);
    default: return messageView(row, page);
  }
}

function messageView({ message, first, draft, online, quoted }, page) {
  const bot = message.author.startsWith('bot:');
  const classes = ['message', first && 'first', bot && 'bot', message.author === page.who.user && 'own', draft && `draft ${draft.status}`];
  return el('li', { class: classes.filter(Boolean).join(' '), tabIndex: -1, dataset: message.seq ? { seq: message.seq } : {} },
    el('span', { class: 'side' }, first ? avatar(message.author, message.name) : timeView(message)),
    el('div', { class: 'content' },
      first && el('div', { class: 'by' },
        el('strong', { dir: 'auto', title: message.author }, nameOf(message)),
        bot && el('span', { class: 'badge bot-badge' }, 'bot'),
        timeView(message)),
      message.body.reply_to && quoteView(quoted, message.body.reply_to, page),
      textView(message, page),
      reactionsView(message, page),
      draft && draftView(draft, online, page)),
    !draft && !message.folded?.deleted && toolsView(message, page));
}

const timeView = ({ at }) => el('time', { title: moment(at) }, time(at));

function textView(message, page) {
  const { body, folded } = message;
  if (folded?.deleted) return el('p', { class: 'text deleted' }, 'Message deleted');
  return el('p', { class: 'text', dir: 'auto' }, ...linked(body.text ?? ''),
    folded?.edited && ' ', folded?.edited && el('button', {
      class: 'edited', type: 'button', title: `Edited ${moment(folded.edited)}: show the earlier texts`, onclick: () => page.edits(message),
    }, '(edited)'));
}

/** Makes web addresses clickable; nothing else in a text has a meaning. */
function linked(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(LINK)) {
    if (!URL.canParse(found[0])) continue;
    parts.push(text.slice(end, found.index));
    parts.push(el('a', { href: found[0], target: '_blank', rel: 'noopener noreferrer' }, found[0]));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== '');
}

function quoteView(quoted, seq, page) {
  const text = !quoted ? 'an earlier message' : quoted.folded?.deleted ? 'Message deleted' : quoted.body.text;
  return el('button', { class: 'quote', type: 'button', onclick: () => page.timeline.show(seq) },
    icon('reply'), quoted && el('strong', {}, nameOf(quoted)), el('span', { dir: 'auto' }, text));
}

function reactionsView(message, page) {
  const reactions = message.folded?.reactions ?? [];
  if (reactions.length === 0) return null;
  return el('div', { class: 'reactions' }, reactions.map(({ emoji, users }) =>
    el('button', {
      type: 'button', class: 'reaction', title: users.join(', '),
      'aria-pressed': `${users.includes(page.who.user)}`, onclick: () => page.react(message, emoji),
    }, emoji, el('span', {}, `${users.length}`))));
}

function toolsView(message, page) {
  const own = message.author === page.who.user;
  const deletable = own || mayModerate(page.room);
  const tool = (face, label, act) =>
    el('button', { type: 'button', class: 'icon-button', title: label, 'aria-label': label, tabIndex: -1, onclick: (event) => (event.detail > 0 && page.timeline.leave(), act()) }, face); // who uses keys stays
  return el('div', { class: 'tools', role: 'group', 'aria-label': 'Message' },
    REACTIONS.slice(0, 3).map((emoji) => tool(emoji, `React ${emoji}`, () => page.react(message, emoji))),
    tool(icon('reply'), 'Reply', () => page.composer.reply(message)),
    own && tool(icon('pen'), 'Edit', () => page.composer.edit(message)),
    deletable && tool(icon('bin'), 'Delete', () => page.remove(message)));
}

function draftView(draft, online, page) {
  if (draft.status !== 'refused') return el('small', { class: 'state' }, icon('clock'), online ? 'Sending…' : 'Not sent yet: waiting for the connection');
  const drop = () => {
    page.room?.pending.delete(draft.key);
    page.redraw();
  };
  const again = () => {
    drop();
    page.composer.fill(draft.body.text);
  };
  return el('small', { class: 'state failed' }, `Not sent: ${sentence(draft.error.message)} `,
    el('button', { class: 'link', type: 'button', onclick: again }, 'Change it'), ' ',
    el('button', { class: 'link', type: 'button', onclick: drop }, 'Discard'));
}

function noteView(note, page) {
  const drop = () => {
    const { notes } = page.room;
    notes.splice(notes.indexOf(note), 1);
    page.redraw();
  };
  const { kind, text, who, status, error } = note;
  return el('li', { class: `note ${error ? 'error' : kind}` },
    el('span', { class: 'note-head' }, icon('eye'),
      who ? `${who.replace(/^bot:/, '')} · ` : '', 'only you see this', status === 'waiting' ? ' · under way…' : ''),
    el('p', { class: 'text', dir: 'auto' }, kind === 'command' ? `You used ${text}` : text),
    error && el('p', { class: 'text failed' }, sentence(error.message)),
    el('button', { class: 'icon-button', type: 'button', 'aria-label': 'Dismiss', onclick: drop }, icon('close')));
}

function eventText({ author, name, body }, page) {
  const who = nameOf({ author, name });
  const known = (user) => page.room?.members.find((member) => member.user === user)?.name ?? user;
  if (body.kind === 'room') {
    if (body.change === 'created') return `${who} created the room`;
    const changed = [
      body.title !== undefined && (body.title ? `named the room “${body.title}”` : 'took the name away'),
      body.topic !== undefined && (body.topic ? `set the topic: ${body.topic}` : 'took the topic away'),
    ].filter(Boolean);
    return `${who} ${changed.join(' and ') || 'changed the room'}`;
  }
  const self = body.user === author;
  if (body.change === 'join') return self ? `${who} joined` : `${who} added ${known(body.user)}`;
  if (body.change === 'leave') return self ? `${who} left` : `${who} removed ${known(body.user)}`;
  return `${who} made ${known(body.user)} ${ROLES[body.role] ?? body.role}`;
}

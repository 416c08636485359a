/** The few things that ask before they act. Each resolves to the answer, or to `null`. */

import { el } from './dom.js';
import { icon } from './icons.js';
import { nameOf } from './room.js';
import { moment } from './time.js';

/** Asks for one line of text. */
export function askText({ title, label, act }) {
  const input = el('input', { type: 'text', required: true, maxLength: 4_000, autofocus: true });
  return ask({ title, act, body: [el('label', { class: 'field' }, el('span', {}, label), input)], answer: () => input.value.trim() || null });
}

/** Asks before something that cannot be undone; resolves to `true`, or to `null`. */
export function isSure({ title, text, act }) {
  return ask({ title, act, body: text ? [el('p', {}, text)] : [], answer: () => true });
}

/** Asks what room to create; resolves to its description. */
export function newRoom() {
  const title = el('input', { type: 'text', required: true, maxLength: 100, placeholder: 'for example: Lunch', autofocus: true });
  const open = el('input', { type: 'checkbox', checked: true });
  const body = [
    el('label', { class: 'field' }, el('span', {}, 'Name'), title),
    el('label', { class: 'check' }, open, el('span', {}, 'Public: everybody can find and join it')),
  ];
  const answer = () => (title.value.trim() ? { title: title.value.trim(), visibility: open.checked ? 'public' : 'private' } : null);
  return ask({ title: 'New room', act: 'Create room', body, answer });
}

/** Asks for the password one has and the one that is to be; resolves to both. */
export function newPassword(who) {
  const field = (label, hint, props) => {
    const input = el('input', { type: 'password', required: true, ...props });
    return { input, label: el('label', { class: 'field' }, el('span', {}, label), input, el('small', {}, hint)) };
  };
  const user = el('input', { type: 'text', autocomplete: 'username', value: who.user, readOnly: true, hidden: true }); // for password managers
  const current = field('Current password', '', { autocomplete: 'current-password', autofocus: true });
  const next = field('New password', 'At least 8 characters. You are logged out everywhere else.', { autocomplete: 'new-password' });
  const answer = () => ({ current: current.input.value, new: next.input.value });
  return ask({ title: 'Change password', act: 'Change', body: [user, current.label, next.label], answer });
}

/** Asks what a room is called and about from now on; resolves to what is another than before. */
export function changeRoom({ title, topic }) {
  const fields = {
    title: el('input', { type: 'text', required: true, maxLength: 128, value: title, autofocus: true }),
    topic: el('input', { type: 'text', maxLength: 512, value: topic ?? '' }),
  };
  const words = () => Object.entries(fields).map(([name, input]) => [name, input.value.trim()]);
  const before = new Map(words()); // as the fields show it
  const body = [
    el('label', { class: 'field' }, el('span', {}, 'Name'), fields.title),
    el('label', { class: 'field' }, el('span', {}, 'Topic'), fields.topic),
  ];
  const answer = () => {
    const changed = words().filter(([name, text]) => text !== before.get(name) && (text || name === 'topic'));
    return changed.length > 0 ? Object.fromEntries(changed) : null;
  };
  return ask({ title: 'Change this room', act: 'Change', body, answer });
}

/** Asks what somebody may do in a room; resolves to the role, if it is another than before. */
export function chooseRole({ name, role }) {
  const choice = (value, label, text) => el('label', { class: 'check' },
    el('input', { type: 'radio', name: 'role', value, checked: value === role, autofocus: value === role }),
    el('span', {}, el('strong', {}, label), ` ${text}`));
  const body = el('div', { class: 'roles', role: 'radiogroup', 'aria-label': 'Role' },
    choice('member', 'Member', 'reads and writes'),
    choice('moderator', 'Moderator', 'also deletes messages and removes members'),
    choice('owner', 'Owner', 'also decides about the room and everybody in it'));
  const answer = () => {
    const { value } = body.querySelector(':checked');
    return value === role ? null : value;
  };
  return ask({ title: `Role of ${name}`, act: 'Change', body: [body], answer });
}

/** Shows the public rooms; resolves to the id of the one to join. */
export function browseRooms(page) {
  let chosen = null;
  const list = el('ul', { class: 'public-rooms' }, el('li', { class: 'empty' }, 'Loading…'));
  const search = el('input', { type: 'search', placeholder: 'Search rooms', 'aria-label': 'Search rooms', autofocus: true });
  const choose = (room, dialog) => {
    chosen = room;
    dialog.close('done');
  };
  let rooms = [];
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = rooms.filter(({ title, name }) => (title || name || '').toLowerCase().includes(wanted));
    const rows = found.map((room) => roomRow(room, page, () => choose(room.room, list.closest('dialog'))));
    list.replaceChildren(...(rows.length > 0 ? rows : [el('li', { class: 'empty' }, 'No public room is left to join.')]));
  };
  search.addEventListener('input', show);
  page.chat.rooms({ which: 'public', limit: 200 }).then((all) => {
    rooms = all.filter(({ room }) => !page.rooms.has(room));
    show();
  }, (error) => list.replaceChildren(el('li', { class: 'empty' }, error.message)));
  return ask({ title: 'Public rooms', body: [search, list], answer: () => chosen });
}

/** Shows the texts that a message had, the latest first. */
export function showEdits(texts) {
  const row = ({ text, author, name, at }) => el('li', {},
    el('small', {}, `${nameOf({ author, name })} · ${moment(at)}`), el('p', { class: 'text', dir: 'auto' }, text));
  const rows = texts.length > 0 ? texts.toReversed().map(row) : [el('li', { class: 'empty' }, 'The message is gone.')];
  return ask({ title: 'Earlier texts', body: [el('ol', { class: 'edits' }, ...rows)], answer: () => null });
}

function roomRow({ title, name, topic }, page, join) {
  return el('li', {}, icon('hash'),
    el('span', {}, el('strong', { dir: 'auto' }, title || name || 'Room without a name'), topic && el('small', {}, topic)),
    el('button', { class: 'primary small', type: 'button', onclick: join }, 'Join'));
}

/** Shows a dialog; resolves when it closes. */
function ask({ title, act, body, answer }) {
  return new Promise((resolve) => {
    const close = el('button', { class: 'icon-button', type: 'button', 'aria-label': 'Close', onclick: () => dialog.close() }, icon('close'));
    const form = el('form', { method: 'dialog', onsubmit: (event) => (event.preventDefault(), dialog.close('done')) },
      el('header', {}, el('h2', {}, title), close), ...body,
      act && el('footer', {}, el('button', { class: 'primary', type: 'submit' }, act)));
    const dialog = el('dialog', { 'aria-label': title }, form);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'done' ? answer() : null);
    });
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The list of rooms, and who is logged in. */

import { avatar, el, reconcile } from './dom.js';
import { icon, mark } from './icons.js';
import { demoBadge } from './login.js';
import { when } from './time.js';

export class Sidebar {
  #list = el('ul', { class: 'rooms' });
  #empty = el('p', { class: 'empty', hidden: true }, 'No rooms yet. Join a public one, or create your own.');

  constructor(page) {
    this.page = page;
    const { who, about } = page;
    this.view = el('nav', { class: 'sidebar', 'aria-label': 'Rooms' },
      el('header', { class: 'brand' }, mark(), el('strong', {}, 'chat-engine'), about.demo && demoBadge()),
      el('div', { class: 'sidebar-acts' },
        el('button', { class: 'quiet', type: 'button', onclick: () => page.browse() }, icon('compass'), 'Browse'),
        el('button', { class: 'quiet', type: 'button', onclick: () => page.create() }, icon('plus'), 'New room')),
      this.#empty, this.#list,
      el('footer', { class: 'me' },
        avatar(who.user, who.name),
        el('span', { class: 'me-name' }, el('strong', {}, who.name), el('small', {}, who.user)),
        el('button', { class: 'icon-button', type: 'button', title: 'Change password', 'aria-label': 'Change password', onclick: () => page.changePassword() }, icon('key')),
        el('button', { class: 'icon-button', type: 'button', title: 'Log out', 'aria-label': 'Log out', onclick: () => page.logout() }, icon('exit'))));
  }

  draw() {
    const rooms = [...this.page.rooms.values()].sort((a, b) => b.active - a.active || (a.id < b.id ? -1 : 1));
    reconcile(this.#list, rooms.map((room) => this.#row(room)));
    this.#empty.hidden = rooms.length > 0 || !this.page.chat.server;
  }

  #row(room) {
    const { who, current } = this.page;
    const label = room.label(who.user);
    const peer = room.visibility === 'direct' ? room.members.find(({ user }) => user !== who.user) ?? room.peer : null;
    const here = Boolean(peer && this.page.isHere(peer.user));
    const preview = previewOf(room.last, who.user);
    const selected = room.id === current;
    const stamp = [label, room.unread, selected, here, preview, room.last?.at].join('\n');
    const make = () => el('li', {},
      el('button', { class: 'room-row', type: 'button', 'aria-current': selected ? 'true' : null, onclick: () => this.page.open(room.id) },
        peer ? el('span', { class: here ? 'room-icon here' : 'room-icon' }, avatar(peer.user, peer.name, 'small'))
          : el('span', { class: 'room-icon' }, icon(room.visibility === 'public' ? 'hash' : 'lock')),
        el('span', { class: 'room-name', dir: 'auto' }, label),
        el('time', {}, room.last ? when(room.last.at) : ''),
        el('span', { class: 'room-preview', dir: 'auto' }, preview),
        room.unread > 0 && el('span', { class: 'count', 'aria-label': `${room.unread} unread` }, room.unread > 99 ? '99+' : `${room.unread}`)));
    return { key: room.id, stamp, make };
  }
}

function previewOf(last, me) {
  if (!last) return 'No messages yet';
  if (last.folded?.deleted) return 'Message deleted';
  const from = last.author === me ? 'You' : last.name;
  return `${from}: ${(last.body.text ?? '').slice(0, 120)}`;
}

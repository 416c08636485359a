/** The head of a room: what it is, and who is there. */

import { el } from './dom.js';
import { icon } from './icons.js';

const KINDS = { public: 'Public room', private: 'Private room', direct: 'Private chat' };

export class Header {
  #title = el('h1', { dir: 'auto' });
  #about = el('p');
  #count = el('span');
  #change;

  constructor(page) {
    this.page = page;
    this.#change = el('button', { class: 'icon-button', type: 'button', title: 'Change this room', 'aria-label': 'Change this room', onclick: () => page.change() }, icon('pen'));
    this.view = el('header', { class: 'room-head' },
      el('button', { class: 'icon-button back', type: 'button', 'aria-label': 'Back to all rooms', onclick: () => page.open(null) }, icon('back')),
      el('div', { class: 'room-title' }, this.#title, this.#about),
      this.#change,
      el('button', { class: 'quiet people-button', type: 'button', 'aria-label': 'Who is here', onclick: () => page.people.toggle() }, icon('people'), this.#count));
  }

  draw() {
    const { room, who } = this.page;
    this.view.hidden = !room;
    if (!room) return;
    const { length } = room.members;
    const here = room.members.filter(({ user }) => this.page.isHere(user)).length;
    const online = this.page.chat.state === 'online';
    this.#title.textContent = room.label(who.user);
    this.#about.textContent = room.topic || KINDS[room.visibility] || '';
    this.#change.hidden = room.role !== 'owner' || room.visibility === 'direct';
    this.#count.textContent = length === 0 ? '' : online ? `${here} of ${length} here` : `${length}`;
  }
}

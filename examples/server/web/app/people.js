/** Who is in the room, and who of them is here now. */

import { avatar, el, reconcile } from './dom.js';
import { askText } from './dialogs.js';
import { icon } from './icons.js';

/** Who may take whom out of a room, by their roles. */
const mayRemove = (mine, theirs) => mine === 'owner' || (mine === 'moderator' && theirs === 'member');

const act = (label, drawing, onclick) =>
  el('button', { class: 'icon-button', type: 'button', title: label, 'aria-label': label, onclick }, icon(drawing));

export class People {
  #list = el('ul', { class: 'members' });
  #add = el('button', { class: 'quiet', type: 'button' }, icon('plus'), 'Add someone');
  #leave = el('button', { class: 'quiet', type: 'button' }, icon('leave'), 'Leave room');
  #open = false;

  constructor(page) {
    this.page = page;
    this.view = el('aside', { class: 'people', 'aria-label': 'Members' },
      el('header', {}, el('h2', {}, 'Members'),
        el('button', { class: 'icon-button', type: 'button', 'aria-label': 'Close', onclick: () => this.toggle(false) }, icon('close'))),
      this.#list, el('footer', {}, this.#add, this.#leave));
    this.#add.addEventListener('click', () => this.#addSomeone());
    this.#leave.addEventListener('click', () => page.leave());
  }

  toggle(open = !this.#open) {
    this.#open = open;
    this.draw();
  }

  draw() {
    const { room } = this.page;
    this.view.hidden = !room || !this.#open;
    if (this.view.hidden) return;
    const direct = room.visibility === 'direct';
    this.#add.hidden = direct || (room.visibility !== 'public' && room.role === 'member');
    this.#leave.hidden = direct;
    const here = ({ user }) => (this.page.isHere(user) ? 0 : 1);
    const names = Map.groupBy(room.members, ({ name }) => name);
    const members = [...room.members].sort((a, b) => here(a) - here(b) || a.name.localeCompare(b.name));
    reconcile(this.#list, members.map((member) => this.#row(member, names.get(member.name).length > 1)));
  }

  #row({ user, name, role }, twin) {
    const { who, room } = this.page;
    const direct = room.visibility === 'direct';
    const promotable = user !== who.user && !direct && room.role === 'owner';
    const removable = user !== who.user && !direct && mayRemove(room.role, role);
    const called = twin ? `${name} (${user})` : name;
    const here = this.page.isHere(user);
    const standing = [twin && user, { true: 'here now', false: 'away' }[here], role !== 'member' && role].filter(Boolean).join(' · ');
    const make = () => el('li', { class: here ? 'here' : '' },
      avatar(user, name, 'small'),
      el('span', { class: 'member-name' },
        el('strong', { dir: 'auto' }, name, user === who.user && el('small', {}, ' (you)')),
        el('small', {}, standing)),
      user !== who.user && !user.startsWith('bot:') && !direct &&
        act(`Write to ${called}`, 'send', () => this.#write(user, called)),
      promotable && act(`Role of ${called}`, 'star', () => this.page.setRole({ user, name: called, role })),
      removable && act(`Remove ${called}`, 'close', () => this.page.removeMember(user, called)));
    return { key: user, stamp: `${name} ${standing} ${removable} ${promotable}`, make };
  }

  async #write(user, name) {
    const known = [...this.page.rooms.values()].find((room) =>
      room.visibility === 'direct' && room.members.some((member) => member.user === user));
    if (known) return this.page.open(known.id);
    const text = await askText({ title: `Write to ${name}`, label: 'Message', act: 'Send' });
    if (text) await this.page.write(user, text);
  }

  async #addSomeone() {
    const user = await askText({ title: 'Add someone', label: 'User name', act: 'Add' });
    if (user) await this.page.add(user);
  }
}

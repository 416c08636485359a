/** Where one writes: grows with the text, knows the commands, remembers what was begun in each room. */

import { el } from './dom.js';
import { icon } from './icons.js';

/** From so few characters before the limit on, the rest is counted. */
const COUNT_FROM = 200;

export class Composer {
  #input = el('textarea', { rows: 1, placeholder: 'Write a message', 'aria-label': 'Message', enterKeyHint: 'send' });
  #send = el('button', { class: 'primary send', type: 'submit', 'aria-label': 'Send' }, icon('send'));
  #left = el('span', { class: 'left' });
  #about = el('div', { class: 'composer-about', hidden: true });
  #hints = el('ul', { class: 'hints', role: 'listbox', 'aria-label': 'Commands', hidden: true });
  #begun = new Map();
  #room = null;
  #reply = null;
  #edit = null;
  #hint = 0;
  /** The room has just been opened, and there is a keyboard to type with. */
  #wanted = false;

  constructor(page) {
    this.page = page;
    this.view = el('form', { class: 'composer', onsubmit: (event) => this.#submit(event) },
      this.#hints, this.#about, el('div', { class: 'composer-row' }, this.#input, this.#left, this.#send));
    this.#input.addEventListener('input', () => this.#typed());
    this.#input.addEventListener('keydown', (event) => this.#key(event));
  }

  draw() {
    const { room, who } = this.page;
    const appears = this.view.hidden && room;
    this.view.hidden = !room;
    if (room) this.#input.placeholder = `Write to ${room.label(who.user)}`;
    if (appears) this.#size(); // what is hidden has no height
    if (room && this.#wanted) this.#input.focus();
    this.#wanted = false;
  }

  /** Begins in another room, with what was begun there. */
  reset() {
    if (this.#room === this.page.current) return;
    if (this.#room) this.#begun.set(this.#room, this.#edit ? '' : this.#input.value);
    this.#room = this.page.current;
    this.#reply = null;
    this.#edit = null;
    this.fill(this.#begun.get(this.#room) ?? '', false);
    this.#wanted = matchMedia('(hover: hover)').matches; // what is hidden takes no focus: the next draw gives it
  }

  reply(message) {
    this.#edit = null;
    this.#reply = message;
    this.fill(this.#input.value);
  }

  edit(message) {
    this.#reply = null;
    this.#edit = message;
    this.fill(message.body.text);
  }

  fill(text, focus = true) {
    this.#input.value = text;
    this.#size();
    this.#tell();
    if (focus) this.#input.focus();
  }

  /** Gives the box the focus. */
  focus() {
    this.#input.focus();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (!text || this.#over() > 0) return;
    const replyTo = this.#reply?.seq;
    const taken = this.#edit ? this.page.edit(this.#edit, text) : this.page.send(text, { replyTo });
    if (!taken) return;
    if (!this.#edit) this.page.timeline.toEnd();
    this.#cancel();
    this.fill('');
  }

  #typed() {
    this.#size();
    this.#hint = 0;
    this.#tell();
    const text = this.#input.value;
    // A command is nobody's business until it is given.
    if (!text.startsWith('/')) this.page.chat.typing(this.page.current, text !== '');
  }

  #key(event) {
    if (event.isComposing) return;
    const hints = this.#matching();
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (hints.length > 0 && move) {
      event.preventDefault();
      this.#hint = (this.#hint + move + hints.length) % hints.length;
      this.#tell();
    } else if (hints.length > 0 && (event.key === 'Tab' || (event.key === 'Enter' && !event.shiftKey))) {
      event.preventDefault();
      this.#complete(hints[this.#hint]);
    } else if (event.key === 'Enter' && !event.shiftKey) {
      this.#submit(event);
    } else if (event.key === 'Escape' && (this.#reply || this.#edit)) {
      this.#dismiss();
    } else if (event.key === 'ArrowUp' && this.#input.value === '') {
      this.#editLast(event);
    }
  }

  #editLast(event) {
    const { room, who } = this.page;
    const last = room?.messages.findLast((one) => one.author === who.user && one.body.kind === 'text' && !one.folded?.deleted);
    if (!last) return;
    event.preventDefault();
    this.edit(last);
  }

  /** Lists the commands that what is typed so far may become. */
  #matching() {
    const found = /^\/([a-z0-9_-]*)$/.exec(this.#input.value);
    if (!found || this.#edit) return [];
    return (this.page.chat.server?.commands ?? []).filter(({ name }) => name.startsWith(found[1])).slice(0, 8);
  }

  #complete({ name, help }) {
    this.fill(`/${name}${help.includes('=') ? '=' : ' '}`);
  }

  #tell() {
    this.#tellHints();
    this.#tellAbout();
    const over = this.#over();
    this.#left.textContent = over > 0 ? `${over} too many` : over > -COUNT_FROM ? `${-over} left` : '';
    this.#left.classList.toggle('over', over > 0);
    this.#send.disabled = this.#input.value.trim() === '' || over > 0;
  }

  #tellHints() {
    const hints = this.#matching();
    this.#hints.hidden = hints.length === 0;
    this.#hints.replaceChildren(...hints.map((hint, i) =>
      el('li', { role: 'option', 'aria-selected': `${i === this.#hint}`, onmousedown: (event) => event.preventDefault(), onclick: () => this.#complete(hint) },
        el('strong', {}, `/${hint.name}`), el('span', {}, hint.help))));
  }

  #tellAbout() {
    const about = this.#edit ?? this.#reply;
    this.#about.hidden = !about;
    if (!about) return;
    this.#about.replaceChildren(
      icon(this.#edit ? 'pen' : 'reply'),
      el('span', {}, this.#edit ? 'Editing your message' : `Replying to ${about.name}`),
      el('button', { class: 'icon-button', type: 'button', 'aria-label': 'Cancel', onclick: () => this.#dismiss() }, icon('close')));
  }

  #dismiss() {
    const text = this.#edit ? '' : this.#input.value;
    this.#cancel();
    this.fill(text);
  }

  #cancel() {
    this.#reply = null;
    this.#edit = null;
  }

  #over() {
    return Array.from(this.#input.value).length - (this.page.chat.server?.limits.text_chars ?? 4_000);
  }

  #size() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }
}

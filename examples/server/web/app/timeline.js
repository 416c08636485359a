/**
 * The messages of a room: keeps its place while the past is added above, and its end in view while it is.
 *
 * For the keyboard it is one stop: the arrows go from message to message and along what can be done with one, Escape
 * goes back to writing.
 */

import { el, reconcile } from './dom.js';
import { icon } from './icons.js';
import { rows } from './items.js';
import { rowView } from './message.js';

/** So near to the top, older messages are read. */
const AHEAD_PX = 400;
/** So near to the end counts as at the end. */
const SLACK_PX = 40;

export class Timeline {
  #top = el('div', { class: 'timeline-top' });
  #rows = el('ol', { class: 'rows' });
  #jump = el('button', { class: 'jump', type: 'button', hidden: true }, icon('down'), 'Latest messages');
  #typing = el('div', { class: 'typing', 'aria-live': 'polite' });
  #scroller = el('div', { class: 'scroller', tabIndex: 0, role: 'log', 'aria-label': 'Messages' }, this.#top, this.#rows);
  #welcome;
  #shown = null;
  #height = 0;
  atEnd = true;

  constructor(page) {
    this.page = page;
    this.#welcome = welcomeView(page);
    this.view = el('section', { class: 'timeline' }, this.#welcome, this.#scroller, this.#jump, this.#typing);
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener('click', () => this.toEnd());
    this.#scroller.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.#scroller);
  }

  draw() {
    const { room, who } = this.page;
    this.#welcome.hidden = Boolean(room);
    this.#scroller.hidden = !room;
    if (!room) {
      this.#shown = null;
      this.#jump.hidden = true;
      this.#typing.textContent = '';
      return;
    }
    const fresh = this.#shown !== room;
    this.#measure(); // the event of a scroll that just happened may be still to come
    const place = fresh || this.atEnd ? null : this.#place();
    this.#shown = room;
    this.#top.textContent = topText(room);
    reconcile(this.#rows, rows(room, who, this.page.chat.state === 'online').map((row) => ({ ...row, make: () => rowView(row, this.page) })));
    if (place) this.#putBack(place);
    else this.toEnd();
    this.#typing.textContent = typingText(room);
    this.#jump.hidden = this.atEnd;
    this.#fill();
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.atEnd = true;
    this.#jump.hidden = true;
    this.page.look();
  }

  /** Lets go of a message that was acted on: on a touch screen its tools would stay. */
  leave() {
    if (this.#scroller.contains(document.activeElement)) document.activeElement.blur();
  }

  /** Shows a message that is loaded, and points at it. */
  show(seq) {
    const node = this.#rows.querySelector(`[data-seq="${seq}"]`);
    if (!node) return;
    node.scrollIntoView({ block: 'center' });
    node.classList.remove('flash');
    void node.offsetWidth; // lets the animation begin anew
    node.classList.add('flash');
  }

  /** Returns the first message in view and where it stands; the name of a day moves up with what is put before it. */
  #place() {
    const { top } = this.#scroller.getBoundingClientRect();
    const node = [...this.#rows.querySelectorAll('.message')].find((row) => row.getBoundingClientRect().bottom > top);
    return node && { key: node.dataset.key, top: node.getBoundingClientRect().top };
  }

  /** Scrolls so that the row stands where it stood; it may have been drawn anew under the same key. */
  #putBack({ key, top }) {
    const node = [...this.#rows.children].find((row) => row.dataset.key === key);
    if (node) this.#scroller.scrollTop += node.getBoundingClientRect().top - top;
  }

  /** Tells from where the reader is whether they are at the end. A view that became smaller is not a reader who moved. */
  #measure() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const same = clientHeight === this.#height;
    this.#height = clientHeight;
    if (same) this.atEnd = scrollHeight - scrollTop - clientHeight < SLACK_PX;
  }

  #key(event) {
    const messages = [...this.#rows.querySelectorAll('.message')];
    const message = document.activeElement.closest('.message');
    const up = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') this.page.composer.focus();
    else if (up) (message ? messages[messages.indexOf(message) + up] : messages.at(up < 0 ? -1 : 0))?.focus();
    else if (along && message) stepAlong(message, along);
    else return;
    event.preventDefault();
  }

  #scrolled() {
    this.#measure();
    this.#jump.hidden = this.atEnd;
    if (this.atEnd) this.page.look();
    this.#fill();
  }

  /** Reads on while the top is in or near view. */
  #fill() {
    if (this.#scroller.scrollTop < AHEAD_PX) this.page.older();
  }
}

/** Moves the focus between a message and what can be done with it. */
function stepAlong(message, by) {
  const stops = [message, ...message.querySelectorAll('.tools button')];
  stops[stops.indexOf(document.activeElement) + by]?.focus();
}

function topText(room) {
  if (!room.loaded) return 'Loading…';
  return room.complete ? 'This is the beginning.' : 'Loading earlier messages…';
}

function typingText(room) {
  const now = Date.now();
  const names = [...room.typing.values()].filter(({ until }) => until > now).map(({ name }) => name);
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are typing…';
  return `${new Intl.ListFormat('en', { type: 'conjunction' }).format(names)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

function welcomeView(page) {
  return el('div', { class: 'welcome' },
    el('h2', {}, 'Where would you like to talk?'),
    el('p', {}, 'Rooms you are in are on the left. Join a public one, or start your own.'),
    el('div', { class: 'welcome-acts' },
      el('button', { class: 'primary', type: 'button', onclick: () => page.browse() }, 'Find a room'),
      el('button', { class: 'quiet', type: 'button', onclick: () => page.create() }, icon('plus'), 'Start a room')));
}

/** Tells whether the page is connected, and what that means for what one types. */

import { el } from './dom.js';

/** A connection that comes back this fast is not worth a word. */
const PATIENCE_MS = 700;
/** How long "back" is said. */
const BACK_MS = 2_500;

export class Banner {
  #text = el('span');
  #button = el('button', { class: 'link', type: 'button' });
  #timer = null;
  #down = false;

  constructor(page) {
    this.page = page;
    this.view = el('div', { class: 'banner', role: 'status', 'aria-live': 'polite', hidden: true }, this.#text, this.#button);
    this.#button.addEventListener('click', () => (page.chat.state === 'closed' ? page.chat.connect() : page.chat.wake()));
  }

  show({ state, reason, code }) {
    clearTimeout(this.#timer);
    if (state === 'online') this.#back();
    else if (state === 'closed') this.#say('down', `Disconnected: ${reason || `code ${code}`}.`, 'Connect again');
    else if (this.#down) this.#lost(state, code);
    else this.#timer = setTimeout(() => this.#lost(this.page.chat.state, code), PATIENCE_MS);
  }

  #lost(state, code) {
    if (state === 'online') return;
    const why = code === 1012 ? 'The server is restarting.' : 'You are offline.';
    const text = state === 'connecting' ? 'Connecting…' : `${why} What you write is sent when the connection is back.`;
    this.#down = true;
    this.#say(state, text, state === 'offline' ? 'Try now' : '');
  }

  #back() {
    if (!this.#down) return this.#hide();
    this.#down = false;
    this.#say('online', 'Connected again.', '');
    this.#timer = setTimeout(() => this.#hide(), BACK_MS);
  }

  #say(state, text, act) {
    this.view.hidden = false;
    this.view.dataset.state = state;
    this.#text.textContent = text;
    this.#button.textContent = act;
    this.#button.hidden = !act;
  }

  #hide() {
    this.view.hidden = true;
    this.view.dataset.state = 'online';
  }
}

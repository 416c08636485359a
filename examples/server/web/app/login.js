/** The door: log in, or make an account. */

import { login, register } from './accounts.js';
import { el, sentence } from './dom.js';
import { mark } from './icons.js';

const WORDS = {
  login: { title: 'Welcome back', act: 'Log in', other: 'New here?', swap: 'Create an account' },
  register: { title: 'Create your account', act: 'Create account', other: 'Already have one?', swap: 'Log in' },
};

/** Shows the form; calls `done` with who logged in. */
export function loginView({ about, notice, done }) {
  let mode = 'login';
  const error = el('p', { class: 'form-error', role: 'alert', hidden: true });
  const title = el('h1');
  const submit = el('button', { class: 'primary', type: 'submit' });
  const other = el('span');
  const swap = el('button', { class: 'link', type: 'button', onclick: () => show(mode === 'login' ? 'register' : 'login') });
  const user = field('User name', { name: 'user', autocomplete: 'username', required: true, maxLength: 64, autocapitalize: 'none', spellcheck: false });
  const name = field('Display name', { name: 'name', autocomplete: 'nickname', maxLength: 64, placeholder: 'as others see you' });
  const password = field('Password', { name: 'password', type: 'password', required: true });

  const form = el('form', { class: 'login-card', onsubmit: send },
    title,
    notice && el('p', { class: 'form-notice' }, notice),
    user.label, name.label, password.label, error, submit,
    el('p', { class: 'swap' }, other, ' ', swap));

  async function send(event) {
    event.preventDefault();
    error.hidden = true;
    submit.disabled = true;
    const account = { user: user.input.value.trim(), password: password.input.value };
    try {
      if (mode === 'register') await register({ ...account, name: name.input.value.trim() || account.user });
      done(await login(account));
    } catch (refusal) {
      error.textContent = sentence(refusal.message);
      error.hidden = false;
      password.input.select();
    } finally {
      submit.disabled = false;
    }
  }

  function show(next) {
    mode = next;
    const words = WORDS[mode];
    title.textContent = words.title;
    submit.textContent = words.act;
    other.textContent = words.other;
    swap.textContent = words.swap;
    name.label.hidden = mode === 'login';
    password.input.autocomplete = mode === 'login' ? 'current-password' : 'new-password';
    password.hint.textContent = mode === 'login' ? '' : 'At least 8 characters';
    error.hidden = true;
    user.input.focus();
  }

  show('login');
  queueMicrotask(() => user.input.focus());
  return el('main', { class: 'login' },
    el('div', { class: 'login-brand' }, mark(), el('strong', {}, 'chat-engine'), about.demo && demoBadge()),
    form);
}

/** Says that quotes are made up here. */
export const demoBadge = () => el('span', { class: 'badge demo', title: 'This server answers /stock with sample data' }, 'demo quotes: sample data');

function field(text, props) {
  const input = el('input', { type: 'text', ...props });
  const hint = el('small');
  return { input, hint, label: el('label', { class: 'field' }, el('span', {}, text), input, hint) };
}

/** The chat page: shows the login, or the chat of who is logged in. */

import { info, me } from './app/accounts.js';
import { ChatPage } from './app/page.js';
import { loginView } from './app/login.js';

const root = document.getElementById('app');

async function start() {
  const [about, who] = await Promise.all([info(), me()]);
  if (who) openChat(who, about);
  else openLogin(about);
}

function openLogin(about, notice) {
  root.replaceChildren(loginView({ about, notice, done: (who) => openChat(who, about) }));
}

function openChat(who, about) {
  const page = new ChatPage({ who, about, ended: (notice) => openLogin(about, notice) });
  root.replaceChildren(page.view);
  page.start();
}

start();

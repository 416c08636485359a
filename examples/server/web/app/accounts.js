/** The few things that are asked over plain HTTP: accounts, and what a message once said. Everything else goes over the chat connection. */

/** Is an answer that says no; the message is fit to be shown. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Returns who is logged in, or `null`. Throws when it cannot be told now. */
export async function me() {
  const answer = await fetch('/api/me', { headers: { accept: 'application/json' } });
  if (answer.status === 401) return null;
  return read(answer);
}

/** Returns what the server says about itself; a page without it works too. */
export async function info() {
  try {
    return await read(await fetch('/api/info'));
  } catch {
    return { demo: false, version: '' };
  }
}

/** Returns the texts that a message had, the first one first. */
export async function edits({ room, seq }) {
  return (await read(await fetch(`/chat/rooms/${room}/messages/${seq}/edits`))).texts;
}

export const register = (account) => post('/api/register', account);
export const login = (account) => post('/api/login', account);
/** Takes another password; all other logins of the user end. */
export const changePassword = (passwords) => post('/api/password', passwords);
export const logout = () => post('/api/logout', {});

async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  let answer;
  try {
    answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  } catch {
    throw new Refused(0, 'The server cannot be reached. Please try again.');
  }
  return read(answer);
}

async function read(answer) {
  const body = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return body;
  throw new Refused(answer.status, body?.message ?? `The server answered with an error (${answer.status}).`);
}

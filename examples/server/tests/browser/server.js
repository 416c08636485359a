/** The chat server under test: started, killed and started again on the same port and database. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS = 20_000;

export class Server {
  #process = null;
  #folder = null;
  #listen = '127.0.0.1:0';

  /** Without a URL of quotes, bots are elsewhere. */
  constructor(quoteUrl, flags = []) {
    this.quotes = quoteUrl ? ['--quote-url', quoteUrl, '--quote-private'] : [];
    this.flags = flags;
    this.program = process.env.CHAT_SERVER_BIN;
    if (!this.program) throw new Error('set CHAT_SERVER_BIN to the path of chat-server');
  }

  /** Starts the server and waits until it says where it listens. */
  async start() {
    this.#folder ??= await mkdtemp(join(tmpdir(), 'chat-browser-'));
    const store = this.flags.includes('--store') ? [] : ['--store', `sqlite:${join(this.#folder, 'chat.db')}`];
    const flags = ['--listen', this.#listen, '--admin', 'off', ...store, ...this.quotes, ...this.flags];
    const child = spawn(this.program, flags, { cwd: this.#folder, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = child;
    this.url = await listening(child);
    this.#listen = new URL(this.url).host;
  }

  /** Ends the server without any chance to say goodbye. */
  async kill() {
    if (this.#process?.exitCode !== null || this.#process.signalCode) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  async remove() {
    await this.kill();
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
  }
}

async function listening(child) {
  const lines = createInterface({ input: child.stdout });
  const late = setTimeout(() => child.kill('SIGKILL'), START_MS);
  try {
    for await (const line of lines) {
      const found = /listening on (https?:\/\/[^\s"]+)/.exec(line);
      if (found) return found[1];
    }
    throw new Error(`the server ended, or did not listen within ${START_MS} ms`);
  } finally {
    clearTimeout(late);
    child.stdout.resume(); // a full pipe would stop the server
  }
}

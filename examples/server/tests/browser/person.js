/** A person in front of a browser of their own. */

import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const PATIENCE_MS = 15_000;

export class Person {
  /** Everything that the page complained about; empty at the end of a good day. */
  complaints = [];
  #typing = Promise.resolve();

  static async arrive(user, name, url, device = { viewport: { width: 1000, height: 700 } }) {
    const person = new Person();
    Object.assign(person, { user, name, url, password: `the password of ${user}` });
    person.browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    const context = await person.browser.newContext(device);
    person.page = await context.newPage();
    person.page.setDefaultTimeout(PATIENCE_MS);
    person.page.on('pageerror', (error) => person.complaints.push(error.stack));
    person.page.on('dialog', (dialog) => person.complaints.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    person.page.on('console', (line) => /Content.Security.Policy|listener failed/.test(line.text()) && person.complaints.push(line.text()));
    await person.page.goto(url);
    return person;
  }

  async register() {
    await this.page.getByRole('button', { name: 'Create an account' }).click();
    await this.page.getByLabel('User name').fill(this.user);
    await this.page.getByLabel('Display name').fill(this.name);
    await this.page.getByLabel('Password').fill(this.password);
    await this.page.getByRole('button', { name: 'Create account' }).click();
    await this.page.getByRole('button', { name: 'New room' }).waitFor();
  }

  async login(password = this.password) {
    await this.page.getByLabel('User name').fill(this.user);
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Log in' }).click();
  }

  async createRoom(title) {
    await this.page.getByRole('button', { name: 'New room' }).click();
    await this.page.getByLabel('Name', { exact: true }).fill(title);
    await this.page.getByRole('button', { name: 'Create room' }).click();
    await this.page.getByRole('heading', { name: title }).waitFor();
  }

  async joinRoom(title) {
    await this.page.getByRole('button', { name: 'Browse' }).click();
    await this.page.getByRole('listitem').filter({ hasText: title }).getByRole('button', { name: 'Join' }).click();
    await this.page.getByRole('heading', { name: title }).waitFor();
  }

  /** Types and sends; one thing after the other, as a person has one keyboard. */
  say(text) {
    this.#typing = this.#typing.then(async () => {
      const input = this.page.getByRole('textbox', { name: 'Message' });
      await input.fill(text);
      await input.press('Enter');
    });
    return this.#typing;
  }

  /** Returns what the room shows as said, oldest first, as `name: text`; what is still on its way is not said yet. */
  said() {
    return this.page.evaluate(() => {
      let name = '';
      return [...document.querySelectorAll('.rows > .message:not(.draft)')].map((row) => {
        name = row.querySelector('.by strong')?.textContent ?? name;
        return `${name}: ${row.querySelector('.text').textContent}`;
      });
    });
  }

  /** Waits until the room shows what `test` wants; fails with what it shows instead. */
  async sees(what, test, patience = PATIENCE_MS) {
    const deadline = Date.now() + patience;
    for (;;) {
      const said = await this.said();
      if (test(said)) return said;
      assert.ok(Date.now() < deadline, `${this.name} does not see ${what}; the last words are\n${said.slice(-8).join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Asks the server for the whole history of the open room, page by page. */
  async history() {
    const room = /room\/([0-9a-f-]+)/.exec(this.page.url())[1];
    const all = [];
    for (let page, before = ''; page?.length !== 0; before = `&before=${all[0]?.seq}`) {
      const answer = await this.page.request.get(`${this.url}/chat/rooms/${room}/messages?limit=50${before}`);
      assert.equal(answer.status(), 200);
      page = (await answer.json()).entries;
      all.unshift(...page);
    }
    return all;
  }

  async leave() {
    await this.browser.close();
  }
}

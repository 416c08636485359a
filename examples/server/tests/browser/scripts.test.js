/**
 * What strangers write is shown and never run (S16); links lead to the web and nowhere else (S17).
 *
 * CHAT_SERVER_BIN=../../../../target/debug/chat-server node --test
 */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';

import { Person } from './person.js';
import { startQuotes } from './quotes.js';
import { Server } from './server.js';

const HACK = 'window.hacked=(window.hacked||0)+1';

/** Sixty ways to have a script run, if anything here were HTML, a URL, a style or a template. */
const PAYLOADS = [
  `<script>${HACK}</script>`,
  `<ScRiPt >${HACK}</sCrIpT>`,
  `<script src=data:text/javascript,${HACK}></script>`,
  `<script src=//evil.example/x.js></script>`,
  `<script type=module>${HACK}</script>`,
  `<scr<script>ipt>${HACK}</scr</script>ipt>`,
  `</p><script>${HACK}</script>`,
  `</textarea><script>${HACK}</script>`,
  `</title><script>${HACK}</script>`,
  `</style><script>${HACK}</script>`,
  `--><script>${HACK}</script>`,
  `]]><script>${HACK}</script>`,
  `<noscript><p title="</noscript><img src=x onerror=${HACK}>">`,
  `<img src=x onerror="${HACK}">`,
  `<img src=x onerror=${HACK}//`,
  `<img/src/onerror=${HACK}>`,
  `<IMG SRC=x ONERROR=&#119;indow.hacked=1>`,
  `<img src="javascript:${HACK}">`,
  `<image src=x onerror=${HACK}>`,
  `<svg onload=${HACK}>`,
  `<svg><script>${HACK}</script></svg>`,
  `<svg><animate onbegin=${HACK} attributeName=x dur=1s>`,
  `<svg><a xlink:href="javascript:${HACK}"><text y=20>click</text></a></svg>`,
  `<math href="javascript:${HACK}">click</math>`,
  `<math><mtext></form><form><mglyph><style></math><img src onerror=${HACK}>`,
  `<iframe src="javascript:${HACK}"></iframe>`,
  `<iframe srcdoc="<script>parent.${HACK}</script>"></iframe>`,
  `<object data="javascript:${HACK}"></object>`,
  `<embed src="javascript:${HACK}">`,
  `<video><source onerror=${HACK}></video>`,
  `<audio src=x onerror=${HACK}>`,
  `<body onload=${HACK}>`,
  `<details open ontoggle=${HACK}>`,
  `<input autofocus onfocus=${HACK}>`,
  `<select autofocus onfocus=${HACK}>`,
  `<textarea autofocus onfocus=${HACK}>`,
  `<button popovertarget=x>x</button><div popover id=x onbeforetoggle=${HACK}>`,
  `<marquee onstart=${HACK}>`,
  `<form action="javascript:${HACK}"><input type=submit autofocus>`,
  `<isindex action="javascript:${HACK}" type=image>`,
  `<base href="javascript:${HACK}//">`,
  `<link rel=stylesheet href="javascript:${HACK}">`,
  `<link rel=import href="data:text/html,<script>${HACK}</script>">`,
  `<meta http-equiv=refresh content="0;url=javascript:${HACK}">`,
  `<style>@import 'javascript:${HACK}';*{animation:x}</style>`,
  `<div style="background:url(javascript:${HACK})">`,
  `<p style="animation:x" onanimationstart=${HACK}>`,
  `<template><script>${HACK}</script></template>`,
  `<x onpointerrawupdate=${HACK} style=position:fixed;inset:0>`,
  `<a href="javascript:${HACK}">click</a>`,
  `javascript:${HACK}`,
  `JaVaScRiPt:${HACK}`,
  `java\tscript:${HACK}`,
  `data:text/html,<script>${HACK}</script>`,
  `vbscript:${HACK}`,
  `" onmouseover="${HACK}`,
  `' autofocus onfocus='${HACK}`,
  `\`\${${HACK}}\``,
  `{{constructor.constructor('${HACK}')()}}`,
  `&lt;script&gt;${HACK}&lt;/script&gt;`,
];

/** What the page never makes by itself: only files of ours, and no image but its sign. */
const FOREIGN = 'iframe, object, embed, video, audio, math, form:not(#app form, dialog form), base, meta[http-equiv=refresh], '
  + 'script:not([src^="/"]), style, link:not([href^="/"]), img:not([src="/icon.svg"]), template, marquee, [onerror], [onload], [onfocus], [onclick]';

let quotes, server, mallory, ann;

before(async () => {
  quotes = await startQuotes();
  server = new Server(quotes.template, ['--load-profile']);
  await server.start();
  [mallory, ann] = await Promise.all([Person.arrive('mallory', PAYLOADS[0].slice(0, 60), server.url), Person.arrive('ann', 'Ann', server.url)]);
  await mallory.register();
  await ann.register();
});

after(async () => {
  await Promise.all([mallory?.leave(), ann?.leave()]);
  await server?.remove();
  quotes?.close();
});

/** Some payloads are more than a field takes; those that are refused are shown nowhere. */
const mayBeRefused = () => {};

/** A key as clients make them: a UUID of version 7. */
function key() {
  const hex = Date.now().toString(16).padStart(12, '0') + randomBytes(10).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function post(path, data) {
  const answer = await mallory.page.request.post(server.url + path, { data: { key: key(), ...data }, headers: { origin: server.url } });
  assert.ok(answer.ok(), `${path}: ${answer.status()} ${await answer.text()}`);
  return answer.json();
}

const say = (room, body) => post(`/chat/rooms/${room}/messages`, { body });

/** Fails if anything on the page ran, or has become more than text. */
async function isCalm(person, what) {
  assert.equal(await person.page.evaluate(() => window.hacked), undefined, what);
  assert.deepEqual(await person.page.evaluate((foreign) => [...document.querySelectorAll(foreign)].map((node) => node.outerHTML), FOREIGN), [], what);
  assert.deepEqual(person.complaints, [], what);
}

test('there are sixty payloads, and one that becomes HTML runs', async () => {
  assert.equal(PAYLOADS.length, 60);
  const page = await ann.page.context().newPage();
  await page.setContent(PAYLOADS[13]);
  await page.waitForFunction(() => window.hacked);
  await page.close();
});

test('sixty messages, replies and edits are shown as they were typed', async () => {
  const { room } = await post('/chat/rooms', { spec: { title: 'Markup', visibility: 'public' } });
  for (const text of PAYLOADS) {
    const { seq } = await say(room, { kind: 'text', text });
    await say(room, { kind: 'text', text: 'as I said', reply_to: seq });
    await say(room, { kind: 'shop.order', text, data: { text } });
    await say(room, { kind: 'react', target: seq, emoji: '<svg onload=alert(1)>', on: true }).catch(mayBeRefused);
  }
  const { seq } = await say(room, { kind: 'text', text: 'innocent' });
  await say(room, { kind: 'edit', target: seq, text: PAYLOADS[13] });
  await ann.joinRoom('Markup');
  await ann.sees('the last message', (said) => said.some((line) => line.includes(PAYLOADS.at(-1))));
  for (let shown = 0; ; ) {
    const rows = await ann.page.locator('.rows > .message').count();
    if (rows === shown) break;
    shown = rows;
    await ann.page.locator('.scroller').evaluate((node) => node.scrollTo(0, 1));
    await ann.page.waitForTimeout(300);
  }
  const said = await ann.said();
  const quoted = await ann.page.locator('.quote').allTextContents();
  for (const text of PAYLOADS) {
    const flat = text.replace(/\t/g, ' ');
    const holds = (line) => line.replace(/\t/g, ' ').includes(flat);
    assert.ok(said.some(holds), `as a message: ${text}`);
    assert.ok(quoted.some(holds), `as a quote: ${text}`);
  }
  await isCalm(ann, 'messages');
});

test('titles, topics, names, command lines and quotes are text too', async () => {
  for (const text of PAYLOADS.filter((payload) => payload.length <= 100 && !payload.includes('\t'))) {
    const { room } = await post('/chat/rooms', { spec: { title: text, topic: text, visibility: 'public' } });
    await say(room, { kind: 'text', text: `/stock=${text}` }).catch(mayBeRefused);
    await say(room, { kind: 'room', change: 'set', topic: `again ${text}` });
  }
  await ann.page.getByRole('button', { name: 'Browse' }).click();
  await ann.page.getByText(PAYLOADS[0]).first().waitFor();
  await isCalm(ann, 'the list of rooms');
  await ann.page.keyboard.press('Escape');
  const title = PAYLOADS[13];
  await ann.page.goto(server.url);
  await ann.joinRoom(title);
  await ann.page.getByText(`again ${title}`).first().waitFor();
  for (const command of ['/stock=<img src=x onerror=alert(1)>', `/<svg/onload=alert(1)> ${PAYLOADS[0]}`]) {
    await ann.say(command);
    await ann.page.locator('.note.error', { hasText: command }).waitFor();
  }
  await ann.say('/stock=evil.us');
  await ann.sees('the answer of a quote service gone bad', (said) => said.some((line) => line.includes('EVIL.US')));
  assert.ok(await ann.page.getByText(mallory.name).count(), 'the name is shown');
  await isCalm(ann, 'a room with a bad name');
});

test('nothing inline is allowed even if markup came through', async () => {
  const { headers } = await ann.page.request.get(server.url).then((answer) => ({ headers: answer.headers() }));
  const policy = headers['content-security-policy'];
  for (const word of ["'unsafe-inline'", "'unsafe-eval'", '*', 'data:;', 'blob:', 'http:', 'https:']) {
    assert.ok(!policy.replace('img-src \'self\' data:', '').includes(word), `${word} in ${policy}`);
  }
  const blocked = await ann.page.evaluate(async (hack) => {
    const done = new Promise((resolve) => document.addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective)));
    const script = document.createElement('script');
    script.textContent = hack;
    document.body.append(script);
    script.remove();
    return done;
  }, HACK);
  assert.match(blocked, /script-src/);
  assert.equal(await ann.page.evaluate(() => window.hacked), undefined);
  ann.complaints.length = 0; // it complained, as it should
});

test('only web addresses become links, and what they open knows nothing of us', async () => {
  const { room } = await post('/chat/rooms', { spec: { title: 'Links', visibility: 'public' } });
  const good = ['https://example.org/a?b=c#d', 'http://example.org', 'https://example.org/%22onmouseover=alert'];
  const bad = ['javascript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'ftp://x/', 'blob:https://x/1', '//evil.example', 'javascript://https://x%0aalert(1)', 'https://'];
  for (const text of [...good, ...bad]) await say(room, { kind: 'text', text: `see ${text} there` });
  await say(room, { kind: 'text', text: 'https://example.org/"onmouseover="window.hacked=1' });
  await ann.page.goto(server.url);
  await ann.joinRoom('Links');
  await ann.sees('all', (said) => said.length > good.length + bad.length);
  const links = await ann.page.locator('.rows a').evaluateAll((nodes) => nodes.map((node) => ({
    href: node.href, protocol: node.protocol, rel: node.rel, target: node.target, attributes: node.getAttributeNames().sort().join(),
  })));
  for (const { href, protocol, rel, target, attributes } of links) {
    assert.match(protocol, /^https?:$/, href);
    assert.ok(rel.split(' ').includes('noopener') && rel.split(' ').includes('noreferrer'), href);
    assert.deepEqual([target, attributes], ['_blank', 'href,rel,target'], href);
  }
  const hrefs = links.map(({ href }) => href);
  for (const url of good) assert.ok(hrefs.includes(new URL(url).href), url);
  assert.equal(hrefs.filter((href) => href.includes('evil')).length, 0);
  await isCalm(ann, 'links');
});

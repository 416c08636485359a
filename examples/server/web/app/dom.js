/** Small help with the document. Text only ever becomes text: nothing here takes HTML. */

/** Makes an element. `props` are properties; `class`, `dataset`, `on…` and `aria…`/`role` are what they say. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === 'class') node.className = value;
    else if (name === 'dataset') Object.assign(node.dataset, value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role') node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/** A page in the background has no frames; its title still tells what is new. */
const NO_FRAME_MS = 300;

/** Returns a function that runs `act` once in the next frame, however often it is called. */
export function nextFrame(act) {
  let frame = null;
  let timer = null;
  const run = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = null;
    act();
  };
  return () => {
    if (frame !== null) return;
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, NO_FRAME_MS);
  };
}

/** Makes a list show `items` ({ key, stamp, make }), touching only what changed, so that selections and focus stay. */
export function reconcile(parent, items) {
  const wanted = new Set(items.map(({ key }) => key));
  const old = new Map();
  for (const node of [...parent.children]) {
    if (wanted.has(node.dataset.key)) old.set(node.dataset.key, node);
    else node.remove(); // first, else everything after it would be moved
  }
  let place = parent.firstElementChild;
  for (const { key, stamp, make } of items) {
    let node = old.get(key);
    if (!node || node.dataset.stamp !== stamp) {
      const fresh = make();
      Object.assign(fresh.dataset, { key, stamp });
      const refocus = node?.contains(document.activeElement) && counterpart(document.activeElement, node, fresh);
      node?.replaceWith(fresh);
      if (refocus) refocus.focus();
      if (node && place === node) place = fresh;
      node = fresh;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
}

/** Returns what stands in a new node where `focused` stands in the old one. */
const counterpart = (focused, node, fresh) =>
  (focused === node ? fresh : fresh.querySelector(`[aria-label="${CSS.escape(focused.getAttribute('aria-label') ?? '')}"]`));

/** Says something for a few seconds, in nobody's way. */
export function toast(text, kind = 'info') {
  const node = el('div', { class: `toast ${kind}` }, text);
  document.getElementById('toasts').append(node);
  setTimeout(() => node.remove(), 6_000);
}

/** Makes `not found` a sentence. */
export const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

/** Makes a picture of a person: initials on a colour of their own. */
export function avatar(user, name, extra = '') {
  const node = el('span', { class: `avatar ${extra}`, 'aria-hidden': 'true' }, initials(name || user));
  node.style.setProperty('--hue', hue(user));
  return node;
}

function initials(name) {
  const words = name.replace(/^bot:/, '').split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => Array.from(word)[0].toUpperCase()).join('') || '?';
}

function hue(text) {
  let hash = 7;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) % 3_600;
  return hash / 10;
}

/** Days and times as people read them, in their own language and zone. */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dated = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const short = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** `14:05` */
export const time = (ms) => clock.format(ms);

/** Everything about a moment, for tooltips. */
export const moment = (ms) => full.format(ms);

/** Names the day of `ms` so that equal names are equal days. */
export const dayKey = (ms) => new Date(ms).toDateString();

/** `Today`, `Yesterday`, `Monday, 3 March`, `3 March 2024` */
export function dayName(ms, now = Date.now()) {
  const days = Math.round((midnight(now) - midnight(ms)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return days < 180 ? weekday.format(ms) : dated.format(ms);
}

/** `14:05` today, `3 Mar` else: for lists. */
export const when = (ms, now = Date.now()) => (dayKey(ms) === dayKey(now) ? time(ms) : short.format(ms));

const midnight = (ms) => new Date(ms).setHours(0, 0, 0, 0);

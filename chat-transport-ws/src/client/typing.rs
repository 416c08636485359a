//! Typing: told late and seldom, and heard for a while.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chat_core::{Entry, RoomId, Signal, UserId};
use tokio::time::Instant;

/// Typing is told only after this long: who sends or deletes the first keys at once was not typing for anybody.
const AFTER: Duration = Duration::from_millis(300);

/// It is told again this often; others forget it after [`LASTS`].
const AGAIN: Duration = Duration::from_secs(2);

/// What is heard of others' typing holds this long, since its end may be lost.
const LASTS: Duration = Duration::from_secs(4);

/// So many who type are remembered, far more than a screen shows; the end of others' typing is left to the server.
const OTHERS_MAX: usize = 1_024;

/// Is where the user types, and who else does.
#[derive(Default)]
pub(super) struct Typing {
    mine: BTreeMap<RoomId, Mine>,
    others: BTreeMap<(RoomId, UserId), Heard>,
}

#[derive(Default)]
struct Mine {
    /// When to tell of it.
    due: Option<Instant>,
    told: Option<Instant>,
}

struct Heard {
    name: Arc<str>,
    until: Instant,
}

impl Typing {
    /// The user has pressed a key.
    pub(super) fn key(&mut self, room: RoomId, now: Instant) {
        self.mine.retain(|_, mine| mine.due.is_some() || mine.told.is_some_and(|told| now < told + LASTS));
        let mine = self.mine.entry(room).or_default();
        if mine.told.is_none_or(|told| now >= told + AGAIN) {
            mine.due.get_or_insert(now + AFTER);
        }
    }

    /// The user types no more. Returns whether others were told that they did.
    pub(super) fn stop(&mut self, room: RoomId) -> bool {
        self.mine.remove(&room).is_some_and(|mine| mine.told.is_some())
    }

    /// The connection is gone, and with it, for others, all that the user typed.
    pub(super) fn stop_all(&mut self) {
        self.mine.clear();
    }

    /// Returns the rooms in which others are to be told now.
    pub(super) fn tell(&mut self, now: Instant) -> Vec<RoomId> {
        let due = self.mine.iter_mut().filter(|(_, mine)| mine.due.is_some_and(|due| due <= now));
        due.map(|(room, mine)| {
            *mine = Mine { due: None, told: Some(now) };
            *room
        })
        .collect()
    }

    /// The server has said something about somebody else.
    pub(super) fn heard(&mut self, signal: &Signal, now: Instant) {
        let Signal::Typing { room, user, name, on } = signal else { return };
        let who = (*room, user.clone());
        if !on {
            self.others.remove(&who);
        } else if self.others.len() < OTHERS_MAX || self.others.contains_key(&who) {
            self.others.insert(who, Heard { name: name.clone(), until: now + LASTS });
        }
    }

    /// Somebody has sent what they typed. Returns what says that they type no more, if they did.
    pub(super) fn sent(&mut self, entry: &Entry) -> Option<Signal> {
        let who = (entry.room, entry.author.clone());
        let heard = self.others.remove(&who)?;
        Some(over(who, heard))
    }

    /// Returns what says that others type no more of whom nothing was heard for long.
    pub(super) fn fade(&mut self, now: Instant) -> Vec<Signal> {
        let faded = self.others.extract_if(.., |_, heard| heard.until <= now);
        faded.map(|(who, heard)| over(who, heard)).collect()
    }

    /// Returns when something is to be told or fades next.
    pub(super) fn due(&self) -> Option<Instant> {
        let mine = self.mine.values().filter_map(|mine| mine.due);
        mine.chain(self.others.values().map(|heard| heard.until)).min()
    }
}

fn over((room, user): (RoomId, UserId), heard: Heard) -> Signal {
    Signal::Typing { room, user, name: heard.name, on: false }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chat_core::{Draft, EntryId, Seq, Timestamp, model::NewEntry};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn room() -> RoomId {
        RoomId::named("tea")
    }

    fn bob(on: bool) -> Signal {
        Signal::Typing { room: room(), user: UserId::new("bob").unwrap(), name: "Bob".into(), on }
    }

    #[test]
    fn typing_is_told_after_a_moment_and_then_at_most_every_two_seconds() {
        let (mut typing, began, mut told) = (Typing::default(), Instant::now(), Vec::new());
        for ms in 0..3_000 {
            let now = began + ms * MS;
            if ms % 100 == 0 {
                typing.key(room(), now);
            }
            told.extend(typing.tell(now).iter().map(|_| ms));
        }
        assert_eq!(told, [300, 2_600]);
        assert!(typing.stop(room()) && !typing.stop(room()));
    }

    #[test]
    fn who_sends_or_deletes_the_first_keys_at_once_was_not_typing() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        typing.key(room(), now);
        assert_eq!(typing.due(), Some(now + AFTER));
        assert!(!typing.stop(room()));
        assert_eq!((typing.due(), typing.tell(now + LASTS)), (None, Vec::new()));
    }

    #[test]
    fn the_typing_of_others_ends_after_four_seconds_with_their_message_or_when_they_say_so() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        typing.heard(&bob(true), now);
        typing.heard(&bob(true), now + 3_000 * MS);
        assert_eq!(typing.fade(now + 6_999 * MS), []);
        assert_eq!(typing.fade(now + 7_000 * MS), [bob(false)]);
        typing.heard(&bob(true), now);
        let author = UserId::new("bob").unwrap();
        let new = NewEntry::new(EntryId::new(0, [7; 10]), Draft::text("hi"), author, "Bob".into(), Timestamp(0));
        let entry = new.into_entry(room(), Seq::FIRST);
        assert_eq!((typing.sent(&entry), typing.sent(&entry)), (Some(bob(false)), None));
        typing.heard(&bob(true), now);
        typing.heard(&bob(false), now);
        assert_eq!((typing.due(), typing.fade(now + LASTS)), (None, Vec::new()));
    }
}

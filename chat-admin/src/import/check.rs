//! Finding bad lines before anything is stored: what comes after them stays in order when they are mended.

use std::collections::{HashMap, HashSet};

use chat_core::{
    RoomId, Seq, Store, Timestamp,
    clock::{Clock, SystemClock},
};

use super::{Lines, author};
use crate::{
    Failure,
    lines::{Line, MessageLine, RoomLine, room_of},
};

/// Longest body in bytes: what servers take by default.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A key from the future would make all later ones too old once it is trimmed: a day, which a wrong time zone may cost.
const AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1_000;

/// Returns the bad lines, by number, and why each is one.
pub(super) async fn check(store: &dyn Store, lines: &mut Lines) -> Result<Vec<(usize, String)>, Failure> {
    let mut seen = Seen::new(SystemClock.now());
    let mut bad = Vec::new();
    while let Some((number, line)) = lines.next()? {
        let checked = match line {
            Ok(Line::Room(room)) => seen.room(&room),
            Ok(Line::Message(message)) => match lines.room(&message) {
                Some(room) => seen.message(store, room, message).await?,
                None => Err("there is no `room`, here or in a line before".to_owned()),
            },
            Err(error) => Err(error),
        };
        bad.extend(checked.err().map(|why| (number, why)));
    }
    Ok(bad)
}

struct Seen {
    latest: Timestamp,
    /// Rooms, and whether they are there, or will be made by a line.
    rooms: HashMap<RoomId, bool>,
    messages: HashSet<(RoomId, String)>,
}

impl Seen {
    fn new(now: Timestamp) -> Self {
        Self { latest: now.plus_ms(AHEAD_MS_MAX), rooms: HashMap::new(), messages: HashSet::new() }
    }

    fn room(&mut self, line: &RoomLine) -> Result<(), String> {
        if line.created > self.latest {
            return Err("`created` is ahead of this machine's clock".to_owned());
        }
        self.rooms.insert(room_of(&line.room).0, true);
        Ok(())
    }

    async fn message(
        &mut self,
        store: &dyn Store,
        room: RoomId,
        line: MessageLine,
    ) -> Result<Result<(), String>, Failure> {
        if !self.rooms.contains_key(&room) {
            let is_there = store.heads(&[room]).await?.first().is_some_and(|head| head.seq > Seq::ZERO);
            self.rooms.insert(room, is_there);
        }
        Ok(self.judge(room, line))
    }

    fn judge(&mut self, room: RoomId, line: MessageLine) -> Result<(), String> {
        if self.rooms.get(&room) != Some(&true) {
            return Err("there is no such room, and no line before that makes it".to_owned());
        }
        author(&line)?;
        if line.sent_at > self.latest || line.key().unix_ms() > self.latest.0 {
            return Err("`sent_at`, or the time in `id`, is ahead of this machine's clock".to_owned());
        }
        let about = match &line.about {
            Some(id) if !self.messages.contains(&(room, id.clone())) => {
                return Err(format!("`about`: no message before has the id {id:?}"));
            }
            about => about.as_ref().map(|_| Seq::FIRST),
        };
        let body = line.body(about)?;
        if body.encode().len() > BODY_BYTES_MAX {
            return Err(format!("longer than {BODY_BYTES_MAX} bytes"));
        }
        if body.is_message() && !self.messages.insert((room, line.id)) {
            return Err("a message before has this `id`".to_owned());
        }
        Ok(())
    }
}

//! Comparing two stores, everything that is kept.

use std::fmt;

use chat_core::{Page, RoomId, Seq, store::Restore};

use super::logs;
use crate::{Failure, progress::Progress};

/// Counts what is the same.
#[derive(Debug, Default)]
pub(crate) struct Same {
    rooms: usize,
    entries: usize,
    members: usize,
    marks: usize,
}

impl fmt::Display for Same {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rooms, entries, members, marks } = self;
        write!(f, "{rooms} rooms, {entries} entries, {members} members, {marks} read marks")
    }
}

/// Compares every room, and fails at the first difference.
pub(crate) async fn verify(from: &dyn Restore, to: &dyn Restore) -> Result<Same, Failure> {
    let rooms = logs(from).await?;
    if logs(to).await? != rooms {
        return Err("there are other rooms in the copy; was something written meanwhile?".into());
    }
    let (mut same, mut progress) = (Same { rooms: rooms.len(), ..Same::default() }, Progress::new("entries compared"));
    for room in rooms {
        let before = same.entries;
        compare(from, to, room, &mut same).await?;
        progress.add((same.entries - before) as u64);
    }
    Ok(same)
}

async fn compare(from: &dyn Restore, to: &dyn Restore, room: RoomId, same: &mut Same) -> Result<(), Failure> {
    let differs = |what: &str| {
        let advice = "was something written meanwhile? Stop the servers and copy again, to an empty store";
        Failure::from(format!("room {room} differs in its {what}: {advice}"))
    };
    if from.state(room).await? != to.state(room).await? {
        return Err(differs("state"));
    }
    let mut after = Seq::ZERO;
    loop {
        let kept = from.kept(room, after, Page::LIMIT_MAX).await?;
        if to.kept(room, after, Page::LIMIT_MAX).await? != kept {
            return Err(differs(&format!("entries after {after}")));
        }
        let Some(last) = kept.last() else { break };
        after = last.entry.seq;
        same.entries += kept.len();
    }
    let mut page = Page::newest(Page::LIMIT_MAX);
    loop {
        let members = from.members(room, &page).await?;
        if to.members(room, &page).await? != members {
            return Err(differs("members"));
        }
        let Some(last) = members.last() else { break };
        page = page.after_user(last.user.clone());
        same.members += members.len();
    }
    let mut after = None;
    loop {
        let marks = from.marks(room, after.as_ref(), Page::LIMIT_MAX).await?;
        if to.marks(room, after.as_ref(), Page::LIMIT_MAX).await? != marks {
            return Err(differs("read marks"));
        }
        let Some((last, _)) = marks.last() else { return Ok(()) };
        after = Some(last.clone());
        same.marks += marks.len();
    }
}

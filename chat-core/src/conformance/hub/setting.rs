//! What the cases talk with, and what they wait for.

use std::{collections::BTreeMap, sync::Arc};

use futures::stream::BoxStream;

use crate::{
    clock::{Clock, SystemClock},
    hub::{Event, Posted, Room},
    model::{Body, Cursor, Draft, Entry, MemberChange, Membership, RoomId, Seq, UserId},
};

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid name")
}

pub(super) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a position")
}

pub(super) fn member(name: &str, change: Membership) -> Draft {
    Draft::new(Body::Member(MemberChange { user: user(name), change }))
}

pub(super) async fn post(room: &Arc<dyn Room>, draft: Draft) -> Cursor {
    match room.post(draft).await.expect("post") {
        Posted::Stored { seq, id } => Cursor::new(room.id(), seq, Some(id)),
        Posted::Accepted => panic!("a text was taken for a command"),
    }
}

pub(super) async fn say(room: &Arc<dyn Room>, text: &str) -> Cursor {
    post(room, Draft::text(text)).await
}

pub(super) async fn say_all(room: &Arc<dyn Room>, numbers: std::ops::Range<u32>) -> Vec<Cursor> {
    let mut places = Vec::new();
    for number in numbers {
        places.push(say(room, &number.to_string()).await);
    }
    places
}

/// Waits for the time of day to move on; tokio's own clock may be paused.
pub(super) async fn next_millisecond() {
    let now = SystemClock.now();
    while SystemClock.now() == now {
        tokio::task::yield_now().await;
    }
}

pub(super) fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry.body.text()).collect()
}

pub(super) fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Is a stream that must bring what is waited for, each room's positions without holes or repeats.
pub(super) struct Events {
    stream: BoxStream<'static, Event>,
    last: BTreeMap<RoomId, Seq>,
}

impl Events {
    pub(super) fn of(stream: BoxStream<'static, Event>) -> Self {
        Self { stream, last: BTreeMap::new() }
    }

    pub(super) async fn next(&mut self, what: &str) -> Event {
        let event = crate::conformance::next(&mut self.stream, what).await;
        match &event {
            Event::Followed { room, head } => _ = self.last.insert(*room, *head),
            Event::Gap { room, to, .. } => _ = self.last.insert(*room, *to),
            Event::Entry(entry) => {
                let before = self.last.insert(entry.room, entry.seq).expect("a room is followed before its entries");
                assert_eq!(before.next(), entry.seq, "a hole or a repeat");
            }
            _ => {}
        }
        event
    }

    /// Waits until this room is followed; returns from where.
    pub(super) async fn followed(&mut self, room: RoomId) -> Seq {
        loop {
            match self.next("that the room is followed").await {
                Event::Followed { room: followed, head } if followed == room => return head,
                Event::Unfollowed { room: other, why } if other == room => panic!("unfollowed: {why}"),
                Event::Closed(error) => panic!("closed: {error}"),
                _ => {}
            }
        }
    }

    /// Waits for so many texts of this room.
    pub(super) async fn texts(&mut self, room: RoomId, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            match self.next("another text").await {
                Event::Entry(entry) if entry.room == room => texts.extend(entry.body.text().map(str::to_owned)),
                Event::Gap { .. } | Event::Reset(_) | Event::Closed(_) => panic!("no break was expected"),
                _ => {}
            }
        }
        texts
    }
}

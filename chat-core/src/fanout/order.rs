//! A live room passes each entry once and in order, however it hears of them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Attach, Chained, Encoding, Frame, Judged, LiveRoom, Outbox, Push, Seat};
use crate::{
    hub::Event,
    model::{Cursor, Draft, Entry, EntryId, Identity, Key, NewEntry, RoomId, Seq, Timestamp, UserId},
    protocol::{Close, ServerFrame},
};

#[derive(Default)]
struct Heard(Mutex<Vec<u64>>);

impl Outbox for Heard {
    fn push(&self, frame: &Frame) -> Push {
        if let Some(Event::Entry(entry)) = &frame.event {
            self.0.lock().push(entry.seq.get());
        }
        Push::Taken
    }

    fn close(&self, _: Close) {}
}

struct Nothing;

impl Encoding for Nothing {
    fn encode(&self, _: &ServerFrame<'_>) -> Bytes {
        Bytes::new()
    }
}

fn entry(seq: u64) -> Arc<Entry> {
    let bytes: [u8; 10] = std::array::from_fn(|at| if at < 8 { seq.to_be_bytes()[at] } else { 0 });
    let draft = Draft { key: Key::new(1, bytes), ..Draft::text("hi") };
    let new = NewEntry::new(EntryId::new(1, bytes), draft, UserId::new("ann").unwrap(), "Ann".into(), Timestamp(1));
    Arc::new(new.into_entry(RoomId::named("r"), Seq::new(seq).unwrap()))
}

/// Is one way a room hears of entries: the first, how many, by which hint.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From its own lane, or from another that it trusts.
    Delivered,
    /// By a hint that names the entry before it.
    Chained,
    /// By a hint that names another entry before it: not to be believed.
    Forged,
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Delivered), Just(Way::Chained), Just(Way::Forged)]
}

async fn hear(room: &LiveRoom, first: u64, count: u64, way: Way) {
    let entries = (first..first + count).map(entry).collect();
    let before = (first > 1).then(|| entry(first - 1).id);
    match way {
        Way::Delivered => drop(room.deliver(entries).await),
        Way::Chained => drop(room.deliver_chained(Chained { before, entries }).await),
        Way::Forged => drop(room.deliver_chained(Chained { before: Some(entry(999).id), entries }).await),
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_doubled_or_early_passes_once_and_in_order(
        ring in 1_usize..20,
        heard in prop::collection::vec((1_u64..60, 1_u64..8, way()), 0..60),
        joined_at in 0_usize..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outbox = Arc::new(Heard::default());
        runtime.block_on(async {
            let room = LiveRoom::new(RoomId::named("r"), ring);
            room.begin(Seq::ZERO, None, Seq::ZERO).await;
            let identity = Arc::new(Identity::human(UserId::new("bob").unwrap(), "Bob"));
            let seat = Arc::new(Seat::new(1, identity, outbox.clone(), Arc::new(Nothing), Box::new(drop)));
            let mut at = None;
            for (number, (first, count, way)) in heard.iter().enumerate() {
                if number == joined_at {
                    at = Some(attach(&room, &seat).await);
                }
                hear(&room, *first, *count, *way).await;
            }
            let at = match at {
                Some(at) => at,
                None => attach(&room, &seat).await,
            };
            let reached = room.reached().await.unwrap();
            room.feed(reached, (reached.get() + 1..=70).map(entry).collect()).await;
            prop_assert!(outbox.0.lock().iter().copied().eq(at.get() + 1..=70));
            Ok(())
        })?;
    }
}

/// Attaches the session where the room stands, and returns where that is.
async fn attach(room: &LiveRoom, seat: &Arc<Seat>) -> Seq {
    let mut at = Cursor::new(RoomId::named("r"), room.reached().await.unwrap(), None);
    let judged = Judged { guard: Seq::ZERO, as_of: at.seq };
    assert_eq!(room.attach(seat, &mut at, judged, Seq::ZERO).await, Attach::Attached);
    at.seq
}

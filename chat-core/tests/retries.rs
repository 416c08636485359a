//! One key, sent again: later, elsewhere, with something else, for what is gone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chat_core::{
    Body, Clock, Code, Draft, Engine, Hub, HubError, Posted, RoomId, RoomSpec, Timestamp,
    clock::SystemClock,
    memory::{MemoryBroker, MemoryStore},
    protocol::Target,
};
use common::{human, limits, user};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A clock that only the test moves.
struct Calendar(AtomicI64);

impl Clock for Calendar {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Two nodes of one chat, and the clock on their wall.
struct Nodes {
    here: Engine,
    there: Engine,
    calendar: Arc<Calendar>,
}

impl Nodes {
    async fn start() -> Self {
        let calendar = Arc::new(Calendar(AtomicI64::new(SystemClock.now().0))); // by which clients make keys
        let (store, broker) = (Arc::new(MemoryStore::new()), Arc::new(MemoryBroker::default()));
        let node = || {
            let builder = Engine::builder().store(store.clone()).broker(broker.clone()).secret("a secret of the test");
            builder.clock(calendar.clone()).limits(limits()).build()
        };
        Self { here: node().await.unwrap(), there: node().await.unwrap(), calendar }
    }

    fn draft(&self, text: &str) -> Draft {
        Draft { key: chat_core::Key::new(self.calendar.now().0, [7; 10]), body: Draft::text(text).body }
    }

    async fn room(&self, title: &str) -> RoomId {
        let spec = RoomSpec::private(title).members([user("bob")]);
        self.here.hub(human("ann")).create(spec).await.unwrap().id()
    }
}

async fn post(node: &Engine, author: &str, room: RoomId, draft: Draft) -> Result<Posted, HubError> {
    node.hub(human(author)).post_to(Target::Room(room), draft).await.map(|(_, posted)| posted)
}

#[tokio::test]
async fn a_retry_on_another_node_a_month_later_has_its_old_place() {
    let nodes = Nodes::start().await;
    let (room, draft) = (nodes.room("tea").await, nodes.draft("once"));
    let first = post(&nodes.here, "ann", room, draft.clone()).await.unwrap();
    nodes.calendar.0.fetch_add(30 * DAY_MS, Ordering::Relaxed);
    post(&nodes.here, "bob", room, Draft { key: nodes.draft("").key, ..Draft::text("meanwhile") }).await.unwrap();
    assert_eq!(post(&nodes.there, "ann", room, draft).await.unwrap(), first);
}

#[tokio::test]
async fn one_key_is_another_draft_in_another_room_and_of_another_author_and_a_conflict_with_another_body() {
    let nodes = Nodes::start().await;
    let (tea, milk, draft) = (nodes.room("tea").await, nodes.room("milk").await, nodes.draft("once"));
    let first = post(&nodes.here, "ann", tea, draft.clone()).await.unwrap();
    let Posted::Stored { id, .. } = first else { panic!("stored") };
    for (node, author, room) in [(&nodes.there, "ann", milk), (&nodes.there, "bob", tea)] {
        let Posted::Stored { id: other, .. } = post(node, author, room, draft.clone()).await.unwrap() else {
            panic!("stored")
        };
        assert_ne!(id, other);
    }
    let refused = post(&nodes.there, "ann", tea, nodes.draft("twice")).await.unwrap_err();
    assert_eq!(refused.code, Code::Conflict);
    assert_eq!(post(&nodes.there, "ann", tea, draft).await.unwrap(), first, "and the first is as it was");
}

#[tokio::test]
async fn a_retry_of_a_message_that_was_deleted_since_has_its_old_place_and_brings_nothing_back() {
    let nodes = Nodes::start().await;
    let (room, draft) = (nodes.room("tea").await, nodes.draft("regretted"));
    let first = post(&nodes.here, "ann", room, draft.clone()).await.unwrap();
    let Posted::Stored { seq, .. } = first else { panic!("stored") };
    post(&nodes.here, "ann", room, Draft::new(Body::Delete(seq))).await.unwrap();
    assert_eq!(post(&nodes.there, "ann", room, draft).await.unwrap(), first);
    let shown =
        nodes.there.hub(human("bob")).room(room).await.unwrap().history(chat_core::Page::default()).await.unwrap();
    assert_eq!(shown.iter().map(|entry| entry.body.text()).collect::<Vec<_>>(), [Some("")]);
}

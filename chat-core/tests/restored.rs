//! The log goes back: a standby takes over that was not told of everything, or a backup is put back.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Body, Code, Cursor, Draft, Engine, Entry, Event, Hub, LogStore, Page, Room, RoomId, RoomSpec, RoomStore, Seq,
    Start, StoreError, StoreErrorKind, UserId,
    memory::{MemoryBroker, MemoryStore},
    model::{Member, RoomSummary},
    protocol::Target,
    store::{Access, Append, Head, Listing, Outcome},
};
use common::{Stream, human, join, leave, limits, user};

/// A primary and its standby, of which one serves.
#[derive(Default)]
struct Pair {
    primary: MemoryStore,
    standby: MemoryStore,
    /// The standby is not told of what is written.
    lags: AtomicBool,
    took_over: AtomicBool,
    /// Neither answers.
    is_away: AtomicBool,
}

impl Pair {
    fn serving(&self) -> Result<&MemoryStore, StoreError> {
        if self.is_away.load(SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "reach the primary"));
        }
        Ok(if self.took_over.load(SeqCst) { &self.standby } else { &self.primary })
    }
}

#[async_trait]
impl LogStore for Pair {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let serving = self.serving()?;
        if !self.took_over.load(SeqCst) && !self.lags.load(SeqCst) {
            self.standby.append(batch).await?;
        }
        serving.append(batch).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.serving()?.read(room, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.serving()?.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.serving()?.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.serving()?.trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for Pair {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.serving()?.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.serving()?.members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.serving()?.rooms(which, page).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.serving()?.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.serving()?.project(entries).await
    }
}

/// Two nodes that do not hear each other, Ann on the one and Bob on the other, and a room of both.
struct Setting {
    pair: Arc<Pair>,
    nodes: [Engine; 2],
    room: RoomId,
}

impl Setting {
    async fn new() -> Self {
        let pair = Arc::<Pair>::default();
        let node = async || {
            let builder = Engine::builder().store(pair.clone()).broker(Arc::new(MemoryBroker::default()));
            builder.limits(limits()).build().await.unwrap()
        };
        let nodes = [node().await, node().await];
        let spec = RoomSpec::public("general").members([user("bob")]);
        let room = nodes[0].hub(human("ann")).create(spec).await.unwrap().id();
        Self { pair, nodes, room }
    }

    async fn room_of(&self, name: &str) -> Arc<dyn Room> {
        self.nodes[usize::from(name == "bob")].hub(human(name)).room(self.room).await.unwrap()
    }

    /// Posts, as often as that is to be tried again.
    async fn say(&self, name: &str, text: &str) {
        let (hub, draft) = (self.nodes[usize::from(name == "bob")].hub(human(name)), Draft::text(text));
        loop {
            match hub.post_to(Target::Room(self.room), draft.clone()).await {
                Ok(_) => return,
                Err(error) => assert!(error.code.is_retryable(), "{error:?}"),
            }
        }
    }

    async fn follow(&self, name: &str, start: Start) -> Stream {
        Stream::new(self.room_of(name).await.events(start))
    }

    /// Lets the standby serve, which knows the room and nothing that was said since it lags; after a time in which
    /// nobody does, as these nodes notice, on which somebody follows.
    async fn take_over(&self, noticed_by: &[usize]) {
        self.pair.is_away.store(true, SeqCst);
        for node in noticed_by {
            let noticed = async {
                while self.nodes[*node].is_ready().await {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), noticed).await.expect("a poll that fails");
        }
        self.pair.took_over.store(true, SeqCst);
        self.pair.is_away.store(false, SeqCst);
    }
}

/// Receives so many entries, and returns the cursor of the last.
async fn cursor_after(stream: &mut Stream, count: usize) -> Cursor {
    let mut last = None;
    while last.as_ref().is_none_or(|(seen, _)| *seen < count) {
        if let Event::Entry(entry) = stream.next().await {
            let seen = last.map_or(0, |(seen, _)| seen);
            last = Some((seen + 1, Cursor::new(entry.room, entry.seq, Some(entry.id))));
        }
    }
    last.unwrap().1
}

/// Sees that nothing more comes but the end, which says to come again.
async fn is_sent_away(stream: &mut Stream) {
    match stream.next().await {
        Event::Closed(why) => assert_eq!(why.code, Code::Draining),
        other => panic!("{other:?} of a log that has gone back"),
    }
}

#[tokio::test]
async fn who_has_seen_what_was_lost_is_told_even_if_nobody_writes() {
    let setting = Setting::new().await;
    let mut streams = [setting.follow("ann", Start::Head).await, setting.follow("bob", Start::Head).await];
    for stream in &mut streams {
        stream.followed().await;
    }
    setting.pair.lags.store(true, SeqCst);
    for text in ["one", "two", "three"] {
        setting.say("ann", text).await;
    }
    let mut cursors = Vec::new();
    for stream in &mut streams {
        cursors.push(cursor_after(stream, 3).await);
    }
    setting.take_over(&[0, 1]).await;
    for stream in &mut streams {
        is_sent_away(stream).await;
    }
    for (name, cursor) in ["ann", "bob"].into_iter().zip(cursors) {
        let mut again = setting.follow(name, Start::After(cursor)).await;
        assert!(matches!(again.next().await, Event::Reset(room) if room == setting.room));
        again.followed().await;
        setting.say(name, "still here").await;
        assert_eq!(again.texts(1).await, ["still here"]);
    }
}

#[tokio::test]
async fn what_is_written_over_the_lost_part_reaches_nobody_who_has_seen_that() {
    let setting = Setting::new().await;
    let mut bob = setting.follow("bob", Start::Head).await;
    bob.followed().await;
    setting.pair.lags.store(true, SeqCst);
    for text in ["one", "two", "three"] {
        setting.say("bob", text).await;
    }
    let cursor = cursor_after(&mut bob, 3).await;
    setting.take_over(&[1]).await;
    // Ann's node writes what stands at the same positions now; then Bob's own node writes on.
    for text in ["uno", "due", "tre"] {
        setting.say("ann", text).await;
    }
    setting.say("bob", "quattro").await;
    is_sent_away(&mut bob).await;
    let mut again = setting.follow("bob", Start::After(cursor)).await;
    assert!(matches!(again.next().await, Event::Reset(_)));
}

#[tokio::test]
async fn a_position_that_is_given_away_twice_is_noticed_by_the_node_that_does_it() {
    let setting = Setting::new().await;
    let mut ann = setting.follow("ann", Start::Head).await;
    ann.followed().await;
    setting.pair.lags.store(true, SeqCst);
    setting.say("ann", "lost").await;
    cursor_after(&mut ann, 1).await;
    setting.pair.took_over.store(true, SeqCst); // and no call fails
    setting.say("ann", "instead").await;
    is_sent_away(&mut ann).await;
}

#[tokio::test]
async fn rights_that_were_lost_are_not_remembered() {
    let setting = Setting::new().await;
    setting.pair.lags.store(true, SeqCst);
    setting.room_of("ann").await.post(join("cho")).await.unwrap();
    let cho = setting.nodes[0].hub(human("cho")).room(setting.room).await.unwrap();
    cho.post(Draft::text("I may")).await.unwrap();
    setting.room_of("ann").await.post(leave("bob")).await.unwrap();
    let mut ann = setting.follow("ann", Start::Head).await;
    ann.followed().await;
    setting.take_over(&[0]).await;
    is_sent_away(&mut ann).await;

    let refused = cho.post(Draft::text("may I?")).await.unwrap_err();
    assert_eq!(refused.code, Code::Denied);
    setting.say("bob", "never left").await;
    let log = setting.pair.read(setting.room, Seq::ZERO, 10).await.unwrap();
    assert!(log.iter().all(|entry| !matches!(entry.body, Body::Member(_))));
}

//! The suite of [`Hub`] and [`Room`].

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::BoxStream,
};
use tokio::time::timeout;

use super::{DEADLINE, eventually, suite};
use crate::{
    clock::{Clock, SystemClock},
    hub::{Event, GapReason, Hub, Posted, Room, Start},
    model::{
        Body, Cursor, Draft, Edit, Entry, EntryId, MemberChange, Membership, Page, React, Role, RoomId, RoomSpec, Seq,
        Text, UserId,
    },
    protocol::{Code, Outgoing, Signal},
};

suite! {
    ($)
    /// Runs the suite of [`Hub`](crate::Hub) and [`Room`](crate::Room): `hub_conformance!(name, factory)`, where the
    /// factory gives a [`HubUnderTest`](crate::conformance::hub::HubUnderTest).
    hub_conformance in hub:
    a_named_room_is_created_once,
    a_room_of_others_is_not_found,
    a_private_room_is_created_by_its_first_post,
    rooms_lists_the_most_recently_active_first,
    hub_events_bring_all_rooms_and_new_ones,
    hub_events_resume_after_their_cursors,
    a_cursor_of_a_room_of_others_is_unfollowed,
    a_post_is_answered_with_its_place,
    the_same_draft_again_has_its_old_place,
    a_refused_post_says_why,
    posts_of_one_sender_keep_their_order,
    a_dropped_post_goes_on,
    history_shows_messages_as_they_read_now,
    history_has_pages,
    members_are_listed_by_user,
    events_from_the_head_bring_what_comes,
    events_from_the_oldest_bring_everything,
    events_after_a_cursor_bring_the_rest,
    streams_of_one_room_do_not_disturb_each_other,
    a_cursor_of_another_log_is_reset,
    what_was_before_joining_is_a_gap,
    who_is_removed_is_unfollowed,
    a_room_of_others_is_unfollowed,
    a_receiver_that_falls_behind_misses_nothing,
    signals_reach_the_others,
}

type HubFor = Arc<dyn Fn(&str) -> BoxFuture<'static, Arc<dyn Hub>> + Send + Sync>;

/// Is a kind of hub to be tested: all hubs of one chat that nobody else uses.
///
/// The engine behind it has the limits of [`Limits::load_profile`](crate::Limits::load_profile), and
/// [lets people name rooms](crate::Members::people_name_rooms).
#[derive(Clone)]
pub struct HubUnderTest {
    hub: HubFor,
}

impl fmt::Debug for HubUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubUnderTest").finish_non_exhaustive()
    }
}

impl HubUnderTest {
    /// Takes a function that gives the hub of the person with this name, each time a new one.
    pub fn new<H>(hub: impl Fn(&str) -> H + Send + Sync + 'static) -> Self
    where
        H: Future<Output = Arc<dyn Hub>> + Send + 'static,
    {
        Self { hub: Arc::new(move |name| hub(name).boxed()) }
    }

    async fn hub(&self, name: &str) -> Arc<dyn Hub> {
        (self.hub)(name).await
    }

    /// Returns ann's hub and a public room of hers in which bob is a member.
    async fn room(&self) -> (Arc<dyn Hub>, Arc<dyn Room>) {
        let ann = self.hub("ann").await;
        let room = ann.create(RoomSpec::public("tea").members([user("bob")])).await.expect("create a room");
        (ann, room)
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid name")
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("a position")
}

fn member(name: &str, change: Membership) -> Draft {
    Draft::new(Body::Member(MemberChange { user: user(name), change }))
}

async fn post(room: &Arc<dyn Room>, draft: Draft) -> Cursor {
    match room.post(draft).await.expect("post") {
        Posted::Stored { seq, id } => Cursor::new(room.id(), seq, Some(id)),
        Posted::Accepted => panic!("a text was taken for a command"),
    }
}

async fn say(room: &Arc<dyn Room>, text: &str) -> Cursor {
    post(room, Draft::text(text)).await
}

async fn say_all(room: &Arc<dyn Room>, numbers: std::ops::Range<u32>) -> Vec<Cursor> {
    let mut places = Vec::new();
    for number in numbers {
        places.push(say(room, &number.to_string()).await);
    }
    places
}

/// Waits for the time of day to move on; tokio's own clock may be paused.
async fn next_millisecond() {
    let now = SystemClock.now();
    while SystemClock.now() == now {
        tokio::task::yield_now().await;
    }
}

fn texts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry.body.text()).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Is a stream that must bring what is waited for, each room's positions without holes or repeats.
struct Events {
    stream: BoxStream<'static, Event>,
    last: BTreeMap<RoomId, Seq>,
}

impl Events {
    fn of(stream: BoxStream<'static, Event>) -> Self {
        Self { stream, last: BTreeMap::new() }
    }

    async fn next(&mut self, what: &str) -> Event {
        let event = super::next(&mut self.stream, what).await;
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
    async fn followed(&mut self, room: RoomId) -> Seq {
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
    async fn texts(&mut self, room: RoomId, count: usize) -> Vec<String> {
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

/// Also when the two creations race.
pub async fn a_named_room_is_created_once(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let (one, two) = tokio::join!(
        ann.create(RoomSpec::public("Tea").named("tea")),
        bob.create(RoomSpec::public("Tea").named("tea"))
    );
    let (one, two) = (one.expect("create"), two.expect("create"));
    assert_eq!((one.id(), two.id()), (RoomId::named("tea"), RoomId::named("tea")));
    ann.create(RoomSpec::private("Secret").named("secret")).await.expect("create");
    let taken = bob.create(RoomSpec::private("Mine").named("secret")).await.err().expect("the name is taken");
    assert_eq!(taken.code, Code::Conflict);
    let (one, two) = tokio::join!(ann.create(RoomSpec::private("x")), ann.create(RoomSpec::private("x")));
    assert_ne!(one.expect("create").id(), two.expect("create").id(), "a title is no name");
}

/// Whatever is asked of it.
pub async fn a_room_of_others_is_not_found(on: HubUnderTest) {
    let secret = on.hub("ann").await.create(RoomSpec::private("secret")).await.expect("create").id();
    let eve = on.hub("eve").await;
    for room in [secret, RoomId::named("no such room")] {
        assert_eq!(eve.room(room).await.err().expect("not hers").code, Code::NotFound);
    }
}

/// Whoever says something first.
pub async fn a_private_room_is_created_by_its_first_post(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let (to_bob, to_ann) = (ann.direct(&user("bob")), bob.direct(&user("ann")));
    assert_eq!((to_bob.id(), to_ann.id()), (RoomId::direct(&user("ann"), &user("bob")), to_bob.id()));
    assert_eq!(to_ann.history(Page::default()).await.expect_err("no room yet").code, Code::NotFound);
    let (one, two) = tokio::join!(say(&to_bob, "hi"), say(&to_ann, "ho"));
    assert_ne!(one.seq, two.seq);
    assert_eq!(to_ann.history(Page::default()).await.expect("both may read").len(), 2);
    assert_eq!(to_bob.members(Page::default()).await.expect("members").len(), 2);
}

/// For their members.
pub async fn rooms_lists_the_most_recently_active_first(on: HubUnderTest) {
    let (ann, bob) = (on.hub("ann").await, on.hub("bob").await);
    let mut rooms = Vec::new();
    for title in ["one", "two"] {
        rooms.push(ann.create(RoomSpec::private(title).members([user("bob")])).await.expect("create"));
        next_millisecond().await; // in which activity is counted
    }
    let place = say(&rooms[0], "hello").await;
    let listed = bob.rooms(Page::default()).await.expect("rooms");
    assert_eq!(listed.iter().map(|summary| &*summary.room.title).collect::<Vec<_>>(), ["one", "two"]);
    let first = &listed[0];
    assert_eq!((first.room.id, first.head, first.unread), (rooms[0].id(), place.seq, 1));
    assert_eq!(first.last.as_ref().and_then(|last| last.body.text()), Some("hello"));
    assert_eq!(first.member.as_ref().map(|member| (&member.user, member.role)), Some((&user("bob"), Role::Member)));
    assert_eq!(bob.rooms(Page::newest(1)).await.expect("rooms").len(), 1);
    assert_eq!(on.hub("eve").await.rooms(Page::default()).await.expect("rooms"), []);
}

/// A new one from the entry that made the user its member.
pub async fn hub_events_bring_all_rooms_and_new_ones(on: HubUnderTest) {
    let (ann, old) = on.room().await;
    let mut bobs = Events::of(on.hub("bob").await.events(Vec::new()));
    bobs.followed(old.id()).await;
    say(&old, "old").await;
    assert_eq!(bobs.texts(old.id(), 1).await, ["old"]);
    let new = ann.create(RoomSpec::private("new").members([user("bob")])).await.expect("create");
    assert_eq!(bobs.followed(new.id()).await, Seq::ZERO);
    say(&new, "new").await;
    assert_eq!(bobs.texts(new.id(), 1).await, ["new"]);
}

/// Rooms without a cursor begin where they stand.
pub async fn hub_events_resume_after_their_cursors(on: HubUnderTest) {
    let (ann, tea) = on.room().await;
    let coffee = ann.create(RoomSpec::public("coffee").members([user("bob")])).await.expect("create");
    let places = say_all(&tea, 0..20).await;
    let last = say(&coffee, "not for the stream").await;
    let mut bobs = Events::of(on.hub("bob").await.events(vec![places[9]]));
    assert_eq!(bobs.followed(tea.id()).await, places[9].seq);
    assert_eq!(bobs.texts(tea.id(), 10).await, numbers(10..20));
    let second = on.hub("bob").await;
    let mut bobs = Events::of(second.events(vec![places[9]]));
    assert_eq!(bobs.followed(coffee.id()).await, last.seq);
    say(&coffee, "news").await;
    assert_eq!(bobs.texts(coffee.id(), 1).await, ["news"]);
}

/// Whoever it belongs to.
pub async fn a_cursor_of_a_room_of_others_is_unfollowed(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let secret = ann.create(RoomSpec::private("secret")).await.expect("create");
    let place = say(&secret, "psst").await;
    let mut eves = on.hub("eve").await.events(vec![place]);
    let unfollowed = async {
        while let Some(event) = eves.next().await {
            match event {
                Event::Unfollowed { room, why } => return (room, why),
                Event::Entry(entry) => assert_ne!(entry.room, secret.id(), "this is not hers to see"),
                _ => {}
            }
        }
        panic!("the stream ended");
    };
    assert_eq!(timeout(DEADLINE, unfollowed).await.expect("an event in time"), (secret.id(), Code::NotFound));
}

/// The same that everybody receives.
pub async fn a_post_is_answered_with_its_place(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let mut bobs = Events::of(on.hub("bob").await.room(room.id()).await.expect("his room").events(Start::Head));
    bobs.followed(room.id()).await;
    let draft = Draft::text("hello");
    let place = post(&room, draft.clone()).await;
    let Event::Entry(entry) = bobs.next("the entry").await else { panic!("an entry was expected") };
    assert_eq!((entry.room, entry.seq, Some(entry.id), entry.key), (place.room, place.seq, place.id, draft.key));
    assert_eq!((&entry.author, &entry.body), (&user("ann"), &draft.body));
}

/// However often it is sent, also all at once.
pub async fn the_same_draft_again_has_its_old_place(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let draft = Draft::text("once");
    let places = join_all((0..5).map(|_| post(&room, draft.clone()))).await;
    say(&room, "between").await;
    let again = post(&room, draft.clone()).await;
    assert!(places.iter().all(|place| *place == again), "{places:?} and {again:?}");
    let other = Draft { key: draft.key, body: Body::Text(Text::new("another")) };
    assert_eq!(room.post(other).await.expect_err("another body under the key").code, Code::Conflict);
    assert_eq!(texts(&room.history(Page::default()).await.expect("history")), ["once", "between"]);
}

/// To its sender alone.
pub async fn a_refused_post_says_why(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let refused = async |draft: Draft| bobs.post(draft).await.expect_err("a post that is not allowed").code;
    assert_eq!(refused(Draft::text("")).await, Code::InvalidBody);
    assert_eq!(refused(Draft::text("x".repeat(5_000))).await, Code::InvalidBody);
    assert_eq!(refused(Draft::text("/nothing of this name")).await, Code::UnknownCommand);
    assert_eq!(refused(member("ann", Membership::Leave)).await, Code::Denied);
    let target = seq(77);
    assert_eq!(refused(Draft::new(Body::Edit(Edit { target, text: "x".into() }))).await, Code::NotFound);
    assert_eq!(room.history(Page::default()).await.expect("history"), []);
    say(&bobs, "this is allowed").await;
}

/// More of them than are sent at once.
pub async fn posts_of_one_sender_keep_their_order(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let posts = (0..100).map(|number: u32| room.post(Draft::text(number.to_string())));
    for posted in join_all(posts).await {
        posted.expect("post");
    }
    let history = room.history(Page::newest(200)).await.expect("history");
    assert_eq!(texts(&history), numbers(0..100));
}

/// Once it was begun.
pub async fn a_dropped_post_goes_on(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let draft = Draft::text("go on");
    let _ = room.post(draft.clone()).now_or_never(); // polled once and dropped
    eventually("the dropped post is stored", || async {
        texts(&room.history(Page::default()).await.expect("history")) == ["go on"]
    })
    .await;
    post(&room, draft).await;
    assert_eq!(room.history(Page::default()).await.expect("history").len(), 1);
}

/// As REST shows them, too.
pub async fn history_shows_messages_as_they_read_now(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..3).await;
    let target = places[0].seq;
    post(&room, Draft::new(Body::Edit(Edit { target, text: "edited".into() }))).await;
    post(&room, Draft::new(Body::Delete(places[1].seq))).await;
    post(&room, Draft::new(Body::React(React { target, emoji: "👍".into(), on: true }))).await;
    let history = room.history(Page::default()).await.expect("history");
    assert_eq!(texts(&history), ["edited", "", "2"]);
    let folded = history[0].folded.as_ref().expect("what was done to it");
    assert!(folded.edited.is_some() && folded.reactions[0].users == [user("ann")], "{folded:?}");
    assert!(history[1].folded.as_ref().is_some_and(|folded| folded.deleted));
    assert_eq!(history[2].folded, None);
}

/// All of them oldest first.
pub async fn history_has_pages(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..10).await;
    let at = places[5].seq.get();
    for (page, expected) in [
        (Page::newest(3), numbers(7..10)),
        (Page::newest(3).before(at), numbers(2..5)),
        (Page::newest(3).after(at), numbers(6..9)),
        (Page::newest(100).before(at), numbers(0..5)),
    ] {
        assert_eq!(texts(&room.history(page.clone()).await.expect("history")), expected, "{page:?}");
    }
}

/// With their roles.
pub async fn members_are_listed_by_user(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    post(&room, member("cho", Membership::Join)).await;
    post(&room, member("cho", Membership::Role(Role::Moderator))).await;
    let listed = |members: Vec<crate::model::Member>| {
        members.into_iter().map(|member| (member.user.as_str().to_owned(), member.role)).collect::<Vec<_>>()
    };
    let members = listed(room.members(Page::default()).await.expect("members"));
    let of = |name: &str, role| (name.to_owned(), role);
    assert_eq!(members, [of("ann", Role::Owner), of("bob", Role::Member), of("cho", Role::Moderator)]);
    let page = Page::newest(1).after_user(user("ann"));
    assert_eq!(listed(room.members(page).await.expect("members")), [of("bob", Role::Member)]);
}

/// Not what the receiver posted before.
pub async fn events_from_the_head_bring_what_comes(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let place = say(&room, "before").await;
    let mut events = Events::of(room.events(Start::Head));
    assert_eq!(events.followed(room.id()).await, place.seq);
    say_all(&room, 0..10).await;
    assert_eq!(events.texts(room.id(), 10).await, numbers(0..10));
}

/// From the entry that created the room.
pub async fn events_from_the_oldest_bring_everything(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    say_all(&room, 0..300).await;
    let mut events = Events::of(room.events(Start::Oldest));
    assert_eq!(events.followed(room.id()).await, Seq::ZERO);
    let Event::Entry(first) = events.next("the first entry").await else { panic!("an entry was expected") };
    assert_eq!((first.seq, &*first.body.kind()), (Seq::FIRST, "room"));
    assert_eq!(events.texts(room.id(), 300).await, numbers(0..300));
    say(&room, "and then").await;
    assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
}

/// On any connection.
pub async fn events_after_a_cursor_bring_the_rest(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let places = say_all(&room, 0..300).await;
    let elsewhere = on.hub("bob").await.room(room.id()).await.expect("his room");
    for room in [&room, &elsewhere] {
        let mut events = Events::of(room.events(Start::After(places[99])));
        assert_eq!(events.followed(room.id()).await, places[99].seq);
        assert_eq!(events.texts(room.id(), 200).await, numbers(100..300));
    }
    let mut events = Events::of(room.events(Start::After(places[299])));
    assert_eq!(events.followed(room.id()).await, places[299].seq);
    say(&room, "and then").await;
    assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
}

/// While somebody goes on posting.
pub async fn streams_of_one_room_do_not_disturb_each_other(on: HubUnderTest) {
    let (ann, room) = on.room().await;
    let places = say_all(&room, 0..100).await;
    let mut head = Events::of(room.events(Start::Head));
    head.followed(room.id()).await;
    let writer = tokio::spawn({
        let room = room.clone();
        async move { say_all(&room, 100..300).await }
    });
    let mut streams = vec![(100, head)];
    for at in [10, 70, 40] {
        streams.push((at + 1, Events::of(room.events(Start::After(places[at as usize])))));
        streams.push((0, Events::of(room.events(Start::Oldest))));
        streams.push((at + 1, Events::of(ann.events(vec![places[at as usize]]))));
        tokio::time::sleep(Duration::from_millis(5)).await; // so that they meet the writer at different places
    }
    for (first, events) in &mut streams {
        assert_eq!(events.texts(room.id(), 300 - *first as usize).await, numbers(*first..300));
    }
    writer.await.expect("the writer ends");
}

/// A wrong id at a position, and a position that is not there yet.
pub async fn a_cursor_of_another_log_is_reset(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let place = say(&room, "one").await;
    let other = Cursor::new(room.id(), place.seq, Some(EntryId::new(5, [9; 10])));
    let beyond = Cursor::new(room.id(), seq(99), place.id);
    let mut untouched = Events::of(room.events(Start::Head));
    untouched.followed(room.id()).await;
    let mut all = vec![untouched];
    for cursor in [other, beyond] {
        let mut events = Events::of(room.events(Start::After(cursor)));
        assert_eq!(events.next("a reset").await, Event::Reset(room.id()));
        assert_eq!(events.followed(room.id()).await, place.seq);
        all.push(events);
    }
    say(&room, "two").await;
    for events in &mut all {
        assert_eq!(events.texts(room.id(), 1).await, ["two"]);
    }
}

/// And is not in history either.
pub async fn what_was_before_joining_is_a_gap(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let room = ann.create(RoomSpec::private("club").since_join()).await.expect("create");
    say_all(&room, 0..5).await;
    let since = post(&room, member("bob", Membership::Join)).await.seq;
    say(&room, "welcome").await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let mut events = Events::of(bobs.events(Start::Oldest));
    events.followed(room.id()).await;
    let gap = Event::Gap { room: room.id(), from: Seq::FIRST, to: since.prev(), why: GapReason::NotVisible };
    assert_eq!(events.next("a gap").await, gap);
    assert_eq!(events.texts(room.id(), 1).await, ["welcome"]);
    assert_eq!(texts(&bobs.history(Page::default()).await.expect("history")), ["welcome"]);
}

/// In all streams.
pub async fn who_is_removed_is_unfollowed(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bob = on.hub("bob").await;
    let bobs = bob.room(room.id()).await.expect("his room");
    let mut streams = [bobs.events(Start::Head), bob.events(Vec::new())].map(Events::of);
    for events in &mut streams {
        events.followed(room.id()).await;
    }
    let removal = post(&room, member("bob", Membership::Leave)).await;
    say(&room, "he is gone").await;
    for events in &mut streams {
        let mut last = Seq::ZERO;
        loop {
            match events.next("that it is unfollowed").await {
                Event::Entry(entry) if entry.room == room.id() => last = entry.seq,
                Event::Unfollowed { room: left, why } if left == room.id() => break assert_eq!(why, Code::Removed),
                _ => {}
            }
        }
        assert!(last < removal.seq, "what removes him is not for him any more");
    }
    assert_eq!(bobs.post(Draft::text("still here?")).await.expect_err("he is out").code, Code::Denied);
}

/// Without a [`Event::Followed`].
pub async fn a_room_of_others_is_unfollowed(on: HubUnderTest) {
    let ann = on.hub("ann").await;
    let eve = on.hub("eve").await;
    let to_eve = ann.direct(&user("eve"));
    let to_ann = eve.direct(&user("ann"));
    let mut events = to_ann.events(Start::Oldest);
    let first = super::next(&mut events, "that there is no such room").await;
    assert_eq!(first, Event::Unfollowed { room: to_ann.id(), why: Code::NotFound });
    say(&to_eve, "hi").await;
    let mut events = Events::of(to_ann.events(Start::Oldest));
    events.followed(to_ann.id()).await;
    assert_eq!(events.texts(to_ann.id(), 1).await, ["hi"]);
}

/// However long it does not read.
pub async fn a_receiver_that_falls_behind_misses_nothing(on: HubUnderTest) {
    const COUNT: u32 = 2_000;
    let (ann, room) = on.room().await;
    let bob = on.hub("bob").await;
    let bobs = bob.room(room.id()).await.expect("his room");
    let mut slow = [bobs.events(Start::Head), bob.events(Vec::new()), ann.events(Vec::new())].map(Events::of);
    for events in &mut slow {
        events.followed(room.id()).await;
    }
    let posts = (0..COUNT).map(|number| room.post(Draft::text(number.to_string())));
    for part in posts.collect::<Vec<_>>().chunks_mut(100) {
        for posted in join_all(part).await {
            posted.expect("post");
        }
    }
    for events in &mut slow {
        let received = events.texts(room.id(), COUNT as usize).await;
        assert!(received == numbers(0..COUNT), "order was lost");
    }
    say(&room, "and then").await;
    for events in &mut slow {
        assert_eq!(events.texts(room.id(), 1).await, ["and then"]);
    }
}

/// Typing and the application's own kinds.
pub async fn signals_reach_the_others(on: HubUnderTest) {
    let (_ann, room) = on.room().await;
    let bobs = on.hub("bob").await.room(room.id()).await.expect("his room");
    let mut events = Events::of(bobs.events(Start::Head));
    events.followed(room.id()).await;
    let data = serde_json::json!({ "line": 7 });
    room.signal(Outgoing::Typing(true)).await.expect("a signal");
    room.signal(Outgoing::Custom { kind: "shop.cursor".into(), data: data.clone() }).await.expect("a signal");
    let (mut typing, mut custom) = (false, false);
    while !(typing && custom) {
        match events.next("both signals").await {
            Event::Signal(Signal::Typing { user: who, on: true, .. }) => typing = who == user("ann"),
            Event::Signal(Signal::Custom { kind, data: told, .. }) => custom = kind == "shop.cursor" && told == data,
            _ => {}
        }
    }
}

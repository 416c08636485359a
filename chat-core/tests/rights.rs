//! Who may post what, and what becomes of a refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Action, Body, Code, Draft, Engine, Hub, Identity, Key, LocalHub, LogStore, Members, Page, Policy, Posted, RoomId,
    RoomSpec, Seq, Text,
    memory::MemoryStore,
    model::{Edit, MemberChange, Membership, NewEntry, Role, RoomChange},
    protocol::{HubError, Target},
    store::{Access, Append},
};
use common::{Stream, engine, human, join, leave, limits, user};
use serde_json::json;

async fn post_to(hub: &LocalHub, room: RoomId, draft: Draft) -> Result<Posted, HubError> {
    hub.post_to(Target::Room(room), draft).await.map(|(_, posted)| posted)
}

fn role(name: &str, role: Role) -> Draft {
    Draft::new(Body::Member(MemberChange { user: user(name), change: Membership::Role(role) }))
}

#[tokio::test]
async fn the_first_entry_of_a_private_room_is_judged_like_every_other() {
    let engine = engine().await;
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| engine.hub(human(name)));
    for draft in [join("eve"), leave("bob"), role("bob", Role::Owner)] {
        let refused = ann.post_to(Target::User(user("bob")), draft).await.unwrap_err();
        assert_eq!(refused.code, Code::Denied);
    }
    bob.direct(&user("ann")).post(Draft::text("secret")).await.unwrap();
    let room = RoomId::direct(&user("ann"), &user("bob"));
    assert_eq!(eve.room(room).await.err().unwrap().code, Code::NotFound);
}

#[tokio::test]
async fn a_room_begins_with_no_more_members_than_one_look_can_judge() {
    let engine = engine().await;
    let ann = engine.hub(human("ann"));
    let crowd = |count| RoomSpec::public("tea").members((0..count).map(|number| user(&format!("p{number}"))));
    let refused = ann.create(crowd(257)).await.err().unwrap();
    assert_eq!((refused.code, &*refused.message), (Code::InvalidBody, "too many first members"));
    ann.create(crowd(256)).await.unwrap();
}

/// A host that allows everything.
struct Everything;

#[async_trait]
impl Policy for Everything {
    fn authorize(&self, _: &Identity, _: &Action<'_>, _: Option<&Access>) -> Result<(), Code> {
        Ok(())
    }
}

#[tokio::test]
async fn nobody_writes_to_an_inbox_whatever_the_policy_allows() {
    let engine = Engine::builder().limits(limits()).policy(Arc::new(Everything)).build().await.unwrap();
    let inbox = RoomId::inbox(&user("ann"));
    let [ann, eve] = ["ann", "eve"].map(|name| engine.hub(human(name)));
    ann.create(RoomSpec::public("makes the inbox")).await.unwrap();
    for draft in [Draft::text("to myself"), leave("ann"), join("eve")] {
        assert_eq!(post_to(&ann, inbox, draft.clone()).await.unwrap_err().code, Code::Denied);
        assert_eq!(post_to(&eve, inbox, draft).await.unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn people_name_rooms_only_where_the_host_lets_them() {
    let order = || RoomSpec::private("Order 4711").named("order:4711");
    let engine = engine().await;
    let ann = engine.hub(human("ann"));
    assert_eq!(ann.create(order()).await.err().unwrap().code, Code::Denied);
    let room = engine.hub(Identity::system()).create(order().members([user("bob")])).await.unwrap();
    assert_eq!(room.id(), RoomId::named("order:4711"));
    assert_eq!(ann.create(order()).await.err().unwrap().code, Code::Denied);
    ann.create(RoomSpec::private("order:4711")).await.unwrap(); // a title says nothing

    let policy = Arc::new(Members::default().people_name_rooms());
    let engine = Engine::builder().limits(limits()).policy(policy).build().await.unwrap();
    assert_eq!(engine.hub(human("ann")).create(order()).await.unwrap().id(), room.id());
}

#[tokio::test]
async fn people_post_the_kinds_that_the_host_lets_them_and_bots_post_all() {
    let wish = |kind: &str| Draft::new(Body::Custom { kind: kind.into(), text: "a wish".into(), data: json!(null) });
    let policy = Arc::new(Members::default().people_post_kinds(&["shop.wish"]));
    let engine = Engine::builder().limits(limits()).policy(policy).build().await.unwrap();
    let bot = Identity::bot(user("till"), "Till");
    let [ann, till, host] = [human("ann"), bot, Identity::system()].map(|who| engine.hub(who));
    let room = ann.create(RoomSpec::public("general").members([user("till")])).await.unwrap().id();
    for (hub, kind, allowed) in [
        (&ann, "shop.wish", true),
        (&ann, "shop.order", false),
        (&till, "shop.order", true),
        (&host, "shop.order", true),
    ] {
        let posted = post_to(hub, room, wish(kind)).await.map_err(|error| error.code);
        assert!(if allowed { posted.is_ok() } else { posted == Err(Code::Denied) }, "{kind}: {posted:?}");
    }
}

#[tokio::test]
async fn a_moderator_removes_members_but_no_moderator_and_no_owner() {
    let engine = engine().await;
    let [ann, mia] = ["ann", "mia"].map(|name| engine.hub(human(name)));
    let spec = RoomSpec::public("general").members(["mia", "max", "bob"].map(user));
    let room = ann.create(spec).await.unwrap().id();
    for moderator in ["mia", "max"] {
        post_to(&ann, room, role(moderator, Role::Moderator)).await.unwrap();
    }
    for above in ["ann", "max"] {
        assert_eq!(post_to(&mia, room, leave(above)).await.unwrap_err().code, Code::Denied, "{above}");
    }
    assert_eq!(post_to(&mia, room, leave("nobody")).await.unwrap_err().code, Code::NotFound);
    post_to(&mia, room, leave("bob")).await.unwrap();
    post_to(&ann, room, role("max", Role::Member)).await.unwrap();
    post_to(&mia, room, leave("max")).await.unwrap();
    post_to(&ann, room, leave("mia")).await.unwrap();
}

#[tokio::test]
async fn only_messages_are_edited_and_deleted() {
    let engine = engine().await;
    let ann = engine.hub(human("ann"));
    let room = ann.create(RoomSpec::public("general")).await.unwrap();
    let edit = Body::Edit(Edit { target: Seq::FIRST, text: "renamed".into() });
    for body in [edit, Body::Delete(Seq::FIRST)] {
        assert_eq!(post_to(&ann, room.id(), Draft::new(body)).await.unwrap_err().code, Code::NotFound);
    }
}

/// A host that lets each text pass once.
#[derive(Default)]
struct Once(Mutex<BTreeSet<String>>);

#[async_trait]
impl Policy for Once {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        Members::default().authorize(who, action, access)
    }

    async fn screen(&self, _: &Identity, _: RoomId, draft: &mut Draft) -> Result<(), Code> {
        let is_new = draft.body.text().is_none_or(|text| self.0.lock().unwrap().insert(text.to_owned()));
        if is_new { Ok(()) } else { Err(Code::Denied) }
    }
}

#[tokio::test]
async fn what_is_stored_is_not_refused_by_a_later_look_at_it() {
    let engine = Engine::builder().limits(limits()).policy(Arc::new(Once::default())).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let draft = Draft::text("hi");
    let (first, at_once) = tokio::join!(room.post(draft.clone()), room.post(draft.clone()));
    let first = first.unwrap();
    assert_eq!(at_once, Ok(first));
    assert_eq!(room.post(draft).await, Ok(first));
    assert_eq!(room.post(Draft::text("hi")).await.unwrap_err().code, Code::Denied, "this is another message");
}

/// A host that counts what it lets pass, and writes the number beside it.
#[derive(Default)]
struct Numbers(AtomicU64);

#[async_trait]
impl Policy for Numbers {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        Members::default().authorize(who, action, access)
    }

    async fn screen(&self, _: &Identity, _: RoomId, draft: &mut Draft) -> Result<(), Code> {
        if let Some(text) = draft.body.text() {
            draft.body = Body::Text(Text::new(format!("{text} [{}]", self.0.fetch_add(1, Ordering::Relaxed))));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_retry_is_known_by_what_was_sent_though_screening_makes_something_else_of_it() {
    let engine = Engine::builder().limits(limits()).policy(Arc::new(Numbers::default())).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap();
    let draft = Draft::text("hi");
    let first = room.post(draft.clone()).await.unwrap();
    assert_eq!(room.post(draft.clone()).await, Ok(first));
    let other = Draft { body: Body::Text(Text::new("hi [0]")), ..draft };
    assert_eq!(room.post(other).await.unwrap_err().code, Code::Conflict, "what is shown was not what was sent");
    let shown = room.history(Page::default()).await.unwrap();
    assert_eq!(shown.iter().filter_map(|entry| entry.body.text()).collect::<Vec<_>>(), ["hi [0]"]);
}

/// A host that looks at who is to be in a room of two: it takes a second over it, spells names in its own way, and knows
/// those whom it is told.
#[derive(Default)]
struct Acquaintances {
    known: Mutex<BTreeSet<&'static str>>,
    looks: AtomicU64,
}

impl Acquaintances {
    fn of(names: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { known: Mutex::new(names.iter().copied().collect()), looks: AtomicU64::new(0) })
    }

    async fn engine(self: &Arc<Self>, store: &Arc<MemoryStore>) -> Engine {
        let engine = Engine::builder().limits(limits()).store(store.clone()).policy(self.clone());
        engine.build().await.unwrap()
    }
}

#[async_trait]
impl Policy for Acquaintances {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        Members::default().authorize(who, action, access)
    }

    async fn screen(&self, _: &Identity, room: RoomId, draft: &mut Draft) -> Result<(), Code> {
        let Body::Room(RoomChange::Created(spec)) = &mut draft.body else { return Ok(()) };
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.looks.fetch_add(1, Ordering::Relaxed);
        assert_eq!(room, RoomId::direct(&spec.members[0], &spec.members[1]));
        spec.data = json!({ "seen": true });
        spec.members = spec.members.iter().map(|name| user(&name.as_str().to_lowercase())).collect();
        let known = self.known.lock().unwrap();
        if spec.members.iter().all(|name| known.contains(name.as_str())) { Ok(()) } else { Err(Code::NotFound) }
    }
}

async fn say(hub: &LocalHub, to: &str, text: &str) -> Result<Posted, Code> {
    hub.direct(&user(to)).post(Draft::text(text)).await.map_err(|error| error.code)
}

#[tokio::test(start_paused = true)]
async fn the_host_sees_whom_a_first_private_message_is_for() {
    let (host, store) = (Acquaintances::of(&["ann", "bob"]), Arc::new(MemoryStore::new()));
    let engine = host.engine(&store).await;
    let ann = engine.hub(human("ann"));
    for name in ["zoe", "BOB"] {
        assert_eq!(say(&ann, name, "psst").await, Err(Code::NotFound), "{name}");
        let room = RoomId::direct(&user("ann"), &user(name));
        assert!(store.read(room, Seq::ZERO, 1).await.unwrap().is_empty(), "there is a room with {name}");
    }
    let draft = Draft::text("psst");
    let first = ann.direct(&user("bob")).post(draft.clone()).await.unwrap();
    assert_eq!(ann.direct(&user("bob")).post(draft).await, Ok(first));
    say(&ann, "bob", "are you there?").await.unwrap();
    say(&engine.hub(human("bob")), "ann", "yes").await.unwrap();
    assert_eq!(host.looks.load(Ordering::Relaxed), 3, "only a room that is not there is looked at");
    let entries = store.read(RoomId::direct(&user("ann"), &user("bob")), Seq::ZERO, 1).await.unwrap();
    let Body::Room(RoomChange::Created(spec)) = &entries[0].body else { panic!("{entries:?}") };
    assert_eq!(spec.data, json!({ "seen": true }), "what the host adds is kept");
}

#[tokio::test(start_paused = true)]
async fn a_host_looks_at_many_first_messages_at_once() {
    let names: Vec<&'static str> = (0..40).map(|number| &*format!("friend{number}").leak()).collect();
    let host = Acquaintances::of(&[&["ann"][..], &names].concat());
    let engine = host.engine(&Arc::new(MemoryStore::new())).await;
    let ann = engine.hub(human("ann"));
    let said = futures::future::join_all(names.iter().map(|name| say(&ann, name, "hello"))).await;
    assert!(said.iter().all(Result::is_ok), "one waited for the other until it was too late: {said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_room_that_another_node_has_opened_is_not_opened_again() {
    let (host, store) = (Acquaintances::of(&["ann", "bob"]), Arc::new(MemoryStore::new()));
    let (here, there) = (host.engine(&store).await, host.engine(&store).await);
    let (ann, bob) = (here.hub(human("ann")), there.hub(human("bob")));
    host.known.lock().unwrap().remove("bob");
    assert_eq!(say(&ann, "bob", "psst").await, Err(Code::NotFound));
    host.known.lock().unwrap().insert("bob");
    say(&bob, "ann", "hello").await.unwrap();
    host.known.lock().unwrap().clear();
    say(&ann, "bob", "hello yourself").await.unwrap();
    let bot = here.hub(Identity::bot(user("bot:news"), "News"));
    say(&bot, "ann", "of bots the host knows itself").await.unwrap();
}

#[tokio::test]
async fn what_is_stored_is_not_refused_because_an_inbox_takes_no_such_old_key() {
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let room = engine.hub(human("ann")).create(RoomSpec::public("general")).await.unwrap().id();
    let bob = engine.hub(human("bob"));
    for number in 0..4 {
        bob.create(RoomSpec::public(format!("fills the inbox {number}"))).await.unwrap();
    }
    store.trim(RoomId::inbox(&user("bob")), Seq::new(3).unwrap()).await.unwrap();
    let of_a_late_clock = Draft { key: Key::new(1_600_000_000_000, [3; 10]), ..join("bob") };
    post_to(&bob, room, of_a_late_clock).await.unwrap();
}

#[tokio::test]
async fn nobody_acts_under_a_name_of_the_engines_own_authors() {
    let engine = engine().await;
    let system = engine.hub(Identity::system());
    let room = system.create(RoomSpec::public("general")).await.unwrap().id();
    let impostors = [human("system"), human("bot:stock"), Identity::bot(user("system"), "System")];
    for who in impostors {
        let hub = engine.hub(who);
        assert_eq!(post_to(&hub, room, Draft::text("believe me")).await.unwrap_err().code, Code::Unauthenticated);
        assert_eq!(hub.create(RoomSpec::private("mine")).await.err().unwrap().code, Code::Unauthenticated);
        Stream::new(hub.events(Vec::new())).closed().await;
    }
    let bot = engine.hub(Identity::bot(user("bot:stock"), "stock"));
    assert_eq!(post_to(&bot, room, Draft::text("no member")).await.unwrap_err().code, Code::Denied);
    post_to(&system, room, Draft::text("the host itself")).await.unwrap();
}

/// Counts the notices in a user's inbox.
async fn notices(store: &MemoryStore, name: &str) -> usize {
    let inbox = store.read(RoomId::inbox(&user(name)), Seq::ZERO, 100).await.unwrap();
    inbox.iter().filter(|entry| matches!(entry.body, Body::Inbox(_))).count()
}

#[tokio::test]
async fn a_first_private_message_is_acknowledged_when_both_inboxes_know_of_the_room() {
    let store = Arc::new(MemoryStore::new());
    let engine = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
    let to_bob = engine.hub(human("ann")).direct(&user("bob"));
    let draft = Draft::text("hi");
    let first = to_bob.post(draft.clone()).await.unwrap();
    assert_eq!((notices(&store, "ann").await, notices(&store, "bob").await), (1, 1));
    assert_eq!(to_bob.post(draft).await, Ok(first));
    assert_eq!((notices(&store, "ann").await, notices(&store, "bob").await), (1, 1), "told once");
}

#[tokio::test]
async fn a_first_private_message_whose_node_died_before_it_told_anybody_is_told_of_by_its_retry() {
    let (whole, torn) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let draft = Draft::text("hi");
    let on = async |store: &Arc<MemoryStore>| {
        let engine = Engine::builder().limits(limits()).store(store.clone()).build().await.unwrap();
        engine.hub(human("ann")).direct(&user("bob")).post(draft.clone()).await.unwrap()
    };
    let first = on(&whole).await;
    // The same log without the inboxes: as if the node had died right after the append.
    let room = RoomId::direct(&user("ann"), &user("bob"));
    let entries = whole.read(room, Seq::ZERO, 10).await.unwrap().into_iter().map(|entry| {
        let draft = Draft { key: entry.key, body: entry.body };
        NewEntry::new(entry.id, draft, entry.author, entry.name, entry.at)
    });
    torn.append(&[Append { room, guard: Some(Seq::ZERO), entries: entries.collect() }]).await.unwrap();
    assert_eq!(on(&torn).await, first);
    assert_eq!((notices(&torn, "ann").await, notices(&torn, "bob").await), (1, 1));
}

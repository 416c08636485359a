//! The golden frames of servers: these values are written as exactly these bytes. What a client makes of them is
//! tested by the clients.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chat_core::{
    Body, Cursor, Draft, Entry, EntryId, GapReason, HubError, Identity, Key, RoomId, RoomSpec, RoomSummary, Seq,
    ServerFrame, Signal, Text, UserId,
    model::{
        Edit, Erase, Folded, Member, MemberChange, Membership, NewEntry, Notice, Person, React, Reaction, Role,
        RoomChange, RoomRecord, Timestamp, Visibility,
    },
    protocol::{Close, CloseCode, Code, Features, encode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::schema::{assert_valid, strict_judge};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    frame: String,
    /// For clients: what the application is told, and whether they connect again.
    #[serde(rename = "hears")]
    _hears: Option<Value>,
    #[serde(rename = "reconnects")]
    _reconnects: Option<bool>,
}

fn room() -> RoomId {
    RoomId::named("order:4711")
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn key() -> Key {
    "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f02".parse().unwrap()
}

fn id() -> EntryId {
    "01932f5c-8a70-7c3e-9d1a-5b7e2f4c6a01".parse().unwrap()
}

const NOW: Timestamp = Timestamp(1_731_666_414_192);

fn entry(body: Body) -> Entry {
    NewEntry::new(id(), Draft { key: key(), body }, user("bob"), "Bob".into(), NOW).at(room(), seq(42))
}

fn message() -> Entry {
    let mut message = entry(Body::Text(Text::new("hello, world")));
    let mut folded = Folded::default();
    folded.edited = Some(Timestamp(1_731_666_420_000));
    folded.reactions = vec![Reaction { emoji: "👍".into(), users: vec![user("ann"), user("cyd")] }];
    message.folded = Some(Box::new(folded));
    message
}

fn deleted() -> Entry {
    let mut message = entry(Body::Text(Text::default()));
    let mut folded = Folded::default();
    folded.deleted = true;
    message.folded = Some(Box::new(folded));
    message
}

fn summaries() -> Vec<RoomSummary> {
    let spec = RoomSpec::public("Order 4711").named("order:4711").since_join();
    let mut mine = RoomRecord::new(room(), &spec, NOW);
    (mine.topic, mine.data) = ("Where and when".into(), json!({"order": 4711}));
    let member = Member::new(user("ann"), "Ann", Role::Owner, Seq::FIRST);
    let mut mine = RoomSummary::new(mine, Some(member), seq(42), Seq::ZERO);
    (mine.read, mine.unread, mine.last) = (seq(41), 1, Some(message()));
    let other = RoomRecord::new(RoomId::named("tea"), &RoomSpec::private("Tea"), NOW);
    let mut spec = RoomSpec::default();
    spec.visibility = Visibility::Direct;
    let direct = RoomRecord::new(RoomId::direct(&user("ann"), &user("bob")), &spec, NOW);
    let member = Member::new(user("ann"), "Ann", Role::Owner, Seq::FIRST);
    let mut direct = RoomSummary::new(direct, Some(member), seq(2), Seq::ZERO);
    direct.with = Some(Person::new(user("bob"), "Bob"));
    vec![mine, RoomSummary::new(other, None, seq(7), Seq::ZERO), direct]
}

/// Adds frames under names.
struct Written(BTreeMap<String, String>);

impl Written {
    fn add(&mut self, name: &str, frame: &ServerFrame<'_>) {
        let text = String::from_utf8(encode(frame)).unwrap();
        assert!(self.0.insert(name.to_owned(), text).is_none(), "{name} twice");
    }
}

/// Everything a server can say, in each of its forms.
fn written() -> BTreeMap<String, String> {
    let mut written = Written(BTreeMap::new());
    session(&mut written);
    lists(&mut written);
    rooms(&mut written);
    bodies(&mut written);
    signals(&mut written);
    refusals(&mut written);
    written.0
}

fn session(written: &mut Written) {
    let identity = Identity::human(user("ann"), "Ann");
    let mut features = Features::new(65_536, 4_000, 256);
    features.commands.push(("stock".into(), "/stock=CODE tells the price of a share".into()));
    let welcome = |reference| ServerFrame::Welcome { reference, identity: &identity, features: &features, now: NOW };
    written.add("welcome", &welcome(Some(1)));
    written.add("welcome without a ref", &welcome(None));
    written.add("expiring", &ServerFrame::Expiring { at: NOW });
    let close = Close::new(CloseCode::Draining).after(Duration::from_millis(1_500));
    written.add("close with a wait", &ServerFrame::Close(&close));
    for code in CloseCode::ALL {
        written.add(&format!("close {}", *code as u16), &ServerFrame::Close(&Close::new(*code)));
    }
}

fn lists(written: &mut Written) {
    let (room, reference) = (room(), Some(7));
    written.add("rooms", &ServerFrame::Rooms { reference, rooms: &summaries() });
    written.add("no rooms", &ServerFrame::Rooms { reference, rooms: &[] });
    let members = [
        (Member::new(user("ann"), "Ann", Role::Owner, Seq::FIRST), true),
        (Member::new(user("bob"), "bob", Role::Member, seq(3)), false),
    ];
    written.add("members", &ServerFrame::Members { reference, room, members: &members });
    written.add("history", &ServerFrame::History { reference, room, entries: &[message(), deleted()] });
}

fn rooms(written: &mut Written) {
    let (room, reference) = (room(), Some(7));
    let cursor = Cursor::new(room, seq(41), Some(id()));
    written.add("followed", &ServerFrame::Followed { reference: None, cursor });
    written.add("followed as asked", &ServerFrame::Followed { reference, cursor });
    written.add("followed from the start", &ServerFrame::Followed { reference: None, cursor: Cursor::start(room) });
    written.add("unfollowed as asked", &ServerFrame::Unfollowed { reference, room, why: Code::Unfollowed });
    for why in [Code::Left, Code::Removed, Code::NotFound, Code::TooMany, Code::Retry] {
        written.add(&format!("unfollowed {why}"), &ServerFrame::Unfollowed { reference: None, room, why });
    }
    written.add("ack", &ServerFrame::Ack { reference, key: key(), room, seq: seq(42), id: id() });
    written.add("ack without a ref", &ServerFrame::Ack { reference: None, key: key(), room, seq: seq(42), id: id() });
    written.add("accepted", &ServerFrame::Accepted { reference, key: key() });
    let gap = |why| ServerFrame::Gap { room, from: seq(42), to: seq(60), why };
    written.add("gap of what is not kept", &gap(GapReason::Retention));
    written.add("gap of what is not visible", &gap(GapReason::NotVisible));
    written.add("reset", &ServerFrame::Reset { room });
}

fn bodies(written: &mut Written) {
    let mut rich = Text::new("me too: \"quoted\" \\ \n\t😀 \u{7f}").reply_to(seq(41));
    rich.data = json!({"mood": "good"});
    let member = |change| Body::Member(MemberChange { user: user("ann"), change });
    let spec = RoomSpec::public("Order 4711").named("order:4711").members([user("ann")]);
    let custom = |data| Body::Custom { kind: "shop.order".into(), text: "Order 4711".into(), data };
    for (name, body) in [
        ("text", Body::Text(Text::new("hello"))),
        ("text with an answer and data", Body::Text(rich)),
        ("edit", Body::Edit(Edit { target: seq(40), text: "hello, world".into() })),
        ("delete", Body::Delete(seq(40))),
        ("react", Body::React(React { target: seq(40), emoji: "👍".into(), on: true })),
        ("erase", Body::Erase(Erase { user: UserId::stand_in([10; 8]), targets: vec![seq(2), seq(40)] })),
        ("react taken back", Body::React(React { target: seq(40), emoji: "👍".into(), on: false })),
        ("join", member(Membership::Join)),
        ("leave", member(Membership::Leave)),
        ("role", member(Membership::Role(Role::Moderator))),
        ("created", Body::Room(RoomChange::Created(spec))),
        ("created without anything", Body::Room(RoomChange::Created(RoomSpec::default()))),
        ("set", Body::Room(RoomChange::Set { title: Some("Tea".into()), topic: Some("".into()), data: None })),
        ("inbox joined", Body::Inbox(Notice::Joined(RoomId::named("tea")))),
        ("inbox left", Body::Inbox(Notice::Left(RoomId::named("tea")))),
        ("inbox revoked", Body::Inbox(Notice::Revoked { login: Some("login-1".into()) })),
        ("inbox all revoked", Body::Inbox(Notice::Revoked { login: None })),
        ("custom", custom(Value::Null)),
        ("custom with data", custom(json!({"order": 4711}))),
        ("a newer kind", Body::decode(r#"{"kind":"hologram","beam":3}"#).unwrap()),
    ] {
        written.add(&format!("entry: {name}"), &ServerFrame::Entry(&entry(body)));
    }
}

fn signals(written: &mut Written) {
    let (room, user): (RoomId, UserId) = (room(), user("bob"));
    let name: Arc<str> = "Bob".into();
    for (vector, signal) in [
        ("typing", Signal::Typing { room, user: user.clone(), name: name.clone(), on: true }),
        ("typing ends", Signal::Typing { room, user: user.clone(), name, on: false }),
        ("read", Signal::Read { room, seq: seq(43) }),
        ("presence", Signal::Presence { user: user.clone(), online: false }),
        ("whisper", Signal::Whisper { room, user: UserId::bot("stock").unwrap(), text: "for your eyes only".into() }),
        ("custom", Signal::Custom { room, user: user.clone(), kind: "shop.cursor".into(), data: json!({"line": 7}) }),
        ("custom without data", Signal::Custom { room, user, kind: "shop.bell".into(), data: Value::Null }),
    ] {
        written.add(&format!("signal: {vector}"), &ServerFrame::Signal(&signal));
    }
}

fn refusals(written: &mut Written) {
    let slow = HubError::from(Code::RateLimited).after(Duration::from_millis(250));
    written.add("error of a send", &ServerFrame::Error { reference: Some(7), key: Some(key()), error: &slow });
    written
        .add("error without a ref", &ServerFrame::Error { reference: None, key: None, error: &Code::Invalid.into() });
    for code in Code::ALL {
        let frame = ServerFrame::Error { reference: Some(7), key: None, error: &(*code).into() };
        written.add(&format!("error {code}"), &frame);
    }
}

fn vectors() -> Vec<Vector> {
    crate::vectors(include_str!("../../../docs/protocol/vectors/server-frames.json"))
}

#[test]
fn every_value_is_written_as_exactly_these_bytes() {
    let golden: BTreeMap<_, _> = vectors().into_iter().map(|vector| (vector.name, vector.frame)).collect();
    let written = written();
    for (name, frame) in &written {
        assert_eq!(golden.get(name), Some(frame), "{name}");
    }
    assert_eq!(written.len(), golden.len(), "a golden frame that nobody writes");
}

#[test]
fn every_frame_is_valid_and_has_no_field_that_is_not_described() {
    let judge = strict_judge("server");
    for vector in vectors() {
        assert!(vector.frame.starts_with(r#"{"type":""#), "{}", vector.name);
        assert_valid(&judge, &serde_json::from_str(&vector.frame).unwrap());
    }
}

/// All types that the code writes are among the golden frames, since a test above names every one of its values.
#[test]
fn the_schema_knows_the_types_that_are_written_and_no_other() {
    let frames = vectors().into_iter().map(|vector| serde_json::from_str::<Value>(&vector.frame).unwrap());
    let written: BTreeSet<_> = frames.map(|frame| frame["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(written, crate::schema::types("server"));
}

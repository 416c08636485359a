//! The state alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{
    Body, Code, Draft, Entry, EntryId, Event, Key, Outgoing, RoomId, RoomSpec, RoomSummary, Seq, Signal, Timestamp,
    UserId,
    model::{Edit, Erase, NewEntry, RoomRecord},
};
use crossterm::event::KeyCode;

use super::{enter, press, screen};
use crate::state::{News, State, Wish};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn entry(room: RoomId, seq: u64, author: &str, draft: Draft) -> Entry {
    let id = EntryId::new(i64::try_from(seq).unwrap(), [1; 10]);
    NewEntry::new(id, draft, user(author), author.into(), Timestamp(1)).into_entry(room, Seq::new(seq).unwrap())
}

fn event(room: RoomId, seq: u64, author: &str, draft: Draft) -> News {
    News::Event(Event::Entry(Arc::new(entry(room, seq, author, draft))))
}

fn summary(id: RoomId, title: &str) -> RoomSummary {
    let record = RoomRecord::new(id, &RoomSpec::public(title), Timestamp(1));
    RoomSummary::new(record, None, Seq::FIRST, Seq::ZERO)
}

/// Ann's, with two rooms, of which the first is open.
fn state() -> (State, RoomId, RoomId) {
    let (tea, cake) = (RoomId::random([1; 16]), RoomId::random([2; 16]));
    let mut state = State::new(user("ann"));
    let now = Instant::now();
    let wanted = state.hear(News::Rooms(vec![summary(tea, "Tea"), summary(cake, "Cake")]), now);
    assert_eq!(wanted, [Wish::Open(tea)]);
    state.hear(News::History(tea, Vec::new()), now);
    (state, tea, cake)
}

#[test]
fn a_post_is_marked_until_it_is_in_the_log() {
    let (mut state, tea, _) = state();
    let wanted = enter(&mut state, "hello");
    let [Wish::Post { room, draft }] = &wanted[..] else { panic!("{wanted:?}") };
    assert_eq!((*room, draft.body.text()), (tea, Some("hello")));
    assert!(screen(&state).contains("… hello"));

    state.hear(event(tea, 2, "ann", draft.clone()), Instant::now());
    assert!(screen(&state).contains("ann: hello") && !screen(&state).contains("… hello"));
}

#[test]
fn a_refused_post_says_why() {
    let (mut state, _, _) = state();
    let wanted = enter(&mut state, "hello");
    let [Wish::Post { draft, .. }] = &wanted[..] else { panic!("{wanted:?}") };
    state.hear(News::Posted { key: draft.key, done: Err("too long".into()) }, Instant::now());
    assert!(screen(&state).contains("not sent: too long") && !screen(&state).contains("… hello"));
}

#[test]
fn what_comes_twice_is_shown_once_and_edits_change_it() {
    let (mut state, tea, _) = state();
    let draft = Draft::text("helo");
    for _ in 0..2 {
        state.hear(event(tea, 2, "bob", draft.clone()), Instant::now());
    }
    assert_eq!(screen(&state).matches("bob: helo").count(), 1);
    let edit = Body::Edit(Edit { target: Seq::new(2).unwrap(), text: "hello".into() });
    state.hear(event(tea, 3, "bob", Draft::new(edit)), Instant::now());
    assert!(screen(&state).contains("bob: hello"));
    state.hear(event(tea, 4, "bob", Draft::new(Body::Delete(Seq::new(2).unwrap()))), Instant::now());
    assert!(screen(&state).contains("bob: (deleted)"));
}

#[test]
fn a_long_evening_takes_no_more_memory_than_a_short_one() {
    let (mut state, tea, _) = state();
    for seq in 1..=1_200 {
        state.hear(event(tea, seq, "bob", Draft::text(format!("word {seq}"))), Instant::now());
    }
    let kept: Vec<_> = state.rooms[0].messages.keys().map(|seq| seq.get()).collect();
    assert_eq!(kept, (201..=1_200).collect::<Vec<_>>());
}

#[test]
fn who_is_erased_is_blanked_and_nameless() {
    let (mut state, tea, _) = state();
    state.hear(event(tea, 2, "bob", Draft::text("a secret")), Instant::now());
    state.hear(event(tea, 3, "eve", Draft::text("kept")), Instant::now());
    let erase = Erase { user: UserId::stand_in([1; 8]), targets: vec![Seq::new(2).unwrap()] };
    state.hear(event(tea, 4, "system", Draft::new(Body::Erase(erase))), Instant::now());
    let shown = screen(&state);
    assert!(shown.contains("somebody erased: (deleted)") && shown.contains("eve: kept"), "{shown}");
    assert!(!shown.contains("a secret") && !shown.contains("bob:"), "{shown}");
}

#[test]
fn other_rooms_count_what_is_unread_until_they_are_looked_at() {
    let (mut state, _, cake) = state();
    state.hear(event(cake, 2, "bob", Draft::text("yum")), Instant::now());
    assert!(screen(&state).contains("Cake (1)"));
    assert_eq!(press(&mut state, KeyCode::Tab), [Wish::Open(cake)]);
    let wanted = state.hear(News::History(cake, Vec::new()), Instant::now());
    assert_eq!(wanted, [Wish::Signal { room: cake, signal: Outgoing::Read(Seq::new(2).unwrap()) }]);
    assert!(screen(&state).contains("bob: yum") && !screen(&state).contains("Cake (1)"));
}

#[test]
fn typing_is_told_now_and_then_and_shown_for_a_while() {
    let (mut state, tea, _) = state();
    let typing = [Wish::Signal { room: tea, signal: Outgoing::Typing(true) }];
    assert_eq!(press(&mut state, KeyCode::Char('h')), typing);
    assert_eq!(press(&mut state, KeyCode::Char('i')), []);

    let now = Instant::now();
    let signal = Signal::Typing { room: tea, user: user("bob"), name: "Bob".into(), on: true };
    state.hear(News::Event(Event::Signal(signal)), now);
    assert!(screen(&state).contains("Bob is typing…"));
    state.tick(true, now + Duration::from_secs(5));
    assert!(!screen(&state).contains("Bob is typing…"));
}

#[test]
fn commands_of_this_program_are_not_posted_and_those_of_the_server_are() {
    let (mut state, tea, _) = state();
    assert_eq!(enter(&mut state, ":join Lunch at one"), [Wish::Join("Lunch at one".into())]);
    assert_eq!(enter(&mut state, ":new Lunch"), [Wish::Create("Lunch".into())]);
    assert_eq!(enter(&mut state, ":dance"), []);
    assert!(screen(&state).contains(":dance is not known here"));
    assert!(matches!(&enter(&mut state, "/stock=aapl.us")[..], [Wish::Post { room, .. }] if *room == tea));
    enter(&mut state, ":quit");
    assert!(state.ends);
}

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let (mut state, tea, _) = state();
    state.hear(event(tea, 2, "bob", Draft::text("a\u{1b}[2Jb\u{9b}c\nd\u{202e}e")), Instant::now());
    assert!(screen(&state).contains("bob: a [2Jb c de"));
}

#[test]
fn a_long_text_is_cut_where_the_screen_ends_and_the_newest_is_seen() {
    let (mut state, tea, _) = state();
    state.hear(event(tea, 2, "bob", Draft::text("x".repeat(700))), Instant::now());
    state.hear(event(tea, 3, "bob", Draft::text("last")), Instant::now());
    assert!(screen(&state).contains("bob: last") && !screen(&state).contains("bob: x"));
    press(&mut state, KeyCode::PageUp);
    assert!(screen(&state).contains("bob: x"));
}

#[test]
fn a_room_that_is_left_goes_and_one_with_a_hole_is_read_again() {
    let (mut state, tea, cake) = state();
    assert_eq!(state.hear(News::Event(Event::Reset(tea)), Instant::now()), [Wish::Open(tea)]);
    let left = Event::Unfollowed { room: tea, why: Code::Left };
    assert_eq!(state.hear(News::Event(left), Instant::now()), [Wish::Open(cake)]);
    assert!(!screen(&state).contains("Tea"));
}

#[test]
fn the_connection_is_seen() {
    let (mut state, _, _) = state();
    state.tick(false, Instant::now());
    assert!(screen(&state).contains("connecting…"));
    state.tick(true, Instant::now());
    assert!(screen(&state).contains("online"));
}

#[test]
fn nothing_is_posted_before_a_room_is_open_and_the_text_stays() {
    let mut state = State::new(user("ann"));
    assert_eq!(enter(&mut state, "hello"), []);
    assert_eq!(state.input, "hello");
    let done = News::Posted { key: Key::generate(), done: Ok(()) };
    assert_eq!(state.hear(done, Instant::now()), []);
}

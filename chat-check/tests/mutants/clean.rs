//! A history that keeps all promises, and the words to write others.
//!
//! Ann (client `a1`, and `a2` later) and Bob (`b1`) talk in one room. Bob is cut off, comes back and receives what he
//! missed; one answer to Ann is lost, so she sends again; Eve (`e1`) joins and is removed.

use std::sync::Arc;

use chat_check::history::{
    Acked, Answered, Asked, Change, Closed, Ended, Event, Fault, Followed, How, HungUp, Log, Membership, Missing,
    OnWire, Part, Received, Refused, Restarted, Row, Sent, Unfollowed, Unknown,
};

const ROOM: &str = "tea";

type Name = Arc<str>;

fn name(text: &str) -> Name {
    text.into()
}

fn room() -> Name {
    name(ROOM)
}

fn user_of(c: &str) -> Name {
    let user = match c.as_bytes()[0] {
        b'a' => "ann",
        b'b' => "bob",
        _ => "eve",
    };
    name(user)
}

/// The entry at `seq` has the id `e{seq}`, the key `k{seq}` and the hash `h{seq}`.
fn of(letter: char, seq: u64) -> Name {
    format!("{letter}{seq}").into()
}

pub(crate) fn send(c: &str, seq: u64) -> Event {
    Event::Send(Sent { c: name(c), user: user_of(c), room: room(), key: of('k', seq), hash: of('h', seq) })
}

pub(crate) fn ack(c: &str, seq: u64) -> Event {
    Event::Ack(Acked { c: name(c), room: room(), key: of('k', seq), seq, id: of('e', seq) })
}

fn refused(c: &str, seq: u64, code: &str) -> Refused {
    Refused { c: name(c), room: room(), key: of('k', seq), code: name(code) }
}

pub(crate) fn nack(c: &str, seq: u64, code: &str) -> Event {
    Event::Nack(refused(c, seq, code))
}

pub(crate) fn retry(c: &str, seq: u64) -> Event {
    Event::Retry(refused(c, seq, "draining"))
}

pub(crate) fn info(c: &str, seq: u64) -> Event {
    Event::Info(Unknown { c: name(c), room: room(), key: of('k', seq) })
}

pub(crate) fn sub(c: &str, from: u64) -> Event {
    Event::Sub(Followed { c: name(c), user: user_of(c), room: room(), from })
}

pub(crate) fn unsub(c: &str) -> Event {
    Event::Unsub(Unfollowed { c: name(c), room: room(), why: name("removed") })
}

pub(crate) fn recv(c: &str, seq: u64) -> Event {
    let (id, key, hash) = (of('e', seq), of('k', seq), of('h', seq));
    Event::Recv(Received { c: name(c), user: user_of(c), room: room(), seq, id, key, hash, how: How::Live })
}

pub(crate) fn wire(c: &str, link: u64, seq: u64) -> Event {
    Event::Wire(OnWire { c: name(c), link, room: room(), seq, id: of('e', seq) })
}

pub(crate) fn gap(c: &str, a: u64, b: u64, reason: &str) -> Event {
    Event::Gap(Missing { c: name(c), room: room(), a, b, reason: name(reason) })
}

pub(crate) fn reset(c: &str) -> Event {
    Event::Reset(Restarted { c: name(c), room: room() })
}

pub(crate) fn member(user: &str, change: Change, seq: u64) -> Event {
    Event::Member(Membership { room: room(), user: name(user), change, seq })
}

pub(crate) fn asked(c: &str, link: u64, r: u64, seq: u64) -> Event {
    Event::Asked(Asked { c: name(c), link, r, room: room(), key: of('k', seq) })
}

pub(crate) fn answered(c: &str, link: u64, r: u64, seq: u64) -> Event {
    Event::Answered(Answered { c: name(c), link, r, code: name("ack"), stored: Some((seq, of('e', seq))) })
}

pub(crate) fn refusal(c: &str, link: u64, r: u64) -> Event {
    Event::Answered(Answered { c: name(c), link, r, code: name("not_found"), stored: None })
}

pub(crate) fn close(c: &str, link: u64, retry_after: Option<u64>) -> Event {
    Event::Close(Closed { c: name(c), link, code: 1012, retry_after })
}

pub(crate) fn hangup(c: &str, link: u64) -> Event {
    Event::Hangup(HungUp { c: name(c), link })
}

/// Something that was broken all the time.
pub(crate) fn fault(kind: &str) -> Event {
    Event::Fault(Fault { kind: name(kind), target: name("server"), start: 0, stop: 1_000_000 })
}

pub(crate) fn exit(status: Option<i32>, took_ms: u64) -> Event {
    Event::Exit(Ended { target: name("server"), status, took_ms, grace_ms: 15_000 })
}

pub(crate) fn read(after: u64, seqs: &[u64]) -> Event {
    let rows = seqs.iter().map(|seq| (*seq, of('e', *seq))).collect();
    Event::Read(Part { room: room(), after, rows })
}

pub(crate) fn row(user: &str, seq: u64) -> Row {
    Row { seq, id: of('e', seq), key: of('k', seq), user: name(user), hash: of('h', seq) }
}

pub(crate) fn log(trimmed: u64, authors: &[&str]) -> Event {
    let rows = authors.iter().zip(trimmed + 1..).map(|(author, seq)| row(author, seq)).collect();
    Event::Final(Log { room: room(), trimmed, rows })
}

/// The log at the end of a history.
pub(crate) fn rows(history: &mut [Event]) -> &mut Vec<Row> {
    let log = history.iter_mut().find_map(|event| if let Event::Final(log) = event { Some(log) } else { None });
    &mut log.unwrap().rows
}

/// The first place of an event.
pub(crate) fn place(history: &[Event], event: &Event) -> usize {
    history.iter().position(|other| other == event).expect("the history holds the event")
}

/// Puts an event right after another.
pub(crate) fn put_after(history: &mut Vec<Event>, event: &Event, more: Event) {
    let place = place(history, event);
    history.insert(place + 1, more);
}

pub(crate) fn remove(history: &mut Vec<Event>, event: &Event) {
    let place = place(history, event);
    history.remove(place);
}

/// Lets so many milliseconds pass before an event: each line is one.
pub(crate) fn pause(history: &mut Vec<Event>, event: &Event, ms: usize) {
    let place = place(history, event);
    history.splice(place..place, std::iter::repeat_n(read(0, &[1]), ms));
}

pub(crate) fn replace(history: &mut [Event], event: &Event, by: Event) {
    let place = place(history, event);
    history[place] = by;
}

pub(crate) fn swap(history: &mut [Event], one: &Event, other: &Event) {
    history.swap(place(history, one), place(history, other));
}

pub(crate) fn history() -> Vec<Event> {
    let (ann, bob, eve) = ("ann", "bob", "eve");
    vec![
        member(ann, Change::In, 1),
        member(bob, Change::In, 1),
        send("a1", 1), // the creation of the room
        ack("a1", 1),
        sub("a1", 1),
        sub("b1", 1),
        // Ann sends twice without waiting.
        send("a1", 2),
        send("a1", 3),
        asked("a1", 1, 2, 2),
        asked("a1", 1, 3, 3),
        wire("b1", 2, 2),
        recv("a1", 2),
        recv("b1", 2),
        answered("a1", 1, 2, 2),
        ack("a1", 2),
        answered("a1", 1, 3, 3),
        ack("a1", 3),
        recv("a1", 3),
        // Bob is cut off. Ann's next answer is lost, too; she sends again, and from another client as well.
        fault("cut"),
        send("a1", 4),
        asked("a1", 1, 4, 4),
        send("a2", 4),
        read(1, &[2, 3]),
        recv("a1", 4),
        ack("a2", 4),
        retry("a1", 4),
        send("a1", 4),
        ack("a1", 4),
        // Bob comes back, and receives one entry twice on the wire and once in his application.
        wire("b1", 3, 3),
        recv("b1", 3),
        wire("b1", 3, 4),
        wire("b1", 3, 4),
        recv("b1", 4),
        // Ann lets Eve in and throws her out.
        send("a1", 5),
        ack("a1", 5),
        member(eve, Change::In, 5),
        sub("e1", 4),
        recv("e1", 5),
        recv("a1", 5),
        recv("b1", 5),
        send("e1", 6),
        ack("e1", 6),
        recv("e1", 6),
        recv("a1", 6),
        recv("b1", 6),
        send("a1", 7),
        ack("a1", 7),
        member(eve, Change::Out, 7),
        unsub("e1"),
        recv("a1", 7),
        recv("b1", 7),
        // What Eve sends now is refused; what Bob sends is answered.
        send("e1", 9),
        nack("e1", 9, "not_found"),
        send("b1", 8),
        ack("b1", 8),
        recv("a1", 8),
        recv("b1", 8),
        // The server stops in order.
        fault("drain"),
        close("a1", 1, Some(700)),
        hangup("a1", 1),
        exit(Some(0), 300),
        log(0, &[ann, ann, ann, ann, ann, eve, ann, bob]),
    ]
}

/// Eve is thrown out, and her draft refused, but the connection is cut before anybody hears that. She is let in again,
/// what she sent next is stored over the same connection, and the refused draft by its second try.
pub(crate) fn unseen() -> Vec<Event> {
    let (ann, eve) = ("ann", "eve");
    vec![
        member(ann, Change::In, 1),
        member(eve, Change::In, 1),
        send("a1", 1),
        ack("a1", 1),
        sub("a1", 1),
        send("a1", 2),
        ack("a1", 2),
        recv("a1", 2),
        member(eve, Change::Out, 2),
        send("e1", 5),
        asked("e1", 1, 1, 5),
        send("e1", 4),
        asked("e1", 1, 2, 4),
        send("a1", 3),
        ack("a1", 3),
        recv("a1", 3),
        member(eve, Change::In, 3),
        recv("a1", 4),
        asked("e1", 2, 1, 5),
        asked("e1", 2, 2, 4),
        ack("e1", 5),
        ack("e1", 4),
        recv("a1", 5),
        log(0, &[ann, ann, ann, eve, eve]),
    ]
}

/// Eve's draft is on its way over a connection that she gives up. Over the next one she is refused, since she was thrown
/// out; she is let in again, and then the first try arrives.
pub(crate) fn late() -> Vec<Event> {
    let (ann, eve) = ("ann", "eve");
    vec![
        member(ann, Change::In, 1),
        member(eve, Change::In, 1),
        send("a1", 1),
        ack("a1", 1),
        sub("a1", 1),
        send("e1", 4),
        asked("e1", 1, 1, 4),
        send("a1", 2),
        ack("a1", 2),
        recv("a1", 2),
        member(eve, Change::Out, 2),
        asked("e1", 2, 1, 4),
        nack("e1", 4, "not_found"),
        send("a1", 3),
        ack("a1", 3),
        recv("a1", 3),
        member(eve, Change::In, 3),
        recv("a1", 4),
        log(0, &[ann, ann, ann, eve]),
    ]
}

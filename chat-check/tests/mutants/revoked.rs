//! A login that ends: what its client may still receive, and what breaks P13.

use chat_check::{
    checker::{Promise::P13, check},
    history::{Event, Record, Revocation},
};

use crate::clean::{answered, asked, history, recv, wire};

/// Revokes the login of client `b1` at the end of the clean history, and lets more happen so many ms after that.
fn judged(after_ms: u64, more: Event) -> Vec<String> {
    let mut records: Vec<_> = (0..).zip(history()).map(|(t, event)| Record { t: t * 1_000, event }).collect();
    let end = records.last().unwrap().t;
    let revoked = Revocation { c: "b1".into(), why: "logout".into(), within_ms: 2_000 };
    records.push(Record { t: end, event: Event::Revoked(revoked) });
    records.push(Record { t: end + after_ms * 1_000, event: more });
    let found = check(&records).violations.into_iter().filter(|violation| violation.promise == P13);
    found.inspect(|violation| assert_eq!(violation.witness.len(), 2)).map(|violation| violation.what).collect()
}

#[test]
fn what_comes_within_two_seconds_was_on_its_way() {
    assert_eq!(judged(2_000, recv("b1", 8)), Vec::<String>::new());
}

#[test]
fn what_others_receive_is_theirs() {
    assert_eq!(judged(9_000, recv("a1", 8)), Vec::<String>::new());
}

#[test]
fn what_the_client_itself_says_is_nobodys_fault() {
    assert_eq!(judged(9_000, asked("b1", 2, 9, 9)), Vec::<String>::new());
}

#[test]
fn an_entry_that_is_received_later() {
    assert_eq!(judged(2_001, recv("b1", 8)), ["b1 received something 2001 ms after its logout, 2000 ms are meant"]);
}

#[test]
fn an_entry_that_the_client_drops_and_the_wire_saw() {
    assert!(judged(3_000, wire("b1", 2, 8))[0].starts_with("b1 was sent something"));
}

#[test]
fn an_answer_that_comes_later() {
    assert!(judged(3_000, answered("b1", 2, 9, 9))[0].starts_with("b1 was answered something"));
}

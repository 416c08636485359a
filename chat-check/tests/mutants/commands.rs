//! Slash commands: Bob asks once more what the clean history does not have, and a bot answers.

use std::sync::Arc;

use chat_check::{
    checker::{Promise, check},
    history::{Asking, Event, Record, Refused, Row, Unknown},
};

use crate::{
    accepts,
    clean::{ack, close, exit, fault, hangup, history, put_after, recv, remove, replace, row, rows},
    judge,
};

const BOT: &str = "bot:stock";

fn asks() -> Event {
    Event::Command(Asking {
        c: "b1".into(),
        user: "bob".into(),
        room: "tea".into(),
        key: "c9".into(),
        bot: BOT.into(),
        reply: "k9".into(),
        notice: "too late".into(),
    })
}

fn taken() -> Event {
    Event::Accepted(Unknown { c: "b1".into(), room: "tea".into(), key: "c9".into() })
}

/// Bob asks, and the bot's answer is at 9, where all who are still there receive it. No server stops.
fn answered() -> Vec<Event> {
    let mut events = history();
    for gone in [fault("drain"), close("a1", 1, Some(700)), hangup("a1", 1), exit(Some(0), 300)] {
        remove(&mut events, &gone);
    }
    put_after(&mut events, &ack("b1", 8), asks());
    put_after(&mut events, &asks(), taken());
    put_after(&mut events, &recv("b1", 8), recv("b1", 9));
    put_after(&mut events, &recv("a1", 8), recv("a1", 9));
    rows(&mut events).push(row(BOT, 9));
    events
}

fn rejects(promise: Promise, events: Vec<Event>) {
    let (_, verdict) = judge(events);
    let found: Vec<_> = verdict.violations.iter().map(|violation| violation.promise).collect();
    assert!(found.contains(&promise), "{promise:?} is not among {found:?}");
}

#[test]
fn a_command_has_one_answer() {
    let verdict = accepts(answered());
    assert_eq!((verdict.summary.commands, verdict.summary.answers), (1, 1));
}

#[test]
fn a_command_that_is_never_answered() {
    let mut events = answered();
    for gone in [recv("b1", 9), recv("a1", 9)] {
        remove(&mut events, &gone);
    }
    rows(&mut events).pop();
    rejects(Promise::P15, events);
}

#[test]
fn a_command_that_is_answered_twice() {
    let mut events = answered();
    let again = Row { seq: 10, id: "e10".into(), ..row(BOT, 9) };
    rows(&mut events).push(again);
    rejects(Promise::P15, events);
}

#[test]
fn a_command_that_is_answered_by_somebody_else() {
    let mut events = answered();
    rows(&mut events)[8].user = "eve".into();
    rejects(Promise::P15, events);
}

#[test]
fn an_answer_that_nobody_asked_for() {
    let mut events = answered();
    for gone in [asks(), taken()] {
        remove(&mut events, &gone);
    }
    rejects(Promise::P6, events);
}

#[test]
fn an_answer_to_a_command_that_was_not_taken_may_be_there_or_not() {
    let told = Event::Nack(Refused { c: "b1".into(), room: "tea".into(), key: "c9".into(), code: "not_found".into() });
    let mut events = answered();
    replace(&mut events, &taken(), told);
    accepts(events);
}

/// Gives the events times, of which those from an event on are late.
fn late_from(events: Vec<Event>, event: &Event, by: u64) -> Vec<Record> {
    let late = events.iter().position(|other| other == event).unwrap();
    let time = |at: usize| 1_000 * at as u64 + if at >= late { by } else { 0 };
    events.into_iter().enumerate().map(|(at, event)| Record { t: time(at), event }).collect()
}

#[test]
fn an_answer_after_half_a_minute() {
    let found = check(&late_from(answered(), &recv("a1", 9), 36_000_000));
    assert_eq!(found.counts.get(&Promise::P15), Some(&2), "both receivers show it");
    assert!(check(&late_from(answered(), &recv("a1", 9), 29_000_000)).is_clean());
}

#[test]
fn a_notice_may_come_after_half_a_minute() {
    let mut events = answered();
    let notice: Arc<str> = "too late".into();
    for c in ["a1", "b1"] {
        let Event::Recv(mut told) = recv(c, 9) else { unreachable!() };
        told.hash = notice.clone();
        replace(&mut events, &recv(c, 9), Event::Recv(told));
    }
    rows(&mut events)[8].hash = notice;
    let late = events.iter().position(|event| matches!(event, Event::Recv(it) if it.seq == 9)).unwrap();
    let late = events[late].clone();
    assert!(check(&late_from(events, &late, 36_000_000)).is_clean());
}

//! Logs that were put back to an older state.

use chat_check::{checker::Promise, history::Event};

use crate::{
    accepts,
    clean::{ack, fault, history, nack, recv, remove, reset, row, rows, send, sub},
    rejects,
};

/// Bob's draft is at 9, everybody sees it, and then the log is put back: 9 is Ann's.
fn put_back() -> Vec<Event> {
    let mut events = history();
    for gone in [send("e1", 9), nack("e1", 9, "not_found")] {
        remove(&mut events, &gone);
    }
    let end = events.len() - 1;
    let lost = [send("b1", 19), lost(ack("b1", 19)), lost(recv("a1", 19)), lost(recv("b1", 19)), fault("restore")];
    let told = [reset("a1"), reset("b1"), sub("a1", 8), sub("b1", 8)];
    let after = [send("a1", 9), ack("a1", 9), recv("a1", 9), recv("b1", 9)];
    events.splice(end..end, lost.into_iter().chain(told).chain(after));
    rows(&mut events).push(row("ann", 9));
    settle(&mut events);
    events
}

/// Sets when the log was put back: where that stands.
fn settle(events: &mut [Event]) {
    for (at, event) in events.iter_mut().enumerate() {
        if let Event::Fault(fault) = event
            && &*fault.kind == "restore"
        {
            (fault.start, fault.stop) = (1_000 * at as u64, 1_000 * at as u64);
        }
    }
}

/// Returns where the log is put back.
fn restore(events: &[Event]) -> usize {
    let is_restore = |event: &Event| matches!(event, Event::Fault(fault) if &*fault.kind == "restore");
    events.iter().position(is_restore).unwrap()
}

/// Moves an answer or a delivery to another position.
fn at(mut event: Event, seq: u64) -> Event {
    match &mut event {
        Event::Ack(ack) => ack.seq = seq,
        Event::Recv(recv) => recv.seq = seq,
        _ => {}
    }
    event
}

fn lost(event: Event) -> Event {
    at(event, 9)
}

#[test]
fn what_was_lost_when_a_log_was_put_back_may_be_gone_if_everybody_is_told() {
    accepts(put_back());
}

#[test]
fn who_has_seen_what_was_lost_must_be_told() {
    rejects(Promise::P5, |events| {
        *events = put_back();
        for told in [reset("b1"), sub("b1", 8)] {
            remove(events, &told);
        }
    });
}

#[test]
fn without_a_restore_nothing_may_be_lost() {
    rejects(Promise::P1, |events| {
        *events = put_back();
        let place = restore(events);
        events.remove(place);
    });
}

#[test]
fn what_was_sent_after_a_restore_may_not_be_lost() {
    rejects(Promise::P1, |events| {
        *events = put_back();
        let end = events.len() - 1;
        events.splice(end..end, [send("b1", 20), at(ack("b1", 20), 10)]);
    });
}

#[test]
fn only_the_end_of_a_log_may_be_lost() {
    rejects(Promise::P1, |events| {
        *events = put_back();
        let place = restore(events);
        events.splice(place..place, [send("b1", 10), ack("b1", 10)]);
        settle(events);
        rows(events).push(row("bob", 10));
        let end = events.len() - 1;
        events.splice(end..end, [recv("a1", 10), recv("b1", 10)]);
    });
}

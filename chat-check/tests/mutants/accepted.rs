//! What keeps all promises is accepted, however strange it looks.

use chat_check::{
    checker::check,
    history::{Change, Event},
};

use crate::{
    accepts,
    clean::{
        ack, answered, asked, close, exit, fault, gap, history, info, late, log, member, nack, pause, place, put_after,
        read, recv, refusal, remove, reset, row, rows, send, sub, unseen, unsub,
    },
};

#[test]
fn a_clean_history_is_accepted_and_counted() {
    let verdict = accepts(history());
    let summary = verdict.summary;
    assert_eq!((summary.sent, summary.acked, summary.nacked, summary.stored), (10, 9, 1, 8));
    assert_eq!((summary.delivered, summary.wired, summary.wire_repeats), (16, 4, 1));
    assert_eq!((summary.lost, summary.doubled, summary.reordered, summary.gaps_unexplained), (0, 0, 0, 0));
}

#[test]
fn a_request_may_be_unread_for_as_long_as_an_answer_took_on_the_same_connection() {
    let mut events = history();
    pause(&mut events, &answered("a1", 1, 2, 2), 1_500);
    pause(&mut events, &close("a1", 1, Some(700)), 1_400);
    accepts(events);
}

#[test]
fn a_try_that_is_late_may_be_stored_when_its_sender_was_let_in_again() {
    accepts(late());
}

#[test]
fn a_draft_whose_refusal_nobody_saw_stands_where_its_second_try_was() {
    accepts(unseen());
}

#[test]
fn a_connection_that_fails_may_leave_requests_without_an_answer() {
    let mut events = history();
    remove(&mut events, &fault("drain"));
    remove(&mut events, &answered("a1", 1, 2, 2));
    let close = place(&events, &close("a1", 1, Some(700)));
    let Event::Close(failed) = &mut events[close] else { unreachable!() };
    failed.code = 1011;
    accepts(events);
}

#[test]
fn an_empty_history_is_accepted() {
    assert_eq!(accepts(Vec::new()).summary.events, 0);
}

#[test]
fn a_draft_whose_fate_nobody_knows_may_be_stored_or_not() {
    for stored in [true, false] {
        let mut events = history();
        let last = events.len() - 1;
        events.splice(last..last, [send("b1", 9), info("b1", 9)]);
        if stored {
            events.splice(last..last, [recv("a1", 9), recv("b1", 9)]);
            rows(&mut events).push(row("bob", 9));
        }
        // Ann's creation of the room is not to be mistaken for a draft of Eve's under the same key.
        remove(&mut events, &send("e1", 9));
        remove(&mut events, &nack("e1", 9, "not_found"));
        accepts(events);
    }
}

#[test]
fn a_gap_for_what_is_not_kept_any_more_is_explained() {
    let events = vec![
        member("ann", Change::In, 1),
        sub("a1", 0),
        gap("a1", 1, 3, "retention"),
        send("b1", 4),
        member("bob", Change::In, 1),
        ack("b1", 4),
        recv("a1", 4),
        read(3, &[4]),
        log(3, &["bob"]),
    ];
    assert_eq!(accepts(events).summary.gaps_explained, 1);
}

#[test]
fn a_gap_for_what_came_before_joining_is_explained() {
    let mut events = history();
    let again = [
        send("a1", 10),
        ack("a1", 10),
        sub("e1", 6),
        gap("e1", 7, 9, "not_visible"),
        recv("a1", 9),
        recv("b1", 9),
        recv("a1", 10),
        recv("b1", 10),
        recv("e1", 10),
        member("eve", Change::In, 10),
    ];
    let place = events.len() - 1;
    events.splice(place..place, [send("b1", 9), ack("b1", 9)].into_iter().chain(again));
    remove(&mut events, &send("e1", 9));
    remove(&mut events, &nack("e1", 9, "not_found"));
    rows(&mut events).extend([row("bob", 9), row("ann", 10)]);
    assert_eq!(accepts(events).summary.gaps_explained, 1);
}

#[test]
fn a_gap_up_to_joining_again_hides_an_earlier_membership_too() {
    let mut events = history();
    // Eve is away from her first entry on: she was a member then, is removed, and is let in again.
    let place = events.len() - 1;
    let again = [send("a1", 9), ack("a1", 9), member("eve", Change::In, 9), recv("a1", 9), recv("b1", 9)];
    events.splice(place..place, again.into_iter().chain([gap("e1", 6, 8, "not_visible"), recv("e1", 9)]));
    for gone in [recv("e1", 6), unsub("e1"), send("e1", 9), nack("e1", 9, "not_found")] {
        remove(&mut events, &gone);
    }
    rows(&mut events).push(row("ann", 9));
    assert_eq!(accepts(events).summary.gaps_explained, 1);
}

#[test]
fn a_draft_whose_refusal_got_lost_stands_where_its_second_try_was() {
    let mut events = history();
    let lost = [send("b1", 9), asked("b1", 3, 7, 9), refusal("b1", 3, 7)];
    let place = place(&events, &send("b1", 8));
    events.splice(place..place, lost);
    let end = events.len() - 1;
    events.splice(end..end, [send("b1", 9), asked("b1", 4, 1, 9), ack("b1", 9), recv("a1", 9), recv("b1", 9)]);
    for gone in [send("e1", 9), nack("e1", 9, "not_found")] {
        remove(&mut events, &gone);
    }
    rows(&mut events).push(row("bob", 9));
    accepts(events);
}

#[test]
fn a_draft_that_is_refused_to_one_client_may_be_stored_for_another_later() {
    let mut events = history();
    put_after(&mut events, &send("a2", 4), nack("a2", 4, "not_found"));
    remove(&mut events, &ack("a2", 4));
    accepts(events);
}

#[test]
fn a_reset_after_a_log_was_put_back_is_explained() {
    let mut events = history();
    let end = events.len() - 1;
    events.splice(end..end, [fault("restore"), reset("b1"), sub("b1", 8)]);
    accepts(events);
}

#[test]
fn a_refusal_as_too_old_says_nothing_about_storage() {
    let mut events = history();
    put_after(&mut events, &ack("b1", 8), nack("b1", 8, "too_old"));
    accepts(events);
}

#[test]
fn a_draft_that_leaves_the_room_may_end_its_authors_membership() {
    let mut events = history();
    let end = events.len() - 1;
    events.splice(end..end, [send("b1", 9), ack("b1", 9), member("bob", Change::Out, 9), unsub("b1"), recv("a1", 9)]);
    remove(&mut events, &send("e1", 9));
    remove(&mut events, &nack("e1", 9, "not_found"));
    rows(&mut events).push(row("bob", 9));
    accepts(events);
}

#[test]
fn a_request_that_crosses_the_goodbye_needs_no_answer() {
    let mut events = history();
    let place = events.iter().position(|event| *event == close("a1", 1, Some(700))).unwrap();
    events.insert(place, asked("a1", 1, 99, 9));
    accepts(events);
}

#[test]
fn a_server_may_take_all_of_its_grace() {
    let mut events = history();
    remove(&mut events, &exit(Some(0), 300));
    events.push(exit(Some(0), 15_000));
    accepts(events);
}

#[test]
fn the_history_on_the_page_is_accepted() {
    let page = include_str!("../../../docs/reliability.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let history = chat_check::history::read(example.as_bytes()).unwrap();
    assert!(history.len() > 5 && history.iter().any(|record| matches!(record.event, Event::Final(_))));
    assert!(check(&history).is_clean(), "{:?}", check(&history).violations);
}

//! Each mutant breaks one promise.

use chat_check::{
    checker::Promise::{P1, P2, P3, P4, P5, P6, P7, P8, P11, P12},
    history::{Change, Event},
};

use crate::{
    clean::{
        ack, answered, asked, close, exit, gap, hangup, late, member, nack, pause, place, put_after, read, recv,
        refusal, remove, replace, reset, row, rows, send, sub, swap, unseen, unsub, wire,
    },
    judge, rejects,
};

// ---- P1: what was acknowledged is stored --------------------------------------------------------------------------

#[test]
fn an_acknowledged_row_that_is_lost() {
    rejects(P1, |events| drop(rows(events).pop()));
}

#[test]
fn an_acknowledged_row_that_stands_elsewhere() {
    rejects(P1, |events| {
        let rows = rows(events);
        (rows[1].seq, rows[2].seq) = (3, 2);
        rows.swap(1, 2);
    });
}

#[test]
fn an_acknowledged_row_with_another_id() {
    rejects(P1, |events| rows(events)[7].id = "e99".into());
}

#[test]
fn an_acknowledged_row_with_another_body() {
    rejects(P1, |events| rows(events)[7].hash = "h99".into());
}

#[test]
fn an_acknowledged_row_of_another_author() {
    rejects(P1, |events| rows(events)[7].user = "ann".into());
}

#[test]
fn an_ack_that_only_the_wire_saw_and_that_is_lost() {
    rejects(P1, |events| {
        let asked = asked("a1", 1, 9, 9);
        put_after(events, &ack("b1", 8), asked.clone());
        put_after(events, &asked, answered("a1", 1, 9, 9));
    });
}

#[test]
fn a_log_that_nobody_could_read() {
    rejects(P1, |events| drop(events.pop()));
}

// ---- P2: a key is stored once -------------------------------------------------------------------------------------

#[test]
fn a_key_that_is_stored_twice() {
    rejects(P2, |events| {
        rows(events).push(row("bob", 9));
        rows(events)[8].key = "k8".into();
    });
}

#[test]
fn a_key_that_is_acknowledged_at_two_places() {
    rejects(P2, |events| {
        let Event::Ack(mut again) = ack("a1", 4) else { unreachable!() };
        again.seq = 8;
        put_after(events, &ack("a1", 4), Event::Ack(again));
    });
}

#[test]
fn a_key_that_is_acknowledged_with_two_ids() {
    rejects(P2, |events| {
        let Event::Ack(mut again) = ack("a2", 4) else { unreachable!() };
        again.id = "e99".into();
        replace(events, &ack("a2", 4), Event::Ack(again));
    });
}

#[test]
fn a_draft_that_is_refused_as_a_conflict_with_itself() {
    rejects(P2, |events| put_after(events, &ack("b1", 8), nack("b1", 8, "conflict")));
}

// ---- P3: an entry is delivered once -------------------------------------------------------------------------------

#[test]
fn an_entry_that_is_received_twice_in_a_row() {
    rejects(P3, |events| put_after(events, &recv("b1", 6), recv("b1", 6)));
}

#[test]
fn an_entry_that_is_received_again_after_a_reconnect() {
    rejects(P3, |events| put_after(events, &recv("b1", 3), recv("b1", 2)));
}

#[test]
fn an_entry_that_is_received_again_after_following_anew() {
    rejects(P3, |events| {
        put_after(events, &recv("b1", 8), unsub("b1"));
        put_after(events, &unsub("b1"), sub("b1", 7));
        let end = events.len() - 1;
        events.insert(end, recv("b1", 8));
    });
}

// ---- P4: one order for all ----------------------------------------------------------------------------------------

#[test]
fn two_entries_that_are_received_in_the_wrong_order() {
    rejects(P4, |events| swap(events, &recv("b1", 3), &recv("b1", 4)));
}

#[test]
fn a_position_that_is_another_entry_to_another_client() {
    rejects(P4, |events| {
        let Event::Recv(mut other) = recv("b1", 6) else { unreachable!() };
        other.id = "e99".into();
        replace(events, &recv("b1", 6), Event::Recv(other));
    });
}

#[test]
fn drafts_of_one_sender_that_are_stored_in_the_wrong_order() {
    rejects(P4, |events| swap(events, &send("a1", 2), &send("a1", 3)));
}

/// Bob's draft is refused, which he never hears, and sent again: what he sends before or after that keeps its place.
fn lost_refusal(events: &mut Vec<Event>, second_try: &Event) {
    let lost = [send("b1", 9), asked("b1", 3, 7, 9), refusal("b1", 3, 7)];
    let first_try = place(events, &send("e1", 6));
    events.splice(first_try..first_try, lost);
    put_after(events, second_try, asked("b1", 4, 1, 9));
    let end = events.len() - 1;
    events.splice(end..end, [ack("b1", 9), recv("a1", 9), recv("b1", 9)]);
    for gone in [send("e1", 9), nack("e1", 9, "not_found")] {
        remove(events, &gone);
    }
    rows(events).push(row("bob", 9));
}

#[test]
fn a_draft_that_is_stored_after_what_was_sent_after_its_second_try() {
    rejects(P4, |events| lost_refusal(events, &recv("b1", 7)));
}

#[test]
fn a_draft_that_is_stored_before_what_was_sent_before_its_first_try() {
    rejects(P4, |events| {
        lost_refusal(events, &ack("b1", 8));
        let sent = place(events, &send("b1", 8));
        let early = events.remove(sent);
        put_after(events, &recv("b1", 4), early);
        let rows = rows(events);
        let (key, hash) = (rows[8].key.clone(), rows[8].hash.clone());
        (rows[8].key, rows[8].hash) = (rows[7].key.clone(), rows[7].hash.clone());
        (rows[7].key, rows[7].hash) = (key, hash);
    });
}

/// A draft that was refused as nobody saw, with one thing changed so that it cannot have been.
fn seen(mutate: impl FnOnce(&mut Vec<Event>)) {
    let mut events = unseen();
    mutate(&mut events);
    let (_, verdict) = judge(events);
    assert!(verdict.violations.iter().any(|violation| violation.promise == P4), "{:?}", verdict.violations);
}

#[test]
fn a_draft_behind_a_later_one_whose_sender_had_been_let_in_before() {
    seen(|events| {
        for late in [send("e1", 4), asked("e1", 1, 1, 5), send("e1", 5)] {
            remove(events, &late);
            put_after(events, &member("eve", Change::In, 3), late);
        }
    });
}

#[test]
fn a_draft_behind_a_later_one_whose_sender_was_let_in_before_as_only_an_answer_shows() {
    seen(|events| {
        for late in [send("e1", 4), asked("e1", 1, 1, 5), send("e1", 5)] {
            remove(events, &late);
            put_after(events, &ack("a1", 3), late);
        }
    });
}

#[test]
fn a_draft_behind_a_later_one_whose_first_try_was_answered() {
    seen(|events| put_after(events, &recv("a1", 4), answered("e1", 1, 1, 5)));
}

#[test]
fn a_draft_behind_a_later_one_without_a_second_try() {
    seen(|events| remove(events, &asked("e1", 2, 1, 5)));
}

#[test]
fn a_draft_behind_one_that_was_sent_after_its_second_try() {
    seen(|events| {
        remove(events, &send("e1", 4));
        remove(events, &asked("e1", 1, 2, 4));
        put_after(events, &asked("e1", 2, 1, 5), send("e1", 4));
        let heard = recv("a1", 4);
        remove(events, &heard);
        put_after(events, &asked("e1", 2, 2, 4), heard);
    });
}

#[test]
fn a_draft_behind_one_that_was_stored_before_its_sender_was_thrown_out() {
    seen(|events| {
        let thrown_out = [send("a1", 2), ack("a1", 2), recv("a1", 2), member("eve", Change::Out, 2)];
        for event in thrown_out.into_iter().chain([send("e1", 4), asked("e1", 1, 2, 4), recv("a1", 4)]) {
            remove(events, &event);
        }
        let stored = [send("e1", 2), asked("e1", 1, 2, 2), recv("a1", 2)];
        let thrown_out = [send("a1", 3), ack("a1", 3), recv("a1", 3), member("eve", Change::Out, 3)];
        let let_in = [send("a1", 4), ack("a1", 4), recv("a1", 4), member("eve", Change::In, 4)];
        for event in [
            send("a1", 3),
            ack("a1", 3),
            recv("a1", 3),
            member("eve", Change::In, 3),
            asked("e1", 2, 2, 4),
            ack("e1", 4),
        ] {
            remove(events, &event);
        }
        let place = place(events, &asked("e1", 2, 1, 5));
        events.splice(place..place, stored.into_iter().chain(thrown_out).chain(let_in));
        let rows = rows(events);
        (rows[1].user, rows[3].user) = (rows[3].user.clone(), rows[1].user.clone());
    });
}

#[test]
fn a_draft_that_is_stored_before_what_was_answered_before_it_was_sent() {
    rejects(P4, |events| {
        // Eve sends only after Ann's later entry was answered.
        remove(events, &send("e1", 6));
        put_after(events, &ack("a1", 7), send("e1", 6));
    });
}

// ---- P5: nothing is missing without a word ------------------------------------------------------------------------

#[test]
fn an_entry_that_one_client_never_receives() {
    rejects(P5, |events| remove(events, &recv("b1", 4)));
}

#[test]
fn a_first_entry_that_is_not_the_one_after_the_start() {
    rejects(P5, |events| remove(events, &recv("a1", 2)));
}

#[test]
fn a_client_that_is_moved_on_without_a_word() {
    rejects(P5, |events| replace(events, &recv("b1", 7), sub("b1", 7)));
}

#[test]
fn a_gap_for_what_is_still_kept() {
    rejects(P5, |events| replace(events, &recv("b1", 4), gap("b1", 4, 4, "retention")));
}

#[test]
fn a_gap_for_what_a_member_may_see() {
    rejects(P5, |events| replace(events, &recv("b1", 4), gap("b1", 4, 4, "not_visible")));
}

#[test]
fn a_gap_of_what_is_not_visible_that_ends_before_the_entry_that_let_one_in() {
    rejects(P5, |events| {
        replace(events, &sub("e1", 4), sub("e1", 3));
        put_after(events, &sub("e1", 3), gap("e1", 4, 5, "not_visible"));
        remove(events, &recv("e1", 5));
    });
}

#[test]
fn a_gap_with_a_reason_that_is_none() {
    rejects(P5, |events| replace(events, &recv("b1", 4), gap("b1", 4, 4, "mood")));
}

#[test]
fn a_gap_that_covers_less_than_is_missing() {
    rejects(P5, |events| {
        remove(events, &recv("b1", 3));
        replace(events, &recv("b1", 4), gap("b1", 4, 4, "retention"));
    });
}

#[test]
fn an_entry_of_a_room_that_was_never_followed() {
    rejects(P5, |events| remove(events, &sub("b1", 1)));
}

#[test]
fn a_reset_of_a_log_that_nobody_put_back() {
    rejects(P5, |events| {
        put_after(events, &recv("b1", 8), reset("b1"));
        put_after(events, &reset("b1"), sub("b1", 8));
    });
}

// ---- P6: nothing is shown that is not stored ----------------------------------------------------------------------

#[test]
fn a_phantom() {
    rejects(P6, |events| put_after(events, &recv("b1", 8), recv("b1", 9)));
}

#[test]
fn a_phantom_that_only_the_wire_saw() {
    rejects(P6, |events| put_after(events, &recv("b1", 8), wire("b1", 3, 9)));
}

#[test]
fn an_entry_that_is_received_with_another_body() {
    rejects(P6, |events| {
        let Event::Recv(mut other) = recv("b1", 6) else { unreachable!() };
        other.hash = "h99".into();
        replace(events, &recv("b1", 6), Event::Recv(other));
    });
}

#[test]
fn a_draft_that_is_stored_after_it_was_refused() {
    rejects(P6, |events| replace(events, &ack("b1", 8), nack("b1", 8, "denied")));
}

#[test]
fn a_draft_that_is_refused_to_one_client_after_it_was_acknowledged_to_another() {
    rejects(P6, |events| {
        put_after(events, &ack("a1", 4), send("a3", 4));
        put_after(events, &send("a3", 4), nack("a3", 4, "denied"));
    });
}

#[test]
fn a_draft_that_is_refused_to_one_client_after_somebody_received_it_from_another() {
    rejects(P6, |events| {
        put_after(events, &recv("a1", 4), send("a3", 4));
        put_after(events, &send("a3", 4), nack("a3", 4, "denied"));
    });
}

#[test]
fn a_draft_that_is_refused_to_one_client_after_something_behind_it_was_read() {
    rejects(P6, |events| {
        remove(events, &recv("a1", 4));
        put_after(events, &send("a2", 4), read(4, &[5]));
        put_after(events, &read(4, &[5]), send("a3", 4));
        put_after(events, &send("a3", 4), nack("a3", 4, "denied"));
    });
}

#[test]
fn a_draft_that_goes_to_the_server_after_it_was_acknowledged_to_another_client_and_is_refused() {
    rejects(P6, |events| {
        put_after(events, &send("a2", 4), send("a3", 4));
        put_after(events, &ack("a1", 4), asked("a3", 9, 1, 4));
        put_after(events, &asked("a3", 9, 1, 4), nack("a3", 4, "denied"));
    });
}

#[test]
fn a_draft_that_is_stored_after_its_only_try_was_refused() {
    rejects(P6, |events| {
        *events = late();
        remove(events, &asked("e1", 1, 1, 4));
    });
}

#[test]
fn a_draft_that_is_stored_after_it_was_refused_twice_over_one_connection() {
    rejects(P6, |events| {
        *events = late();
        replace(events, &asked("e1", 1, 1, 4), asked("e1", 2, 9, 4));
    });
}

#[test]
fn a_draft_of_two_tries_that_is_refused_although_its_sender_is_back() {
    rejects(P6, |events| {
        *events = late();
        remove(events, &nack("e1", 4, "not_found"));
        put_after(events, &recv("a1", 3), nack("e1", 4, "not_found"));
    });
}

#[test]
fn a_row_that_nobody_sent() {
    rejects(P6, |events| {
        let end = events.len() - 1;
        events.splice(end..end, [recv("a1", 10), recv("b1", 10)]);
        let place = place(events, &recv("a1", 10));
        events.splice(place..place, [recv("a1", 9), recv("b1", 9)]);
        rows(events).extend([row("bob", 9), row("bob", 10)]);
    });
}

#[test]
fn a_row_with_a_body_that_nobody_sent() {
    rejects(P6, |events| rows(events)[3].hash = "h99".into());
}

// ---- P7: a log has no holes ---------------------------------------------------------------------------------------

#[test]
fn a_hole_in_the_log() {
    rejects(P7, |events| drop(rows(events).remove(3)));
}

#[test]
fn a_log_that_begins_too_late() {
    rejects(P7, |events| drop(rows(events).remove(0)));
}

#[test]
fn a_position_that_is_used_twice() {
    rejects(P7, |events| rows(events)[4].seq = 4);
}

#[test]
fn two_rows_with_one_id() {
    rejects(P7, |events| rows(events)[4].id = "e4".into());
}

#[test]
fn a_read_with_a_hole() {
    rejects(P7, |events| replace(events, &read(1, &[2, 3]), read(1, &[2, 4])));
}

#[test]
fn a_read_that_begins_too_late() {
    rejects(P7, |events| replace(events, &read(1, &[2, 3]), read(1, &[3])));
}

#[test]
fn a_read_of_what_is_not_there_at_the_end() {
    rejects(P7, |events| replace(events, &read(1, &[2, 3]), read(7, &[8, 9])));
}

// ---- P8: everybody arrives at the end -----------------------------------------------------------------------------

#[test]
fn a_client_that_misses_the_last_entry() {
    rejects(P8, |events| remove(events, &recv("b1", 8)));
}

#[test]
fn a_client_that_receives_nothing_at_all() {
    rejects(P8, |events| put_after(events, &sub("b1", 1), sub("b2", 1)));
}

#[test]
fn a_member_whose_client_is_never_followed_again() {
    rejects(P8, |events| put_after(events, &recv("b1", 8), unsub("b1")));
}

// ---- P11: a server that stops answers first -----------------------------------------------------------------------

#[test]
fn a_request_without_an_answer_although_a_later_one_has_its() {
    rejects(P11, |events| remove(events, &answered("a1", 1, 2, 2)));
}

#[test]
fn a_request_without_an_answer_when_a_server_that_stops_says_that_the_connection_failed() {
    rejects(P11, |events| {
        remove(events, &answered("a1", 1, 2, 2));
        let close = place(events, &close("a1", 1, Some(700)));
        let Event::Close(failed) = &mut events[close] else { unreachable!() };
        failed.code = 1011;
    });
}

#[test]
fn a_request_without_an_answer_although_it_was_sent_long_before() {
    rejects(P11, |events| pause(events, &close("a1", 1, Some(700)), 1_001));
}

#[test]
fn a_request_without_an_answer_although_it_was_sent_longer_before_than_any_answer_took() {
    rejects(P11, |events| {
        pause(events, &answered("a1", 1, 2, 2), 1_500);
        pause(events, &close("a1", 1, Some(700)), 1_800);
    });
}

#[test]
fn a_server_that_ends_with_an_error() {
    rejects(P11, |events| replace(events, &exit(Some(0), 300), exit(Some(1), 300)));
}

#[test]
fn a_server_that_dies_of_a_signal() {
    rejects(P11, |events| replace(events, &exit(Some(0), 300), exit(None, 300)));
}

#[test]
fn a_server_that_takes_longer_than_its_grace() {
    rejects(P11, |events| replace(events, &exit(Some(0), 300), exit(Some(0), 15_001)));
}

#[test]
fn a_client_that_is_not_told_when_to_come_back() {
    rejects(P11, |events| replace(events, &close("a1", 1, Some(700)), close("a1", 1, None)));
}

#[test]
fn a_client_that_is_cut_off_without_a_word_by_a_server_that_stops() {
    rejects(P11, |events| {
        remove(events, &close("a1", 1, Some(700)));
        assert!(events.contains(&hangup("a1", 1)));
    });
}

// ---- P12: only members receive and send ---------------------------------------------------------------------------

#[test]
fn an_entry_that_is_received_after_being_removed() {
    rejects(P12, |events| put_after(events, &recv("e1", 6), recv("e1", 7)));
}

#[test]
fn an_entry_that_is_received_before_joining() {
    rejects(P12, |events| {
        replace(events, &sub("e1", 4), sub("e1", 3));
        put_after(events, &sub("e1", 3), recv("e1", 4));
    });
}

#[test]
fn an_entry_that_is_received_by_somebody_who_never_joined() {
    rejects(P12, |events| remove(events, &member("bob", Change::In, 1)));
}

#[test]
fn a_draft_that_is_stored_after_its_author_was_removed() {
    rejects(P12, |events| rows(events)[7].user = "eve".into());
}

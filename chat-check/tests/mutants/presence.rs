//! Who is online, seen by a watcher: a history that keeps P14, and mutants that break it.

use chat_check::{
    checker::{Promise::P14, check},
    history::{Event, Fault, Person, Record, Sight, Watcher},
};

/// Is an event and the second in which it happens.
type Timed = (u64, Event);

fn came(t: u64, user: &str) -> Timed {
    (t, Event::Came(Person { user: user.into() }))
}

fn went(t: u64, user: &str) -> Timed {
    (t, Event::Went(Person { user: user.into() }))
}

fn listed(t: u64, c: &str, user: &str, online: bool) -> Timed {
    (t, Event::Seen(Sight { c: c.into(), user: user.into(), online, listed: true }))
}

fn told(t: u64, c: &str, user: &str, online: bool) -> Timed {
    (t, Event::Seen(Sight { c: c.into(), user: user.into(), online, listed: false }))
}

fn unwatch(t: u64, c: &str) -> Timed {
    (t, Event::Unwatch(Watcher { c: c.into() }))
}

fn fault(kind: &str, target: &str, start: u64, stop: u64) -> Timed {
    let (start, stop) = (start * 1_000_000, stop * 1_000_000);
    (stop / 1_000_000, Event::Fault(Fault { kind: kind.into(), target: target.into(), start, stop }))
}

/// Bob comes, goes with his node and comes back; one watcher sees all of it, another one stops before.
fn clean() -> Vec<Timed> {
    vec![
        came(1, "bob"),
        listed(10, "w1", "bob", true),
        listed(10, "w2", "bob", true),
        went(20, "bob"),
        unwatch(25, "w2"),
        told(50, "w1", "bob", false),
        came(120, "bob"),
        told(124, "w1", "bob", true),
        listed(125, "w3", "bob", true),
        unwatch(300, "w1"),
    ]
}

fn broken(timed: Vec<Timed>) -> Vec<(String, usize)> {
    let mut timed = timed;
    timed.sort_by_key(|(t, _)| *t);
    let history: Vec<_> = timed.into_iter().map(|(t, event)| Record { t: t * 1_000_000, event }).collect();
    let verdict = check(&history);
    assert!(verdict.violations.iter().all(|violation| violation.promise == P14), "{:?}", verdict.violations);
    verdict.violations.into_iter().map(|violation| (violation.what, violation.witness.len())).collect()
}

/// The clean history without a line, and with some others, is rejected once, in these words.
fn rejects(without: Option<&Timed>, with: &[Timed], words: &str) {
    let mut timed = clean();
    timed.retain(|line| Some(line) != without);
    timed.extend(with.iter().cloned());
    let broken = broken(timed);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].0.contains(words) && (2..=3).contains(&broken[0].1), "{broken:?}");
}

#[test]
fn what_is_seen_in_time_is_right() {
    assert_eq!(broken(clean()), []);
}

#[test]
fn one_who_went_and_is_seen_for_more_than_35_seconds() {
    rejects(Some(&told(50, "w1", "bob", false)), &[told(56, "w1", "bob", false)], "bob went, and w1 after 35 s");
}

#[test]
fn one_who_is_seen_for_too_long_by_a_node_with_a_wrong_clock() {
    let late = [told(56, "w1", "bob", false), fault("clock", "node1", 19, 55)];
    rejects(Some(&told(50, "w1", "bob", false)), &late, "bob went, and w1 after 35 s");
}

#[test]
fn one_who_came_and_is_not_seen() {
    rejects(Some(&told(124, "w1", "bob", true)), &[], "bob came, and w1 after 35 s");
}

#[test]
fn a_ghost_that_comes_back() {
    let ghost = [told(60, "w1", "bob", true), told(65, "w1", "bob", false)];
    rejects(None, &ghost, "bob went, and w1 was told otherwise");
}

#[test]
fn a_ghost_in_a_list() {
    rejects(None, &[listed(80, "w4", "bob", true), unwatch(81, "w4")], "bob went, and w4 ");
}

#[test]
fn one_who_leaves_twice() {
    rejects(None, &[told(60, "w1", "bob", false)], "told twice that bob went");
}

#[test]
fn one_who_is_here_and_is_said_to_have_left() {
    let gone = [told(200, "w1", "bob", false), told(201, "w1", "bob", true)];
    rejects(None, &gone, "bob came, and w1 was told otherwise");
}

#[test]
fn a_storm_of_one_who_comes_and_goes() {
    let flapping = [
        went(200, "bob"),
        told(200, "w1", "bob", false),
        came(202, "bob"),
        told(203, "w1", "bob", true),
        fault("flap", "bob", 195, 210),
    ];
    rejects(None, &flapping, "twice in 5 s");
}

#[test]
fn of_a_node_that_is_cut_off_nobody_can_know() {
    let mut timed = clean();
    timed.extend([
        told(200, "w1", "bob", false),
        told(260, "w1", "bob", true),
        fault("cut-both", "node1-redis", 170, 230),
    ]);
    assert_eq!(broken(timed), []);
}

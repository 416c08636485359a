//! Who was seen to be online, by whom, and who was: P14.

use std::collections::BTreeMap;

use super::finding::{At, Findings, Promise::P14};
use crate::history::{Event, Record};

/// A node's lease of 30 s, and the 5 s in which watchers look again.
const LATE_US: u64 = 35_000_000;
/// Of who comes and goes all the time, watchers are told once in this time.
const ONCE_IN_US: u64 = 5_000_000;

/// Is what a history says of presence.
#[derive(Debug, Default)]
pub(super) struct Presences<'h> {
    /// When each user came (true) or went.
    people: BTreeMap<&'h str, Vec<Turn>>,
    /// What each watcher saw of each user.
    sights: BTreeMap<(&'h str, &'h str), Vec<Sight>>,
    /// When watchers stopped watching.
    ended: BTreeMap<&'h str, u64>,
    /// From when to when nodes could not know better.
    excuses: Vec<(u64, u64)>,
    /// From when to when a user came and went all the time.
    flaps: Vec<(&'h str, u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    at: At,
    t: u64,
    here: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sight {
    at: At,
    t: u64,
    online: bool,
    listed: bool,
}

impl<'h> Presences<'h> {
    pub(super) fn add(&mut self, at: At, Record { t, event }: &'h Record) {
        let t = *t;
        match event {
            Event::Came(it) => self.people.entry(&it.user).or_default().push(Turn { at, t, here: true }),
            Event::Went(it) => self.people.entry(&it.user).or_default().push(Turn { at, t, here: false }),
            Event::Seen(it) => {
                let sight = Sight { at, t, online: it.online, listed: it.listed };
                self.sights.entry((&it.c, &it.user)).or_default().push(sight);
            }
            Event::Unwatch(it) => drop(self.ended.entry(&it.c).or_insert(t)),
            Event::Fault(it) if it.kind.starts_with("cut-") => self.excuses.push((it.start, it.stop + LATE_US)),
            Event::Fault(it) if &*it.kind == "flap" => self.flaps.push((&it.target, it.start, it.stop)),
            _ => {}
        }
    }

    pub(super) fn judge(&self, history: &[Record], findings: &mut Findings) {
        let end = history.last().map_or(0, |record| record.t);
        for ((c, user), sights) in &self.sights {
            let watch = Watch { c, user, sights, end: self.ended.get(c).copied().unwrap_or(end), of: self };
            watch.alternates(findings);
            watch.is_calm(findings);
            let turns = self.people.get(user).map_or(&[][..], Vec::as_slice);
            for (at, turn) in turns.iter().enumerate() {
                let next = turns.get(at + 1).map_or(u64::MAX, |next| next.t);
                watch.follows(*turn, next, findings);
            }
        }
    }

    fn is_excused(&self, t: u64) -> bool {
        self.excuses.iter().any(|(start, stop)| (*start..=*stop).contains(&t))
    }
}

/// Is what one watcher saw of one user, up to when it stopped watching.
struct Watch<'a, 'h> {
    c: &'h str,
    user: &'h str,
    sights: &'a [Sight],
    end: u64,
    of: &'a Presences<'h>,
}

impl Watch<'_, '_> {
    /// Whoever is told of something is told of a change.
    fn alternates(&self, findings: &mut Findings) {
        for pair in self.sights.windows(2).filter(|pair| !pair[1].listed && pair[0].online == pair[1].online) {
            let what = format!("{} was told twice that {} {}", self.c, self.user, word(pair[1].online));
            findings.add(P14, &[pair[0].at, pair[1].at], what);
        }
    }

    /// Who comes and goes all the time makes no storm of it.
    fn is_calm(&self, findings: &mut Findings) {
        let told: Vec<_> = self.sights.iter().filter(|sight| !sight.listed).collect();
        for (_, start, stop) in self.of.flaps.iter().filter(|(user, ..)| *user == self.user) {
            let within = |sight: &Sight| (*start..=*stop).contains(&sight.t);
            let storms = told.windows(2).filter(|pair| within(pair[0]) && within(pair[1]));
            for pair in storms.filter(|pair| pair[1].t < pair[0].t + ONCE_IN_US) {
                let what = format!("{} was told of {}, who comes and goes, twice in 5 s", self.c, self.user);
                findings.add(P14, &[pair[0].at, pair[1].at], what);
            }
        }
    }

    /// From one coming or going to the next, the watcher sees it in time, and sees nothing else after that.
    fn follows(&self, turn: Turn, next: u64, findings: &mut Findings) {
        let Some(first) = self.sights.first() else { return };
        let until = next.min(self.end);
        // What is seen earlier may be of before; a watch that begins later begins with the truth.
        let due = (turn.t + LATE_US).max(first.t);
        if due < until && !self.of.is_excused(due) {
            let seen = self.sights.iter().take_while(|sight| sight.t <= due).last().unwrap_or(first);
            if seen.online != turn.here {
                let after = if seen.t > turn.t { "still" } else { "after 35 s" };
                let what = format!("{} {}, and {} {after} sees otherwise", self.user, word(turn.here), self.c);
                findings.add(P14, &[turn.at, seen.at], what);
            }
        }
        let mut known = None; // the line by which the watcher knew
        for sight in self.sights.iter().filter(|sight| (turn.t..until).contains(&sight.t)) {
            let is_false = sight.online != turn.here && (known.is_some() || sight.t > due);
            if is_false && !self.of.is_excused(sight.t) {
                let lines: Vec<_> = [turn.at, sight.at].into_iter().chain(known).collect();
                let what = format!("{} {}, and {} was told otherwise after that", self.user, word(turn.here), self.c);
                findings.add(P14, &lines, what);
            }
            known = known.or((sight.online == turn.here).then_some(sight.at));
        }
    }
}

fn word(here: bool) -> &'static str {
    if here { "came" } else { "went" }
}

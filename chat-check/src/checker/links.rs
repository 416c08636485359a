//! What servers did with their connections when they were asked to stop.

use std::collections::{BTreeMap, HashMap};

use super::{
    finding::{At, Findings, Promise::P11},
    restored::Restores,
};
use crate::history::{Answered, Asked, Event, Record};

/// A request that went to a server this long before the server said goodbye was read. On one machine it takes less
/// than a millisecond; a second is a very busy machine. Where it is busier still, it took as long as the slowest answer.
const READ_WITHIN_US: u64 = 1_000_000;

/// A connection that the server could not go on with: no stop, but a fault, after which clients send again.
const FAILED: u16 = 1011;

/// Is what a history says of connections.
#[derive(Debug, Default)]
pub(super) struct Links<'h> {
    by_number: BTreeMap<u64, Link<'h>>,
    keys: HashMap<(u64, u64), &'h Asked>,
    exits: Vec<At>,
    /// From when to when servers were stopping.
    drains: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Link<'h> {
    /// Requests without an answer: the line, and the time.
    waiting: BTreeMap<u64, (At, u64)>,
    /// How long the slowest answer took.
    slowest: u64,
    /// The latest request that was answered.
    answered: Option<(u64, At)>,
    closed: Option<At>,
    hung_up: Option<At>,
    c: &'h str,
}

impl<'h> Links<'h> {
    pub(super) fn add(&mut self, at: At, record: &'h Record) {
        match &record.event {
            Event::Asked(asked) => {
                self.keys.insert((asked.link, asked.r), asked);
                let link = self.link(asked.link, &asked.c);
                link.waiting.insert(asked.r, (at, record.t));
            }
            Event::Answered(answered) => {
                let link = self.link(answered.link, &answered.c);
                if let Some((_, asked)) = link.waiting.remove(&answered.r) {
                    link.slowest = link.slowest.max(record.t - asked);
                }
                link.answered = link.answered.max(Some((answered.r, at)));
            }
            Event::Close(closed) => self.link(closed.link, &closed.c).closed = Some(at),
            Event::Hangup(hung_up) => self.link(hung_up.link, &hung_up.c).hung_up = Some(at),
            Event::Exit(_) => self.exits.push(at),
            Event::Fault(fault) if &*fault.kind == "drain" => self.drains.push((fault.start, fault.stop)),
            _ => {}
        }
    }

    fn link(&mut self, link: u64, c: &'h str) -> &mut Link<'h> {
        let link = self.by_number.entry(link).or_default();
        link.c = c;
        link
    }

    /// Returns the request that is answered.
    pub(super) fn asked(&self, answered: &Answered) -> Option<&'h Asked> {
        self.keys.get(&(answered.link, answered.r)).copied()
    }

    pub(super) fn judge(&self, history: &[Record], restores: &Restores, findings: &mut Findings) {
        for at in &self.exits {
            if let Event::Exit(exit) = &history[*at].event
                && (exit.status != Some(0) || exit.took_ms > exit.grace_ms)
            {
                let what = format!("{} ended with {:?} after {} ms", exit.target, exit.status, exit.took_ms);
                findings.add(P11, &[*at], what);
            }
        }
        // A node that finds the log put back stops at once: whatever it might still answer may be of another log.
        let stops_at_once = |link: &&Link<'_>| link.closed.is_some_and(|at| restores.are_found_out(history[at].t));
        for link in self.by_number.values().filter(|link| !stops_at_once(link)) {
            link.judge(history, findings, &self.drains);
        }
    }
}

impl Link<'_> {
    fn judge(&self, history: &[Record], findings: &mut Findings, drains: &[(u64, u64)]) {
        let Some(closed) = self.closed else {
            let within = |at: At| drains.iter().any(|(start, stop)| (start..=stop).contains(&&history[at].t));
            if let Some(at) = self.hung_up.filter(|at| within(*at)) {
                findings.add(P11, &[at], format!("{} was cut off without a word", self.c));
            }
            return;
        };
        if let Event::Close(close) = &history[closed].event {
            if close.code == FAILED && !drains.iter().any(|(start, stop)| (start..=stop).contains(&&history[closed].t))
            {
                return;
            }
            if close.code == 1012 && close.retry_after.is_none() {
                findings.add(P11, &[closed], format!("{} was not told when to come back", self.c));
            }
        }
        for (r, (at, asked)) in &self.waiting {
            let later = self.answered.filter(|(answered, _)| answered > r).map(|(_, at)| at);
            let old = asked + READ_WITHIN_US.max(self.slowest) < history[closed].t;
            if later.is_some() || old {
                let lines: Vec<_> = [*at, closed].into_iter().chain(later).collect();
                findings.add(P11, &lines, format!("request {r} of {} was read and never answered", self.c));
            }
        }
    }
}

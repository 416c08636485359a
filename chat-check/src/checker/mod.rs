//! Judges a history: every promise that can be judged from outside, in one pass per room.
//!
//! Positions make it cheap. A general checker of histories searches for an order that explains what was seen; here the
//! log says the order, and all that is left is to hold every line against it.
//!
//! | file | judges |
//! |---|---|
//! | `stored` | P1, P2, P6, P7: answers and reads against the log |
//! | `order` | P4: the order of what was sent |
//! | `received` | P3, P4, P5, P6, P8, P12: what receivers were told |
//! | `commands` | P15: one answer to each slash command |
//! | `restored` | what may be gone after a restore: only the end, and who has seen it is told |
//! | `presence` | P14: who is seen to be online |
//! | `revoked` | P13: what comes after a login has ended |
//! | `links` | P11: what servers that stopped did with their connections |

mod commands;
mod finding;
mod links;
mod members;
mod order;
mod presence;
mod received;
mod restored;
mod revoked;
mod room;
mod stored;
mod summary;

use std::collections::BTreeMap;

use self::{finding::Findings, links::Links, members::Members, presence::Presences, restored::Restores, room::Room};
pub use self::{
    finding::{Promise, Violation},
    summary::Summary,
};
use crate::history::{Event, Record};

/// Is what a history shows.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The first violations of each promise.
    pub violations: Vec<Violation>,
    /// How many there are of each.
    pub counts: BTreeMap<Promise, u64>,
    /// What happened, in numbers.
    pub summary: Summary,
}

impl Verdict {
    /// Tells whether all promises were kept.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Judges a history.
pub fn check(history: &[Record]) -> Verdict {
    let (mut rooms, links) = sort(history);
    let mut presences = Presences::default();
    history.iter().enumerate().for_each(|(at, record)| presences.add(at, record));
    let restores = Restores::of(history);
    let mut findings = Findings::default();
    let mut summary = Summary::of(history);
    links.judge(history, &restores, &mut findings);
    presences.judge(history, &mut findings);
    revoked::judge(history, &mut findings);
    for (name, room) in &mut rooms {
        restored::prune(history, &restores, room, &mut findings);
        let members = Members::of(room.members.iter().copied());
        stored::judge(name, room, &members, &mut findings);
        order::judge(room, &members, &mut findings);
        commands::judge(history, room, &mut findings);
        let receivers = received::judge(history, &restores, room, &members, &mut findings);
        summary.add_room(room, &receivers);
    }
    summary.add_counts(&findings.counts);
    Verdict { violations: findings.kept, counts: findings.counts, summary }
}

fn sort(history: &[Record]) -> (BTreeMap<&str, Room<'_>>, Links<'_>) {
    let (mut rooms, mut links) = (BTreeMap::<&str, Room<'_>>::new(), Links::default());
    for (at, record) in history.iter().enumerate() {
        if let Some(room) = room::of(record) {
            rooms.entry(room).or_default().add(at, &record.event);
        }
        links.add(at, record);
        if let Event::Answered(answered) = &record.event
            && let Some(asked) = links.asked(answered)
        {
            rooms.entry(&asked.room).or_default().add_answer(at, asked, answered);
        }
    }
    (rooms, links)
}

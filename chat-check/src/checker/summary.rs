//! What happened, in numbers.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use chat_core::Code;

use super::{
    finding::Promise::{self, P1, P2, P3, P4, P5, P8},
    received::Receiver,
    room::Room,
};
use crate::history::{Event, Record};

/// Counts what a history holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the words of the history
#[non_exhaustive]
pub struct Summary {
    pub events: u64,
    pub rooms: u64,
    /// Drafts, by client and key.
    pub sent: u64,
    /// Of those, acknowledged.
    pub acked: u64,
    pub nacked: u64,
    pub retries: u64,
    pub unknown: u64,
    pub stored: u64,
    pub delivered: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub gaps_explained: u64,
    pub gaps_unexplained: u64,
    pub behind: u64,
    /// Acknowledged drafts that a restore took away, and how often somebody was told to begin anew.
    pub gone: u64,
    pub resets: u64,
    /// Slash commands that were taken, and what is stored of answers: those and the notices that there was none in time.
    pub commands: u64,
    pub answers: u64,
    pub notices: u64,
    /// Entries on the wires, and how many of them the client had already.
    pub wired: u64,
    pub wire_repeats: u64,
    /// Faults by kind.
    pub faults: BTreeMap<String, u64>,
}

impl Summary {
    pub(super) fn of(history: &[Record]) -> Self {
        let mut summary = Self { events: history.len() as u64, ..Self::default() };
        let (mut sent, mut acked) = (HashSet::new(), HashSet::new());
        for record in history {
            match &record.event {
                Event::Send(it) => summary.sent += u64::from(sent.insert((&it.c, &it.room, &it.key))),
                Event::Ack(it) => summary.acked += u64::from(acked.insert((&it.c, &it.room, &it.key))),
                Event::Nack(_) => summary.nacked += 1,
                Event::Retry(_) => summary.retries += 1,
                Event::Answered(it) if is_retryable(&it.code) => summary.retries += 1,
                Event::Recv(_) => summary.delivered += 1,
                Event::Reset(_) => summary.resets += 1,
                Event::Fault(it) => *summary.faults.entry(it.kind.to_string()).or_default() += 1,
                _ => {}
            }
        }
        summary.unknown = summary.sent.saturating_sub(summary.acked + summary.nacked);
        summary
    }

    pub(super) fn add_room(&mut self, room: &Room<'_>, receivers: &HashMap<&str, Receiver<'_>>) {
        self.rooms += 1;
        self.gone += room.gone;
        self.add_commands(room);
        self.stored += room.rows().len() as u64;
        self.gaps_explained += receivers.values().map(|receiver| receiver.gaps).sum::<u64>();
        self.wired += room.wires.values().sum::<u64>();
        self.wire_repeats += room.wires.values().map(|count| count - 1).sum::<u64>();
    }

    fn add_commands(&mut self, room: &Room<'_>) {
        self.commands += room.accepted.iter().map(|(_, it)| (&it.c, &it.key)).collect::<HashSet<_>>().len() as u64;
        let notices: HashMap<_, _> =
            room.commands.iter().map(|(_, asked)| ((&asked.bot, &asked.reply), &asked.notice)).collect();
        for row in room.rows() {
            match notices.get(&(&row.user, &row.key)) {
                Some(notice) if **notice == row.hash => self.notices += 1,
                Some(_) => self.answers += 1,
                None => {}
            }
        }
    }

    pub(super) fn add_counts(&mut self, counts: &BTreeMap<Promise, u64>) {
        let count = |promise| counts.get(&promise).copied().unwrap_or_default();
        self.lost = count(P1);
        self.doubled = count(P2) + count(P3);
        self.reordered = count(P4);
        self.gaps_unexplained = count(P5);
        self.behind = count(P8);
    }
}

fn is_retryable(name: &str) -> bool {
    Code::ALL.iter().any(|code| code.name() == name && code.is_retryable())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let faults = if faults.is_empty() { "none".to_owned() } else { faults.join(", ") };
        writeln!(f, "history    {} lines, {} rooms, faults: {faults}", self.events, self.rooms)?;
        writeln!(
            f,
            "sent       {}: {} acknowledged, {} refused, {} never answered",
            self.sent, self.acked, self.nacked, self.unknown
        )?;
        writeln!(f, "stored     {}, after {} answers of \"try again\"", self.stored, self.retries)?;
        writeln!(
            f,
            "delivered  {}; on the wires {}, of them {} repeats",
            self.delivered, self.wired, self.wire_repeats
        )?;
        write!(
            f,
            "lost {}, doubled {}, reordered {}, gaps {} explained and {} not, behind at the end {}",
            self.lost, self.doubled, self.reordered, self.gaps_explained, self.gaps_unexplained, self.behind
        )?;
        if self.commands > 0 {
            let Self { commands, answers, notices, .. } = self;
            write!(
                f,
                "\ncommands   {commands} taken; stored {answers} answers and {notices} notices that there was none"
            )?;
        }
        if self.faults.contains_key("restore") {
            write!(
                f,
                "\nrestored   {} acknowledged drafts are gone, {} times a client was told to begin anew",
                self.gone, self.resets
            )?;
        }
        Ok(())
    }
}

//! The lines of one room, sorted by what they are.

use std::collections::{BTreeMap, HashMap};

use chat_core::Code;

use super::finding::At;
use crate::history::{
    Acked, Answered, Asked, Asking, Event, Followed, Log, Membership, Part, Record, Refused, Row, Sent, Unknown,
};

/// Is a draft by what makes it one: its author and its key.
pub(super) type DraftId<'h> = (&'h str, &'h str);

/// Is everything that a history says of one room.
#[derive(Debug, Default)]
pub(super) struct Room<'h> {
    pub(super) sends: Vec<(At, &'h Sent)>,
    /// What clients were told, and what the wire said.
    pub(super) acks: Vec<(At, Acked)>,
    pub(super) nacks: Vec<(At, &'h Refused)>,
    /// When the wire refused a client's key for good the last time.
    pub(super) refused: HashMap<(&'h str, &'h str), At>,
    /// When a client's key went over the wire, and over which connection.
    pub(super) asked: HashMap<(&'h str, &'h str), Vec<(At, u64)>>,
    /// Slash commands, and which of them were taken.
    pub(super) commands: Vec<(At, &'h Asking)>,
    pub(super) accepted: Vec<(At, &'h Unknown)>,
    pub(super) members: Vec<&'h Membership>,
    pub(super) reads: Vec<(At, &'h Part)>,
    /// What receivers were told, in order.
    pub(super) heard: Vec<(At, &'h Event)>,
    pub(super) last: Option<(At, &'h Log)>,
    pub(super) wires: HashMap<(&'h str, u64), u64>,
    /// Whose stream a client is: of drafts and of entries.
    pub(super) users: HashMap<&'h str, &'h str>,
    /// How many acknowledged drafts a restore took away.
    pub(super) gone: u64,
}

impl<'h> Room<'h> {
    pub(super) fn add(&mut self, at: At, event: &'h Event) {
        match event {
            Event::Send(sent) => {
                self.users.insert(&sent.c, &sent.user);
                self.sends.push((at, sent));
            }
            Event::Command(asking) => {
                self.users.insert(&asking.c, &asking.user);
                self.commands.push((at, asking));
            }
            Event::Accepted(it) => self.accepted.push((at, it)),
            Event::Ack(acked) => self.acks.push((at, acked.clone())),
            Event::Asked(asked) => self.asked.entry((&asked.c, &asked.key)).or_default().push((at, asked.link)),
            Event::Nack(refused) => self.nacks.push((at, refused)),
            Event::Member(change) => self.members.push(change),
            Event::Read(part) => self.reads.push((at, part)),
            Event::Final(log) => self.last = Some((at, log)),
            Event::Wire(wire) => {
                *self.wires.entry((&wire.c, wire.seq)).or_default() += 1;
                self.heard.push((at, event));
            }
            Event::Sub(Followed { c, user, .. }) => {
                self.users.insert(c, user);
                self.heard.push((at, event));
            }
            Event::Unsub(_) | Event::Recv(_) | Event::Gap(_) | Event::Reset(_) => self.heard.push((at, event)),
            _ => {}
        }
    }

    /// Adds what was answered on the wire, whether or not it arrived.
    pub(super) fn add_answer(&mut self, at: At, asked: &'h Asked, answered: &Answered) {
        if let Some((seq, id)) = answered.stored.clone() {
            let (c, room, key) = (asked.c.clone(), asked.room.clone(), asked.key.clone());
            self.acks.push((at, Acked { c, room, key, seq, id }));
        } else if is_final(&answered.code) {
            self.refused.insert((&asked.c, &asked.key), at);
        }
    }

    pub(super) fn rows(&self) -> &'h [Row] {
        self.last.map_or(&[], |(_, log)| &log.rows)
    }

    /// Returns the last position.
    pub(super) fn head(&self) -> u64 {
        self.rows().iter().map(|row| row.seq).max().unwrap_or_else(|| self.trimmed())
    }

    pub(super) fn trimmed(&self) -> u64 {
        self.last.map_or(0, |(_, log)| log.trimmed)
    }

    pub(super) fn by_seq(&self) -> BTreeMap<u64, &'h Row> {
        self.rows().iter().map(|row| (row.seq, row)).collect()
    }

    /// Returns where each draft is stored first.
    pub(super) fn by_draft(&self) -> HashMap<DraftId<'h>, &'h Row> {
        self.rows().iter().rev().map(|row| ((&*row.user, &*row.key), row)).collect()
    }
}

/// Tells whether a code ends the trying.
fn is_final(name: &str) -> bool {
    Code::ALL.iter().any(|code| code.name() == name && !code.is_retryable())
}

/// Returns the room that a line is about, if it is about one.
pub(super) fn of(record: &Record) -> Option<&str> {
    Some(match &record.event {
        Event::Send(it) => &it.room,
        Event::Ack(it) => &it.room,
        Event::Nack(it) | Event::Retry(it) => &it.room,
        Event::Info(it) | Event::Accepted(it) => &it.room,
        Event::Command(it) => &it.room,
        Event::Sub(it) => &it.room,
        Event::Unsub(it) => &it.room,
        Event::Recv(it) => &it.room,
        Event::Wire(it) => &it.room,
        Event::Gap(it) => &it.room,
        Event::Reset(it) => &it.room,
        Event::Member(it) => &it.room,
        Event::Read(it) => &it.room,
        Event::Final(it) => &it.room,
        Event::Asked(it) => &it.room,
        Event::Answered(_)
        | Event::Open(_)
        | Event::Close(_)
        | Event::Hangup(_)
        | Event::Fault(_)
        | Event::Sample(_)
        | Event::Exit(_)
        | Event::Came(_)
        | Event::Went(_)
        | Event::Seen(_)
        | Event::Unwatch(_)
        | Event::Revoked(_) => return None,
    })
}

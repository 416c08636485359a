//! What receivers were told: once, in order, without holes, of the log, and only to members.

use std::collections::{BTreeMap, HashMap};

use super::{
    finding::{
        At, Findings,
        Promise::{P3, P4, P5, P6, P8, P12},
    },
    members::Members,
    restored::Restores,
    room::Room,
};
use crate::history::{Event, Missing, Received, Record, Row};

/// Is where one client stands.
#[derive(Debug, Default)]
pub(super) struct Receiver<'h> {
    user: &'h str,
    /// The line that brought it here, and the last position; `None` when it does not receive the room.
    at: Option<(At, u64)>,
    /// The line that ended its receiving, unless it asked for that itself.
    ended: Option<At>,
    /// When each position was received, for repeats.
    received: BTreeMap<u64, At>,
    /// Gaps that were told with a reason that holds.
    pub(super) gaps: u64,
}

/// Judges what is told, and returns who was told.
pub(super) fn judge<'h>(
    history: &'h [Record],
    restores: &Restores,
    room: &Room<'h>,
    members: &Members<'h>,
    findings: &mut Findings,
) -> HashMap<&'h str, Receiver<'h>> {
    let rows = room.by_seq();
    let mut judge = Judge { room, members, rows, ids: HashMap::new(), receivers: HashMap::new(), findings };
    for (at, event) in &room.heard {
        match event {
            Event::Sub(sub) => judge.begins(*at, &sub.c, &sub.user, sub.from),
            Event::Unsub(unsub) => {
                let receiver = judge.receiver(&unsub.c);
                receiver.at = None;
                receiver.ended = (&*unsub.why != "unfollowed").then_some(*at);
            }
            Event::Recv(received) => judge.receives(*at, received),
            Event::Wire(wire) => judge.is_of_the_log(*at, wire.seq, &wire.id, None),
            Event::Gap(gap) => judge.misses(*at, gap, restores.excuse(history[*at].t)),
            Event::Reset(reset) => {
                let receiver = judge.receiver(&reset.c);
                receiver.at = None;
                receiver.received.clear(); // positions are given away anew
                if !restores.have_begun(history[*at].t) {
                    judge.findings.add(
                        P5,
                        &[*at],
                        "a client was told to begin anew, and no log was restored".to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
    judge.all_arrived();
    judge.receivers
}

struct Judge<'a, 'h> {
    room: &'a Room<'h>,
    members: &'a Members<'h>,
    rows: BTreeMap<u64, &'h Row>,
    /// The first id that anybody saw at a position.
    ids: HashMap<u64, (At, &'h str)>,
    receivers: HashMap<&'h str, Receiver<'h>>,
    findings: &'a mut Findings,
}

impl<'h> Judge<'_, 'h> {
    fn receiver(&mut self, c: &'h str) -> &mut Receiver<'h> {
        self.receivers.entry(c).or_default()
    }

    fn begins(&mut self, at: At, c: &'h str, user: &'h str, from: u64) {
        let receiver = self.receiver(c);
        (receiver.user, receiver.ended) = (user, None);
        let before = receiver.at.replace((at, from));
        if let Some((before_at, before)) = before.filter(|(_, before)| *before != from) {
            let what = format!("{c} was at {before} and is followed from {from}");
            self.findings.add(P5, &[before_at, at], what);
        }
    }

    fn receives(&mut self, at: At, got: &'h Received) {
        let (c, seq) = (&*got.c, got.seq);
        let receiver = self.receiver(c);
        receiver.user = &got.user;
        let before = receiver.at.replace((at, seq));
        let repeat = receiver.received.insert(seq, at);
        let above = receiver.received.last_key_value().map(|(seq, at)| (*seq, *at)).filter(|(last, _)| *last > seq);
        if let Some(first) = repeat {
            self.findings.add(P3, &[first, at], format!("{c} received {seq} twice"));
        } else if let Some((above, above_at)) = above {
            self.findings.add(P4, &[above_at, at], format!("{c} received {seq} after {above}"));
        } else {
            match before {
                Some((before_at, before)) if seq != before + 1 => {
                    self.findings.add(P5, &[before_at, at], format!("{c} received {seq} right after {before}"));
                }
                None => {
                    self.findings.add(P5, &[at], format!("{c} received {seq} of a room it does not follow"));
                }
                Some(_) => {}
            }
        }
        self.is_of_the_log(at, seq, &got.id, Some((&got.key, &got.hash)));
        if !self.members.may_receive(&got.user, seq) {
            self.findings.add(P12, &[at], format!("{} received {seq} and was no member there", got.user));
        }
    }

    fn is_of_the_log(&mut self, at: At, seq: u64, id: &'h str, content: Option<(&str, &str)>) {
        let (first_at, first) = *self.ids.entry(seq).or_insert((at, id));
        if first != id {
            self.findings.add(P4, &[first_at, at], format!("{seq} is {first} to one and {id} to another"));
        }
        let same = |row: &&Row| &*row.id == id && content.is_none_or(|content| content == (&*row.key, &*row.hash));
        if seq > self.room.trimmed() && !self.rows.get(&seq).is_some_and(same) {
            let lines: Vec<_> = self.room.last.map(|(at, _)| at).into_iter().chain([at]).collect();
            self.findings.add(P6, &lines, format!("{id} was delivered at {seq} and is not stored like that"));
        }
    }

    /// Judges a gap. One that was told while entries could still be lost may have been of a membership that was.
    fn misses(&mut self, at: At, gap: &'h Missing, is_excused: bool) {
        let Missing { c, a, b, reason, .. } = gap;
        let (room, members) = (self.room, self.members);
        let receiver = self.receiver(c);
        let before = receiver.at.replace((at, *b));
        let holds = match &**reason {
            "retention" => *b <= room.trimmed(),
            // A room that hides what was before one joined hides it all, earlier memberships included: what a member may
            // read there begins with the entry that let them in last. So who was away when they were thrown out and let
            // in again is never told what came before that, though they were a member then. Nothing else is excused: such
            // a gap ends right before an entry that let this user in.
            "not_visible" => members.joins(receiver.user, b + 1) || !members.may_receive_any(receiver.user, *a, *b),
            _ => false,
        };
        receiver.gaps += u64::from(holds);
        if is_excused {
            return;
        }
        if !holds {
            let what = format!("{c} was told that {a} to {b} are gone ({reason}), which is not so");
            self.findings.add(P5, &[at], what);
        }
        if let Some((before_at, before)) = before.filter(|(_, before)| before + 1 != *a) {
            let what = format!("{c} was at {before} and was told of a gap from {a}");
            self.findings.add(P5, &[before_at, at], what);
        }
    }

    fn all_arrived(&mut self) {
        let Some((last, _)) = self.room.last else { return };
        let head = self.room.head();
        for (c, receiver) in &self.receivers {
            if let Some((at, seq)) = receiver.at.filter(|(_, seq)| *seq != head) {
                self.findings.add(P8, &[at, last], format!("{c} is at {seq}, and the log ends at {head}"));
            }
            if let Some(at) = receiver.ended.filter(|_| self.members.may_receive(receiver.user, head)) {
                self.findings.add(
                    P8,
                    &[at, last],
                    format!("{c} is not followed any more, and {} is a member", receiver.user),
                );
            }
        }
    }
}

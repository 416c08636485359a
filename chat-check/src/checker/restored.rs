//! What was lost when a log was put back to an older state on purpose, and who must be told.
//!
//! Then what was acknowledged and shown before may be gone, but only the end of each log, and only up to then; whoever has
//! seen of it is told to begin anew. The lines about what is gone are taken out here, so that all others are judged
//! as ever.

use std::collections::{HashMap, HashSet};

use super::{
    finding::{
        At, Findings,
        Promise::{P1, P5},
    },
    room::Room,
};
use crate::history::{Acked, Event, Record, Row};

/// Nodes look at their logs every second; what is on its way to a client may arrive so much later, in microseconds.
const SHOWN_WITHIN_US: u64 = 5_000_000;

/// Is from when to when logs were put back, each time. What comes in between may be of either log.
#[derive(Debug)]
pub(super) struct Restores(Vec<(u64, u64)>);

impl Restores {
    pub(super) fn of(history: &[Record]) -> Self {
        let restore = |record: &Record| match &record.event {
            Event::Fault(fault) if &*fault.kind == "restore" => Some((fault.start, fault.stop)),
            _ => None,
        };
        Self(history.iter().filter_map(restore).collect())
    }

    /// Tells whether a log had been put back, or was about to be.
    pub(super) fn have_begun(&self, t: u64) -> bool {
        self.0.iter().any(|(start, _)| *start <= t)
    }

    /// Tells whether nodes find out at this time that a log was put back.
    pub(super) fn are_found_out(&self, t: u64) -> bool {
        self.0.iter().any(|(start, stop)| (*start..stop + SHOWN_WITHIN_US).contains(&t))
    }

    fn are_to_come(&self, t: u64) -> bool {
        self.0.iter().any(|(_, stop)| t < *stop)
    }

    /// Tells whether what is shown at this time may be gone by the end.
    pub(super) fn excuse(&self, t: u64) -> bool {
        self.are_to_come(t) || self.are_found_out(t)
    }
}

/// Takes out of a room what is said of entries that are gone, and holds against the promises what may not be gone.
pub(super) fn prune(history: &[Record], restores: &Restores, room: &mut Room<'_>, findings: &mut Findings) {
    let Some((end, _)) = room.last.filter(|_| !restores.0.is_empty()) else { return };
    let (rows, trimmed) = (room.by_seq(), room.trimmed());
    let differs = |seq: u64, id: &str| rows.get(&seq).is_none_or(|row: &&Row| &*row.id != id) && seq > trimmed;
    let is_gone = |at: At, seq: u64, id: &str| differs(seq, id) && restores.excuse(history[at].t);
    let sent = first_sends(room);
    let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut room.acks).into_iter().partition(|(at, ack)| {
        // An answer may come late; what counts is that it was sent before.
        !differs(ack.seq, &ack.id) || !restores.are_to_come(history[*sent.get(&*ack.key).unwrap_or(at)].t)
    });
    only_the_end_is_gone(history, &kept, &gone, restores, findings);
    room.acks = kept;
    room.gone = gone.iter().map(|(_, ack)| &ack.id).collect::<HashSet<_>>().len() as u64;

    let mut seen: HashMap<&str, At> = HashMap::new();
    let heard = std::mem::take(&mut room.heard);
    for (at, event) in heard {
        match event {
            Event::Wire(wire) if is_gone(at, wire.seq, &wire.id) => continue,
            Event::Recv(got) if is_gone(at, got.seq, &got.id) => {
                seen.insert(&got.c, at);
                continue;
            }
            Event::Recv(got) => must_be_told(&mut seen, &got.c, at, findings),
            Event::Reset(reset) => drop(seen.remove(&*reset.c)),
            Event::Unsub(unsub) => drop(seen.remove(&*unsub.c)),
            _ => {}
        }
        room.heard.push((at, event));
    }
    let clients: Vec<_> = seen.keys().copied().collect();
    for c in clients {
        must_be_told(&mut seen, c, end, findings);
    }
    room.reads.retain(|(at, part)| !part.rows.iter().any(|(seq, id)| is_gone(*at, *seq, id)));
}

fn first_sends<'h>(room: &Room<'h>) -> HashMap<&'h str, At> {
    room.sends.iter().rev().map(|(at, sent)| (&*sent.key, *at)).collect()
}

/// What stood above something that is gone is gone, too.
fn only_the_end_is_gone(
    history: &[Record],
    kept: &[(At, Acked)],
    gone: &[(At, Acked)],
    restores: &Restores,
    findings: &mut Findings,
) {
    let mut from = 0;
    for (start, stop) in &restores.0 {
        let before = |at: At| (from..*start).contains(&history[at].t);
        let first = gone.iter().filter(|(at, _)| before(*at)).min_by_key(|(_, ack)| ack.seq);
        if let Some((gone_at, gone)) = first
            && let Some((at, ack)) = kept.iter().find(|(at, ack)| before(*at) && ack.seq > gone.seq)
        {
            let what =
                format!("{} is gone, and {} is not, which was acknowledged before the same restore", gone.seq, ack.seq);
            findings.add(P1, &[*gone_at, *at], what);
        }
        from = *stop;
    }
}

/// Who has seen what is gone learns nothing else of the room before the word to begin anew.
fn must_be_told(seen: &mut HashMap<&str, At>, c: &str, at: At, findings: &mut Findings) {
    if let Some(seen_at) = seen.remove(c) {
        findings.add(P5, &[seen_at, at], format!("{c} has seen what is gone, and was not told"));
    }
}

//! Answers, refusals and reads, held against the log as it stands at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    finding::{
        At, Findings,
        Promise::{P1, P2, P6, P7, P12},
    },
    members::Members,
    room::{DraftId, Room},
};
use crate::history::{Change, Event, Refused, Row, Sent};

pub(super) fn judge(name: &str, room: &Room<'_>, members: &Members<'_>, findings: &mut Findings) {
    log_is_dense(name, room, findings);
    reads_are_of_the_log(room, findings);
    acks_are_stored(room, findings);
    keys_are_stored_once(room, findings);
    rows_were_sent(room, members, findings);
    refusals_hold(room, findings);
}

/// Returns the line of the log, as a witness.
fn log(room: &Room<'_>) -> Option<At> {
    room.last.map(|(at, _)| at)
}

fn add(room: &Room<'_>, findings: &mut Findings, promise: super::Promise, lines: &[At], what: String) {
    findings.add(promise, &lines.iter().copied().chain(log(room)).collect::<Vec<_>>(), what);
}

fn log_is_dense(name: &str, room: &Room<'_>, findings: &mut Findings) {
    let mut expected = room.trimmed() + 1;
    let mut ids = HashMap::new();
    for row in room.rows() {
        if row.seq != expected {
            let what = format!("after {} the log of {name} has {}, not {expected}", expected - 1, row.seq);
            add(room, findings, P7, &[], what);
        }
        if let Some(other) = ids.insert(&row.id, row.seq) {
            add(room, findings, P7, &[], format!("{} and {} of {name} have one id, {}", other, row.seq, row.id));
        }
        expected = row.seq + 1;
    }
}

/// Any read at any time shows a prefix: what it shows has no holes, and is in the log to stay.
fn reads_are_of_the_log(room: &Room<'_>, findings: &mut Findings) {
    let rows = room.by_seq();
    for (at, part) in &room.reads {
        for ((seq, id), expected) in part.rows.iter().zip(part.after + 1..) {
            if *seq != expected {
                findings.add(P7, &[*at], format!("a read shows {seq} where {expected} has to be"));
                break;
            }
            if rows.get(seq).is_none_or(|row| row.id != *id) && *seq > room.trimmed() {
                add(room, findings, P7, &[*at], format!("a read showed {id} at {seq}, which the log does not have"));
                break;
            }
        }
    }
}

fn acks_are_stored(room: &Room<'_>, findings: &mut Findings) {
    let rows = room.by_seq();
    let sends = first_sends_of_clients(room);
    for (at, ack) in &room.acks {
        let sent = sends.get(&(&*ack.c, &*ack.key));
        let same = |row: &&Row| {
            row.id == ack.id
                && row.key == ack.key
                && sent.is_none_or(|(_, sent)| sent.user == row.user && sent.hash == row.hash)
        };
        if ack.seq > room.trimmed() && !rows.get(&ack.seq).is_some_and(same) {
            let lines: Vec<_> = sent.map(|(at, _)| *at).into_iter().chain([*at]).collect();
            let what = format!(
                "{} was acknowledged at {}, where the log has {}",
                ack.key,
                ack.seq,
                rows.get(&ack.seq).map_or("nothing", |row| &row.key)
            );
            add(room, findings, P1, &lines, what);
        }
    }
}

/// Per client and key, the first draft under it. What is sent again under its key is the same draft, or a conflict.
fn first_sends_of_clients<'h>(room: &Room<'h>) -> HashMap<(&'h str, &'h str), (At, &'h Sent)> {
    room.sends.iter().rev().map(|(at, sent)| ((&*sent.c, &*sent.key), (*at, *sent))).collect()
}

fn keys_are_stored_once(room: &Room<'_>, findings: &mut Findings) {
    let mut stored = HashMap::<DraftId<'_>, &Row>::new();
    for row in room.rows() {
        if let Some(first) = stored.insert((&row.user, &row.key), row) {
            add(
                room,
                findings,
                P2,
                &[],
                format!("{} of {} is stored at {} and {}", row.key, row.user, first.seq, row.seq),
            );
        }
    }
    let mut acked = HashMap::new();
    for (at, ack) in &room.acks {
        let Some(user) = room.users.get(&*ack.c) else { continue };
        let (first_at, first) = *acked.entry((*user, &*ack.key)).or_insert((*at, ack));
        if (first.seq, &first.id) != (ack.seq, &ack.id) {
            let what = format!("{} was acknowledged at {} and at {}", ack.key, first.seq, ack.seq);
            findings.add(P2, &[first_at, *at], what);
        }
    }
}

fn rows_were_sent(room: &Room<'_>, members: &Members<'_>, findings: &mut Findings) {
    let mut sends = HashMap::<DraftId<'_>, Vec<(At, &Sent)>>::new();
    for (at, sent) in &room.sends {
        sends.entry((&sent.user, &sent.key)).or_default().push((*at, *sent));
    }
    let replies: HashSet<DraftId<'_>> = room.commands.iter().map(|(_, asked)| (&*asked.bot, &*asked.reply)).collect();
    for row in room.rows().iter().filter(|row| !replies.contains(&(&*row.user, &*row.key))) {
        let sent = sends.get(&(&*row.user, &*row.key)).map_or(&[][..], Vec::as_slice);
        if sent.is_empty() {
            add(room, findings, P6, &[], format!("nobody sent {}, which is stored at {}", row.key, row.seq));
        } else if sent.iter().all(|(_, sent)| sent.hash != row.hash) {
            let lines: Vec<_> = sent.iter().map(|(at, _)| *at).take(1).collect();
            add(
                room,
                findings,
                P6,
                &lines,
                format!("{} is stored at {} with a body that nobody sent", row.key, row.seq),
            );
        }
        if !members.may_send(&row.user, row.seq) {
            let lines: Vec<_> = sent.iter().map(|(at, _)| *at).take(1).collect();
            add(
                room,
                findings,
                P12,
                &lines,
                format!("{} was no member at {}, and yet that is theirs", row.user, row.seq),
            );
        }
    }
}

/// A refusal for good says that the draft is not stored, except for two codes: `conflict` says that another one is,
/// under the same key, and `too_old` that nobody knows any more. Where two clients send one draft, each learns what became
/// of its own try, and the other's may be allowed later; but what was stored when it was tried is never refused. The
/// same goes for a client's own earlier try, which is on its way still over a connection that was given up, if its user
/// was let in again before it arrived.
fn refusals_hold(room: &Room<'_>, findings: &mut Findings) {
    let (rows, tries) = (room.by_draft(), Tries::of(room));
    for (at, nack) in &room.nacks {
        let Some(user) = room.users.get(&*nack.c) else { continue };
        let row = rows.get(&(*user, &*nack.key));
        match (&*nack.code, row) {
            ("too_old", _) | (_, None) => {}
            ("conflict", Some(row)) => {
                let mine = room.sends.iter().filter(|(_, sent)| sent.c == nack.c && sent.key == nack.key);
                if mine.clone().all(|(_, sent)| sent.hash == row.hash) {
                    let lines: Vec<_> = mine.map(|(at, _)| *at).take(1).chain([*at]).collect();
                    add(room, findings, P2, &lines, format!("{} was refused as a conflict with itself", nack.key));
                }
            }
            (code, Some(row)) if !tries.may_differ(*at, nack, row) && !tries.may_be_late(*at, nack, row) => {
                add(
                    room,
                    findings,
                    P6,
                    &[*at],
                    format!("{} was refused as {code} and is stored at {}", nack.key, row.seq),
                );
            }
            _ => {}
        }
    }
}

/// Knows who tried which key when, and since when it is plain what is stored.
struct Tries<'h> {
    room: &'h Room<'h>,
    /// Per key, when each client sent it first.
    sent: HashMap<&'h str, HashMap<&'h str, At>>,
    /// Per position, the first line that shows that one or a later one to be taken.
    taken: BTreeMap<u64, At>,
}

impl<'h> Tries<'h> {
    fn of(room: &'h Room<'h>) -> Self {
        let mut sent = HashMap::<_, HashMap<_, _>>::new();
        for (at, it) in &room.sends {
            sent.entry(&*it.key).or_default().entry(&*it.c).or_insert(*at);
        }
        Self { room, sent, taken: taken(room) }
    }

    /// Tells whether another client's try may have been stored although this one was refused.
    fn may_differ(&self, refused_at: At, nack: &'h Refused, row: &Row) -> bool {
        let Some(clients) = self.sent.get(&*nack.key) else { return false };
        let Some(first) = clients.get(&*nack.c) else { return false };
        let tried = self.asked_before(refused_at, nack).last().map_or(*first, |(at, _)| *at);
        clients.len() > 1 && self.seen(row.seq) >= tried
    }

    /// Tells whether an earlier try over another connection may have been stored after this one was refused.
    fn may_be_late(&self, refused_at: At, nack: &'h Refused, row: &Row) -> bool {
        let Some((_, link)) = self.asked_before(refused_at, nack).last() else { return false };
        let let_in = self.room.members.iter().filter(|it| it.user == row.user && it.change == Change::In);
        self.asked_before(refused_at, nack).any(|(_, other)| other != link)
            && let_in.filter(|it| it.seq < row.seq).any(|it| self.seen(it.seq) > refused_at)
    }

    fn asked_before(&self, refused_at: At, nack: &'h Refused) -> impl Iterator<Item = &(At, u64)> {
        let asked = self.room.asked.get(&(&*nack.c, &*nack.key)).map_or(&[][..], Vec::as_slice);
        asked.iter().take_while(move |(at, _)| *at < refused_at)
    }

    /// Returns the first line that shows that a position is taken.
    fn seen(&self, seq: u64) -> At {
        self.taken.range(seq..).next().map_or(At::MAX, |(_, at)| *at)
    }
}

/// A log has no holes: whoever sees a position knows that all before it are taken.
fn taken(room: &Room<'_>) -> BTreeMap<u64, At> {
    let acks = room.acks.iter().map(|(at, ack)| (ack.seq, *at));
    let heard = room.heard.iter().filter_map(|(at, event)| match event {
        Event::Recv(it) => Some((it.seq, *at)),
        Event::Wire(it) => Some((it.seq, *at)),
        _ => None,
    });
    let reads = room.reads.iter().flat_map(|(at, part)| part.rows.iter().map(|(seq, _)| (*seq, *at)));
    let mut taken = BTreeMap::new();
    for (seq, at) in acks.chain(heard).chain(reads) {
        let first = taken.entry(seq).or_insert(at);
        *first = at.min(*first);
    }
    let mut first = At::MAX;
    for at in taken.values_mut().rev() {
        first = first.min(*at);
        *at = first;
    }
    taken
}

//! The order of what was sent: of one sender, and of all.

use std::collections::{HashMap, HashSet};

use super::{
    finding::{At, Findings, Promise::P4},
    room::Room,
};
use crate::history::Sent;

/// Is a draft that was sent, and its position.
type Placed<'h> = (At, &'h Sent, u64);

pub(super) fn judge(room: &Room<'_>, findings: &mut Findings) {
    let placed = first_sends(room);
    senders_keep_their_order(room, &placed, findings);
    answered_comes_before_what_is_sent_later(room, &placed, findings);
}

/// Returns for each client and key when it was first sent, and where it is stored, in the order of the sends.
fn first_sends<'h>(room: &Room<'h>) -> Vec<Placed<'h>> {
    let rows = room.by_draft();
    let mut seen = HashSet::new();
    let first = room.sends.iter().filter(|(_, sent)| seen.insert((&sent.c, &sent.key)));
    first.filter_map(|(at, sent)| Some((*at, *sent, rows.get(&(&*sent.user, &*sent.key))?.seq))).collect()
}

/// What one client sent without waiting is stored in that order. A key that two clients sent has no place in either's
/// order, since it may be the other's that was stored.
fn senders_keep_their_order(room: &Room<'_>, placed: &[Placed<'_>], findings: &mut Findings) {
    let mut senders = HashMap::<_, u32>::new();
    for (_, sent, _) in placed {
        *senders.entry((&sent.user, &sent.key)).or_default() += 1;
    }
    let mut clients = HashMap::<_, Sender>::new();
    for (at, sent, seq) in placed.iter().filter(|(_, sent, _)| senders[&(&sent.user, &sent.key)] == 1) {
        let draft = Draft { at: *at, settled: settled(room, *at, sent), seq: *seq };
        if let Some(earlier) = clients.entry(&sent.c).or_default().sends(draft) {
            let what = format!("{} sent what is at {} before what is at {seq}", sent.c, earlier.seq);
            findings.add(P4, &[earlier.at, *at], what);
        }
    }
}

/// Returns from when on a draft has its place in its sender's order: when it was sent. But if it was refused for good, and
/// that got lost, it was sent once more and by then it was allowed; what was sent behind the first try was not held up
/// by a refusal for good, so only what was sent after the second try is behind it. Without a second try on the wire
/// nobody can say which try it was.
fn settled(room: &Room<'_>, sent_at: At, sent: &Sent) -> At {
    let id = (&*sent.c, &*sent.key);
    let Some(refused) = room.refused.get(&id) else { return sent_at };
    let again = room.asked.get(&id).and_then(|asked| asked.iter().map(|(at, _)| at).find(|at| *at > refused));
    again.copied().unwrap_or(At::MAX)
}

/// Is a draft of one sender.
#[derive(Clone, Copy)]
struct Draft {
    at: At,
    settled: At,
    seq: u64,
}

/// Is what one client has sent so far.
#[derive(Default)]
struct Sender {
    /// The last in the log of those that have their place.
    last: Option<Draft>,
    unsettled: Vec<Draft>,
}

impl Sender {
    /// Adds a draft. Returns an earlier one that is stored after it and must not be.
    fn sends(&mut self, draft: Draft) -> Option<Draft> {
        let settled = self.unsettled.extract_if(.., |earlier| earlier.settled < draft.at);
        self.last = settled.chain(self.last).max_by_key(|earlier| earlier.seq);
        let wrong = self.last.filter(|earlier| earlier.seq > draft.seq);
        self.unsettled.push(draft);
        wrong
    }
}

/// Whoever sends after an answer is stored after what was answered, whoever the two are.
fn answered_comes_before_what_is_sent_later(room: &Room<'_>, placed: &[Placed<'_>], findings: &mut Findings) {
    let mut firsts = HashMap::new();
    for (at, sent, seq) in placed {
        // Another client of the same user may have sent the same draft earlier.
        firsts.entry((&sent.user, &sent.key)).or_insert((*at, *seq));
    }
    let mut firsts: Vec<_> = firsts.into_values().collect();
    firsts.sort_unstable();
    let mut acks: Vec<_> = room.acks.iter().map(|(at, ack)| (*at, ack.seq)).collect();
    acks.sort_unstable();
    let mut acks = acks.into_iter().peekable();
    let mut highest: Option<(At, u64)> = None;
    for (at, seq) in firsts {
        while let Some(ack) = acks.next_if(|(ack, _)| *ack < at) {
            highest = highest.filter(|(_, highest)| *highest >= ack.1).or(Some(ack));
        }
        if let Some((ack, answered)) = highest.filter(|(_, answered)| *answered > seq) {
            let what = format!("{answered} was answered before what is at {seq} was sent");
            findings.add(P4, &[ack, at], what);
        }
    }
}

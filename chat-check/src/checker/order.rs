//! The order of what was sent: of one sender, and of all.

use std::collections::{HashMap, HashSet};

use super::{
    finding::{At, Findings, Promise::P4},
    members::Members,
    room::Room,
};
use crate::history::{Event, Sent};

/// Is a draft that was sent, and its position.
type Placed<'h> = (At, &'h Sent, u64);

pub(super) fn judge(room: &Room<'_>, members: &Members<'_>, findings: &mut Findings) {
    let placed = first_sends(room);
    senders_keep_their_order(&Tries::of(room, members), &placed, findings);
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
fn senders_keep_their_order(tries: &Tries<'_>, placed: &[Placed<'_>], findings: &mut Findings) {
    let mut senders = HashMap::<_, u32>::new();
    for (_, sent, _) in placed {
        *senders.entry((&sent.user, &sent.key)).or_default() += 1;
    }
    let mut clients = HashMap::<_, Sender>::new();
    for (at, sent, seq) in placed.iter().filter(|(_, sent, _)| senders[&(&sent.user, &sent.key)] == 1) {
        let draft = tries.draft(*at, sent, *seq);
        if let Some(earlier) = clients.entry(&sent.c).or_default().sends(draft) {
            let what = format!("{} sent what is at {} before what is at {seq}", sent.c, earlier.seq);
            findings.add(P4, &[earlier.at, *at], what);
        }
    }
}

/// Is what is known of how often drafts were sent, and of what may have been refused.
struct Tries<'h> {
    room: &'h Room<'h>,
    members: &'h Members<'h>,
    /// When an entry was first received or acknowledged, by position.
    heard: HashMap<u64, At>,
}

impl<'h> Tries<'h> {
    fn of(room: &'h Room<'h>, members: &'h Members<'h>) -> Self {
        let mut heard = HashMap::new();
        let received = room.heard.iter().filter_map(|(at, event)| match event {
            Event::Recv(it) => Some((*at, it.seq)),
            _ => None,
        });
        for (at, seq) in received.chain(room.acks.iter().map(|(at, ack)| (*at, ack.seq))) {
            let first = heard.entry(seq).or_insert(at);
            *first = at.min(*first);
        }
        Self { room, members, heard }
    }

    /// Finds out from when on a draft has its place in its sender's order: when it was sent. But if it was refused for good,
    /// and that got lost, it was sent once more and by then it was allowed; what was sent behind the first try was not
    /// held up by a refusal for good, so only what was sent after the second try is behind it. Without a second try on
    /// the wire nobody can say which try it was.
    fn draft(&self, at: At, sent: &Sent, seq: u64) -> Draft {
        let id = (&*sent.c, &*sent.key);
        let tries = self.room.asked.get(&id).map_or(&[][..], Vec::as_slice);
        if let Some(refused) = self.room.refused.get(&id) {
            let again = tries.iter().map(|(at, _)| *at).find(|at| at > refused);
            return Draft { at, settled: again.unwrap_or(At::MAX), let_in: 0, seq };
        }
        let unseen = self.refused_unseen(tries, sent, seq);
        let (settled, let_in) = unseen.unwrap_or((at, 0));
        Draft { at, settled, let_in, seq }
    }

    /// Tells whether the connection may have been cut before a refusal of the first try was on the wire: the sender had been
    /// thrown out, was let in again after that try, and sent once more over another connection. Returns when that was,
    /// and the position that let the sender in: until then nothing behind the first try can have been allowed.
    fn refused_unseen(&self, tries: &[(At, u64)], sent: &Sent, seq: u64) -> Option<(At, u64)> {
        let (first, link) = tries.first()?;
        let since = |at: &u64| *at < seq && self.heard.get(at).is_some_and(|heard| heard > first);
        let let_in = self.members.joins_of(&sent.user).find(since)?;
        let stored = self.heard.get(&seq)?;
        let again = tries.iter().rfind(|(at, other)| other != link && at < stored)?;
        Some((again.0, let_in))
    }
}

/// Is a draft of one sender.
#[derive(Clone, Copy)]
struct Draft {
    at: At,
    settled: At,
    /// What its sender sent behind it may be stored before it from this position on, as long as it is not settled.
    let_in: u64,
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
        let too_early = |earlier: &&Draft| draft.seq < earlier.let_in && earlier.seq > draft.seq;
        let wrong = self.last.filter(|earlier| earlier.seq > draft.seq);
        let wrong = wrong.or_else(|| self.unsettled.iter().find(too_early).copied());
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

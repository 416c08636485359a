//! Who is on which node, as one node knows it: a plain state machine that reads no clock and waits for nothing.
//!
//! Each node counts its changes. Who hears change 8 after change 6, or of a node it does not know, asks for all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Lease;
use crate::model::{NodeId, UserId};

/// Users in one word, by the bytes of their names: below the 64 KiB of a payload, however they are escaped.
const NAMES_BYTES_MAX: usize = 24 * 1024;
/// Other nodes that are believed to exist; a forger could make up any number.
const NODES_MAX: usize = 1_024;
/// Parts in which one node's users come at most: with short names a million users.
const PARTS_MAX: u32 = 1_024;
/// A node is asked, and answers, once in this time: what is lost or flapping must not become a storm.
const ONCE_IN: Duration = Duration::from_secs(1);

/// Is one thing a node tells the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub(super) enum Word {
    /// The node is there, and has made this many changes.
    Beat { node: NodeId, changes: u64 },
    /// With this change, these users came and those went.
    Change { node: NodeId, changes: u64, came: Vec<UserId>, went: Vec<UserId> },
    /// Some of all users of a node, as of this change.
    Part { node: NodeId, changes: u64, part: u32, of: u32, users: Vec<UserId> },
    /// Tell all your users: one node, or all nodes.
    Ask { node: Option<NodeId> },
}

/// Is what one process knows.
#[derive(Debug)]
pub(super) struct Roster {
    lease: Duration,
    ours: BTreeMap<NodeId, Ours>,
    others: BTreeMap<NodeId, Other>,
    /// What is to be asked.
    asks: BTreeSet<Option<NodeId>>,
}

/// Is a node of this process.
#[derive(Debug)]
struct Ours {
    until: Instant,
    users: BTreeSet<UserId>,
    changes: u64,
    /// Who came (true) or went since the last word about it.
    untold: BTreeMap<UserId, bool>,
    beat: bool,
    asked: bool,
    answered: Option<Instant>,
}

/// Is a node of another process.
#[derive(Debug)]
struct Other {
    until: Instant,
    users: BTreeSet<UserId>,
    changes: u64,
    asked: Option<Instant>,
    parts: Parts,
}

/// Is what has come of an answer.
#[derive(Debug, Default)]
struct Parts {
    changes: u64,
    come: BTreeMap<u32, Vec<UserId>>,
}

impl Roster {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, ours: BTreeMap::new(), others: BTreeMap::new(), asks: BTreeSet::from([None]) }
    }

    pub(super) fn enter(&mut self, node: NodeId, users: &[UserId], now: Instant) {
        self.forget(now);
        let ours = self.ours.entry(node).or_insert_with(|| Ours::new(now));
        if ours.until <= now {
            ours.begin(now + self.lease);
        }
        for user in users {
            if ours.users.insert(user.clone()) {
                ours.untold.insert(user.clone(), true);
            }
        }
    }

    pub(super) fn leave(&mut self, node: NodeId, users: &[UserId]) {
        let Some(ours) = self.ours.get_mut(&node) else { return };
        for user in users {
            if ours.users.remove(user) {
                ours.untold.insert(user.clone(), false);
            }
        }
    }

    pub(super) fn refresh(&mut self, node: NodeId, now: Instant) -> Lease {
        self.forget(now);
        match self.ours.get_mut(&node).filter(|ours| ours.until > now) {
            Some(ours) => {
                (ours.until, ours.beat) = (now + self.lease, true);
                Lease::Held
            }
            None => Lease::Lapsed,
        }
    }

    pub(super) fn online(&mut self, users: &[UserId], now: Instant) -> Vec<bool> {
        self.forget(now);
        let ours = self.ours.values().map(|node| &node.users);
        let nodes: Vec<_> = ours.chain(self.others.values().map(|node| &node.users)).collect();
        users.iter().map(|user| nodes.iter().any(|users| users.contains(user))).collect()
    }

    /// Doubts all that is known: it stays until the others have told it again.
    pub(super) fn doubt(&mut self) {
        self.asks.insert(None);
    }

    /// Takes what there is to say.
    pub(super) fn speak(&mut self, now: Instant) -> Vec<Word> {
        let mut words: Vec<_> = std::mem::take(&mut self.asks).into_iter().map(|node| Word::Ask { node }).collect();
        for (node, ours) in &mut self.ours {
            ours.speak(*node, now, &mut words);
        }
        words
    }

    /// Takes in what another node said, or this one, which comes back from some brokers.
    pub(super) fn hear(&mut self, word: Word, now: Instant) {
        self.forget(now);
        match word {
            Word::Ask { node } => {
                let asked = self.ours.iter_mut().filter(|(ours, _)| node.is_none_or(|node| node == **ours));
                asked.for_each(|(_, ours)| ours.asked = true);
            }
            Word::Beat { node, changes } => {
                let Some(other) = self.other(node, now) else { return };
                if other.changes != changes {
                    self.ask(node, now);
                }
            }
            Word::Change { node, changes, came, went } => {
                let Some(other) = self.other(node, now) else { return };
                if other.changes + 1 == changes {
                    other.changes = changes;
                    other.users.extend(came);
                    for user in &went {
                        other.users.remove(user);
                    }
                } else if other.changes < changes {
                    self.ask(node, now);
                }
            }
            Word::Part { node, changes, part, of, users } => {
                if let Some(other) = self.other(node, now) {
                    other.gather(changes, part, of, users);
                }
            }
        }
    }

    /// Returns another node, which lives on by being heard of; `None` for our own and for one too many.
    fn other(&mut self, node: NodeId, now: Instant) -> Option<&mut Other> {
        if self.ours.contains_key(&node) || (self.others.len() >= NODES_MAX && !self.others.contains_key(&node)) {
            return None;
        }
        let until = now + self.lease;
        let new = || Other { until, users: BTreeSet::new(), changes: 0, asked: None, parts: Parts::default() };
        let other = self.others.entry(node).or_insert_with(new);
        other.until = until;
        Some(other)
    }

    fn ask(&mut self, node: NodeId, now: Instant) {
        let Some(other) = self.others.get_mut(&node) else { return };
        if is_due(other.asked, now) {
            other.asked = Some(now);
            self.asks.insert(Some(node));
        }
    }

    /// Forgets the users of nodes whose lease has ended. Our own nodes go on counting: they may come back.
    fn forget(&mut self, now: Instant) {
        self.ours.values_mut().filter(|node| node.until <= now).for_each(|node| node.users.clear());
        self.others.retain(|_, node| node.until > now);
    }
}

impl Ours {
    /// Makes a node without a lease.
    fn new(now: Instant) -> Self {
        let (users, untold) = (BTreeSet::new(), BTreeMap::new());
        Self { until: now, users, changes: 0, untold, beat: false, asked: false, answered: None }
    }

    /// Begins a lease. Who still remembers users of the last one sees by the number left out that there is more to ask.
    fn begin(&mut self, until: Instant) {
        self.changes += u64::from(self.changes > 0);
        self.untold.clear();
        (self.until, self.beat) = (until, true);
    }

    fn speak(&mut self, node: NodeId, now: Instant, words: &mut Vec<Word>) {
        let untold: Vec<(UserId, bool)> = std::mem::take(&mut self.untold).into_iter().collect();
        for piece in pieces(untold, |(user, _)| user) {
            self.changes += 1;
            let (came, went): (Vec<_>, Vec<_>) = piece.into_iter().partition(|(_, here)| *here);
            let names = |users: Vec<(UserId, bool)>| users.into_iter().map(|(user, _)| user).collect();
            words.push(Word::Change { node, changes: self.changes, came: names(came), went: names(went) });
        }
        if self.asked && is_due(self.answered, now) {
            (self.asked, self.answered) = (false, Some(now));
            let mut parts = pieces(self.users.iter().cloned().collect(), |user| user);
            if parts.is_empty() {
                parts.push(Vec::new()); // nobody is an answer, too
            }
            let (of, changes) = (u32::try_from(parts.len()).unwrap_or(u32::MAX), self.changes);
            let part = |(part, users)| Word::Part { node, changes, part, of, users };
            words.extend((0..).zip(parts).map(part));
        }
        if std::mem::take(&mut self.beat) {
            words.push(Word::Beat { node, changes: self.changes });
        }
    }
}

impl Other {
    /// Keeps a part of an answer; the last one makes it what is known.
    fn gather(&mut self, changes: u64, part: u32, of: u32, users: Vec<UserId>) {
        if changes < self.changes || changes < self.parts.changes || part >= of || of > PARTS_MAX {
            return;
        }
        if changes > self.parts.changes {
            self.parts = Parts { changes, come: BTreeMap::new() };
        }
        self.parts.come.insert(part, users);
        if self.parts.come.len() == of as usize {
            self.changes = changes;
            self.users = std::mem::take(&mut self.parts.come).into_values().flatten().collect();
        }
    }
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= ONCE_IN)
}

/// Cuts a list into pieces that each fit into a payload. An empty list is no piece.
fn pieces<T>(list: Vec<T>, user: impl Fn(&T) -> &UserId) -> Vec<Vec<T>> {
    let (mut pieces, mut bytes): (Vec<Vec<T>>, usize) = (Vec::new(), 0);
    for item in list {
        let size = user(&item).as_str().len() + 4;
        if let Some(piece) = pieces.last_mut().filter(|_| bytes + size <= NAMES_BYTES_MAX) {
            piece.push(item);
        } else {
            pieces.push(vec![item]);
            bytes = 0;
        }
        bytes += size;
    }
    pieces
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn node(number: u8) -> NodeId {
        NodeId::random([number; 16])
    }

    fn users(names: &[&str]) -> Vec<UserId> {
        names.iter().map(|name| UserId::new(*name).unwrap()).collect()
    }

    /// Lets `from` speak and `to` hear, and `to` ask and `from` answer.
    fn talk(from: &mut Roster, to: &mut Roster, now: Instant) {
        for _ in 0..2 {
            from.speak(now).into_iter().for_each(|word| to.hear(word, now));
            to.speak(now).into_iter().for_each(|word| from.hear(word, now));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missed_change_shows_at_the_next_beat() {
        let (mut one, mut other, now) = (Roster::new(LEASE), Roster::new(LEASE), Instant::now());
        one.enter(node(1), &users(&["ann", "bob"]), now);
        talk(&mut one, &mut other, now);
        one.leave(node(1), &users(&["ann"]));
        drop(one.speak(now)); // lost on the way
        assert_eq!(other.online(&users(&["ann", "bob"]), now), [true, true]);
        let now = now + SECOND;
        one.refresh(node(1), now);
        talk(&mut one, &mut other, now);
        assert_eq!(other.online(&users(&["ann", "bob"]), now), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn that_the_last_user_went_is_an_answer_too() {
        let (mut one, mut other, now) = (Roster::new(LEASE), Roster::new(LEASE), Instant::now());
        one.enter(node(1), &users(&["ann"]), now);
        talk(&mut one, &mut other, now);
        one.leave(node(1), &users(&["ann"]));
        drop(one.speak(now));
        let now = now + SECOND;
        one.refresh(node(1), now);
        talk(&mut one, &mut other, now);
        assert_eq!(other.online(&users(&["ann"]), now), [false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_comes_late_asks_and_is_told() {
        let (mut one, now) = (Roster::new(LEASE), Instant::now());
        let crowd: Vec<_> = (0..5_000).map(|number| UserId::new(format!("user-{number}")).unwrap()).collect();
        one.enter(node(1), &crowd, now);
        assert!(one.speak(now).len() > 2, "a crowd is said in pieces");
        let mut late = Roster::new(LEASE);
        late.speak(now).into_iter().for_each(|word| one.hear(word, now));
        one.speak(now).into_iter().for_each(|word| late.hear(word, now));
        assert!(late.online(&crowd, now).into_iter().all(|online| online));
    }

    #[tokio::test(start_paused = true)]
    async fn every_word_fits_into_a_payload() {
        let mut one = Roster::new(LEASE);
        let long = |number| UserId::new(format!("{}{number}", "\"".repeat(120))).unwrap();
        let crowd: Vec<_> = (0..1_000).map(long).collect();
        one.enter(node(1), &crowd, Instant::now());
        one.hear(Word::Ask { node: None }, Instant::now());
        let words = one.speak(Instant::now());
        assert!(words.iter().all(|word| serde_json::to_vec(word).unwrap().len() < 63 * 1024));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_slept_past_its_lease_brings_no_ghosts_back() {
        let (mut one, mut other, now) = (Roster::new(LEASE), Roster::new(LEASE), Instant::now());
        one.enter(node(1), &users(&["ann", "bob"]), now);
        // The other hears it a second later, so that its lease ends later.
        let words = one.speak(now);
        let later = now + SECOND;
        for word in words {
            other.hear(word, later);
        }
        let now = now + LEASE;
        assert_eq!(one.refresh(node(1), now), Lease::Lapsed);
        assert_eq!(one.online(&users(&["ann"]), now), [false]);
        one.enter(node(1), &users(&["bob"]), now); // ann went while it slept
        talk(&mut one, &mut other, now);
        assert_eq!(other.online(&users(&["ann", "bob"]), now), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_node_is_forgotten_with_its_users() {
        let (mut one, mut other, now) = (Roster::new(LEASE), Roster::new(LEASE), Instant::now());
        one.enter(node(1), &users(&["ann"]), now);
        talk(&mut one, &mut other, now);
        assert_eq!(other.online(&users(&["ann"]), now + LEASE - SECOND), [true]);
        assert_eq!(other.online(&users(&["ann"]), now + LEASE), [false]);
        assert!(other.others.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn asking_and_answering_is_at_most_once_a_second() {
        let (mut one, now) = (Roster::new(LEASE), Instant::now());
        one.enter(node(1), &users(&["ann"]), now);
        drop(one.speak(now));
        let answers = |one: &mut Roster, now| {
            (0..5).for_each(|_| one.hear(Word::Ask { node: None }, now));
            (0..5).flat_map(|_| one.speak(now)).filter(|word| matches!(word, Word::Part { .. })).count()
        };
        assert_eq!(answers(&mut one, now), 1);
        assert_eq!(answers(&mut one, now), 0);
        assert_eq!(answers(&mut one, now + SECOND), 1);
        let asks = |one: &mut Roster, now| {
            (0..5).for_each(|_| one.hear(Word::Beat { node: node(2), changes: 9 }, now));
            (0..5).flat_map(|_| one.speak(now)).filter(|word| matches!(word, Word::Ask { .. })).count()
        };
        assert_eq!((asks(&mut one, now), asks(&mut one, now), asks(&mut one, now + SECOND)), (1, 0, 1));
    }
}

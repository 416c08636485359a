//! The promises, held against what happened.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::{
    Action, Entry, Key, Kind, Member, Policy, Role, RoomId, Seq, UserId,
    model::{Body, Change, History, RoomChange, RoomRecord, changes},
    store::Access,
};

use crate::{
    history::{Event, What, short},
    world::{Run, identity, rules},
};

/// Returns what does not hold, in plain words; nothing at all for a run as it should be.
pub fn violations(run: &Run) -> Vec<String> {
    let mut checker = Checker { run, facts: Facts::default(), wrong: Vec::new() };
    checker.walk();
    checker.logs_are_dense_and_as_committed();
    checker.nothing_refused_is_stored();
    checker.senders_keep_their_order();
    checker.everybody_has_everything();
    checker.wrong
}

struct Checker<'a> {
    run: &'a Run,
    facts: Facts,
    wrong: Vec<String>,
}

#[derive(Default)]
struct Facts {
    rooms: BTreeMap<RoomId, Room>,
    /// Where each draft was stored.
    keys: BTreeMap<(RoomId, UserId, Key), Seq>,
    acks: BTreeMap<(RoomId, UserId, Key), (Seq, chat_core::EntryId)>,
    nacks: Vec<Nack>,
    /// The drafts that each client waits for an answer to.
    waiting: BTreeMap<usize, BTreeSet<Key>>,
    /// The drafts with a try that went down with its connection, unanswered.
    torn: BTreeSet<Key>,
    /// What each client sent to each room, in order.
    sent: BTreeMap<(usize, RoomId), Vec<Key>>,
    bodies: BTreeMap<(UserId, Key), String>,
    /// The highest position acknowledged in a room when a draft was first sent.
    floors: BTreeMap<(RoomId, UserId, Key), Seq>,
    /// How far a room was when a draft was first sent.
    heads: BTreeMap<(RoomId, UserId, Key), Seq>,
    acked: BTreeMap<RoomId, Seq>,
    /// What each client has of each room it follows.
    places: BTreeMap<(usize, RoomId), Place>,
    trimmed: BTreeMap<RoomId, Seq>,
}

struct Nack {
    room: RoomId,
    user: UserId,
    key: Key,
    code: String,
    /// How far the room was.
    head: Seq,
    torn: bool,
}

/// Is a room as its log makes it.
#[derive(Default)]
struct Room {
    log: Vec<Entry>,
    record: Option<RoomRecord>,
    members: BTreeMap<UserId, (Role, Seq)>,
    /// From which position to before which one each user was a member; without an end, still is.
    stays: BTreeMap<UserId, Vec<(Seq, Option<Seq>)>>,
    guard: Seq,
}

#[derive(Clone, Copy)]
struct Place {
    /// The next position that is due on this connection.
    due: Seq,
    /// The last position that was received or will not come, on any connection.
    last: Seq,
    live: bool,
}

impl Checker<'_> {
    fn fail(&mut self, at: &Event, what: &str) {
        self.wrong.push(format!("{what} |{at}"));
    }

    fn user(&self, client: usize) -> UserId {
        self.run.plan.users[self.run.plan.clients[client]].clone()
    }

    fn walk(&mut self) {
        for event in &self.run.events {
            match &event.what {
                What::Commit(entry) => self.commit(event, entry),
                What::Send { client, room, key, body } => {
                    let name = (*room, self.user(*client), *key);
                    self.facts.sent.entry((*client, *room)).or_default().push(*key);
                    self.facts.waiting.entry(*client).or_default().insert(*key);
                    self.facts.bodies.insert((name.1.clone(), *key), body.clone());
                    let floor = self.facts.acked.get(room).copied().unwrap_or_default();
                    self.facts.floors.insert(name.clone(), floor);
                    self.facts.heads.insert(name, self.facts.rooms.get(room).map_or(Seq::ZERO, Room::head));
                }
                What::Ack { client, room, key, seq, id } => {
                    let first = *self.facts.acks.entry((*room, self.user(*client), *key)).or_insert((*seq, *id));
                    if first != (*seq, *id) {
                        self.fail(event, "P2: two acks of one draft differ");
                    }
                    self.facts.waiting.entry(*client).or_default().remove(key);
                    let acked = self.facts.acked.entry(*room).or_default();
                    *acked = (*acked).max(*seq);
                }
                What::Nack { client, room, key, code } => {
                    let (room, user, key, code) = (*room, self.user(*client), *key, code.clone());
                    let head = self.facts.rooms.get(&room).map_or(Seq::ZERO, Room::head);
                    let torn = self.facts.torn.contains(&key);
                    self.facts.nacks.push(Nack { room, user, key, code, head, torn });
                    self.facts.waiting.entry(*client).or_default().remove(&key);
                }
                What::Connect { client, .. } | What::End { client, .. } => {
                    let mine = self.facts.places.iter_mut().filter(|((of, _), _)| of == client);
                    mine.for_each(|(_, place)| place.live = false);
                    self.facts.torn.extend(self.facts.waiting.get(client).into_iter().flatten());
                }
                What::Followed { client, room, seq } => self.followed(event, *client, *room, *seq),
                What::Recv { client, room, .. } => self.received(event, *client, *room),
                What::Gap { client, room, .. } => self.gap(event, *client, *room),
                What::Unfollowed { client, room, for_now, .. } => {
                    let place = self.facts.places.remove(&(*client, *room));
                    if let Some(place) = place.filter(|_| *for_now) {
                        self.facts.places.insert((*client, *room), Place { live: false, ..place });
                    }
                }
                What::Reset { .. } => self.fail(event, "P5: a reset, though nothing was restored"),
                What::Wrong(_) => self.fail(event, "wrong"),
                What::Trim { room, through } => {
                    let trimmed = self.facts.trimmed.entry(*room).or_default();
                    *trimmed = (*trimmed).max(*through);
                }
                What::Retry { .. } | What::Signal { .. } | What::Fault(_) => {}
            }
        }
    }

    /// P7 as it happens, P2, P4 by acknowledgement, and P12 for authors: the rules allowed it at its position.
    fn commit(&mut self, event: &Event, entry: &Entry) {
        let name = (entry.room, entry.author.clone(), entry.key);
        if self.facts.keys.insert(name.clone(), entry.seq).is_some() {
            self.fail(event, "P2: stored twice under one key");
        }
        if let Some(floor) = self.facts.floors.get(&name).copied().filter(|floor| *floor >= entry.seq) {
            self.fail(event, &format!("P4: {floor} was acknowledged before this was sent"));
        }
        if !entry.author.is_reserved() {
            let sent = self.facts.bodies.get(&(entry.author.clone(), entry.key));
            let is_setup = matches!(entry.body, Body::Room(RoomChange::Created(_)));
            if !is_setup && sent != Some(&entry.body.encode()) {
                self.fail(event, "P6: nobody has sent this");
            }
        }
        let room = self.facts.rooms.entry(entry.room).or_default();
        let allowed = room.allows(entry);
        let due = room.log.last().map_or(Seq::FIRST, |last| last.seq.next());
        room.take(entry);
        if !allowed {
            self.fail(event, "P12: stored against the rules");
        }
        if entry.seq != due {
            self.fail(event, &format!("P7: {due} was due"));
        }
    }

    fn followed(&mut self, event: &Event, client: usize, room: RoomId, seq: Seq) {
        let new = Place { due: seq.next(), last: seq, live: true };
        let place = self.facts.places.entry((client, room)).or_insert(new);
        if place.last < seq {
            let last = place.last;
            self.fail(event, &format!("P5: resumed after {seq}, though it has up to {last} only"));
        } else {
            (place.due, place.live) = (seq.next(), true);
        }
    }

    /// P3, P4 and P5 for one client, P6, and P12 for receivers.
    fn received(&mut self, event: &Event, client: usize, room: RoomId) {
        let What::Recv { seq, id, key, .. } = &event.what else { return };
        let stored = self.facts.rooms.get(&room).and_then(|room| room.log.iter().find(|entry| entry.seq == *seq));
        if !stored.is_some_and(|entry| entry.id == *id && entry.key == *key) {
            self.fail(event, "P6: received, but not stored like this");
        }
        let user = self.user(client);
        if !self.facts.rooms.get(&room).is_some_and(|room| room.may_receive(&user, *seq)) {
            self.fail(event, "P12: not for this user");
        }
        match self.facts.places.get_mut(&(client, room)) {
            Some(place) if place.live => {
                let due = place.due;
                (place.due, place.last) = (seq.next(), place.last.max(*seq));
                if due != *seq {
                    self.fail(event, &format!("P3, P4, P5: {due} was due"));
                }
            }
            _ => self.fail(event, "received without being followed"),
        }
    }

    fn gap(&mut self, event: &Event, client: usize, room: RoomId) {
        let What::Gap { from, to, why, .. } = &event.what else { return };
        let user = self.user(client);
        let explained = match &**why {
            "retention" => self.facts.trimmed.get(&room).is_some_and(|through| to <= through),
            "not_visible" => self.facts.rooms.get(&room).is_some_and(|room| room.hides(&user, *to)),
            _ => false,
        };
        if !explained {
            self.fail(event, "P5: a gap without cause");
        }
        let Some(place) = self.facts.places.get_mut(&(client, room)) else {
            return self.fail(event, "a gap in a room that is not followed");
        };
        let due = place.due;
        (place.due, place.last) = (to.next(), place.last.max(*to));
        if due != *from {
            self.fail(event, &format!("P5: {due} was due before the gap"));
        }
    }

    /// P1, P7: what is in the store at last is what was committed, without holes.
    fn logs_are_dense_and_as_committed(&mut self) {
        for (room, log) in &self.run.logs {
            let first = log.first().map_or(0, |entry| entry.seq.get());
            let trimmed = self.facts.trimmed.get(room).is_some_and(|through| first <= through.get() + 1);
            if log.is_empty() || (first != 1 && !trimmed) {
                self.wrong.push(format!("P7: the log of {room} begins at {first}"));
            }
            if !log.iter().zip(first..).all(|(entry, seq)| entry.seq.get() == seq) {
                self.wrong.push(format!("P7: the log of {room} has holes"));
            }
            let committed = &self.facts.rooms[room].log;
            let same = |entry: &Entry| {
                let at = committed.get(usize::try_from(entry.seq.get()).unwrap() - 1);
                at.is_some_and(|commit| (commit.id, commit.key) == (entry.id, entry.key))
            };
            if !log.iter().all(same) || log.len() + usize::try_from(first).unwrap() != committed.len() + 1 {
                self.wrong.push(format!("P1: the log of {room} is not what was committed"));
            }
        }
        for ((room, user, key), (seq, id)) in &self.facts.acks {
            let entry = self.facts.rooms.get(room).and_then(|room| room.log.iter().find(|entry| entry.seq == *seq));
            if entry.is_none_or(|entry| (entry.id, entry.key, &entry.author) != (*id, *key, user)) {
                self.wrong.push(format!("P1: {key} of {user} was acknowledged at {seq} and is not there"));
            }
        }
    }

    /// P6 for senders. One case is let pass: a try goes down with its connection while it waits at its node, the
    /// sender is refused elsewhere and gets the right a moment later, and only then comes the turn of that try.
    fn nothing_refused_is_stored(&mut self) {
        let mut wrong = Vec::new();
        for Nack { room, user, key, code, head, torn } in &self.facts.nacks {
            let Some(seq) = self.facts.keys.get(&(*room, user.clone(), *key)) else { continue };
            let late = *torn && self.facts.rooms[room].gave_a_right(user, *head, *seq);
            // "Too old" says that it is not known any more.
            if code != "too_old" && !late {
                wrong.push(format!("P6: {} of {user} was refused ({code}) and is stored", short(key)));
            }
        }
        self.wrong.extend(wrong);
    }

    /// P4 for one sender. A draft may come after a later one only if it may have been refused for good, which the
    /// sender did not hear: when its author got a right before it was stored.
    fn senders_keep_their_order(&mut self) {
        let mut wrong = Vec::new();
        for ((client, room), keys) in &self.facts.sent {
            let user = self.user(*client);
            let name = |key: &Key| (*room, user.clone(), *key);
            let stored: Vec<_> =
                keys.iter().filter_map(|key| Some((*key, *self.facts.keys.get(&name(key))?))).collect();
            for (at, (first, first_seq)) in stored.iter().enumerate() {
                let overtook = stored[at..].iter().find(|(_, seq)| seq < first_seq);
                let Some((second, _)) = overtook else { continue };
                let log = &self.facts.rooms[room];
                if !log.gave_a_right(&user, self.facts.heads[&name(first)], *first_seq) {
                    let (first, second, room) = (short(first), short(second), short(room));
                    wrong.push(format!("P4: client {client} sent {first} before {second} to {room}"));
                }
            }
        }
        self.wrong.extend(wrong);
    }

    /// P8: whoever is a member has the room up to its head, and nobody else follows it.
    fn everybody_has_everything(&mut self) {
        for client in 0..self.run.plan.clients.len() {
            let user = self.user(client);
            let mut rooms: BTreeSet<RoomId> = BTreeSet::new();
            for (id, room) in &self.facts.rooms {
                let head = room.head();
                if room.members.contains_key(&user) {
                    rooms.insert(*id);
                    let place = self.facts.places.get(&(client, *id));
                    if place.map(|place| place.last) != Some(head) {
                        let has = place.map(|place| place.last);
                        self.wrong
                            .push(format!("P8: client {client} of {user} has {has:?} of {head} in {}", short(id)));
                    }
                }
            }
            let follows = self.facts.places.keys().filter(|(of, _)| *of == client).map(|(_, room)| *room);
            let inbox = RoomId::inbox(&user);
            for room in follows.filter(|room| !rooms.contains(room) && *room != inbox).collect::<Vec<_>>() {
                self.wrong.push(format!("P12: client {client} of {user} still follows {}", short(&room)));
            }
        }
    }
}

impl Room {
    /// Tells whether the rules allow an entry right after this log.
    fn allows(&self, entry: &Entry) -> bool {
        if entry.author.is_reserved() {
            return true;
        }
        let who = identity(&entry.author);
        debug_assert_eq!(who.kind, Kind::Human);
        let body = &entry.body;
        if let Body::Room(RoomChange::Created(spec)) = body {
            return rules().authorize(&who, &Action::Create(spec), None).is_ok();
        }
        let Some(record) = &self.record else { return false };
        let target = body.target().and_then(|seq| self.log.iter().find(|entry| entry.seq == seq));
        let subject = match body {
            Body::Member(change) => self.member(&change.user),
            _ => None,
        };
        let as_of = self.head();
        let access = Access { room: record.clone(), member: self.member(&entry.author), guard: self.guard, as_of };
        let action = Action::Post { body, target, subject: subject.as_ref() };
        rules().authorize(&who, &action, Some(&access)).is_ok()
    }

    fn member(&self, user: &UserId) -> Option<Member> {
        let (role, since) = self.members.get(user)?;
        Some(Member::new(user.clone(), user.as_str(), *role, *since))
    }

    fn take(&mut self, entry: &Entry) {
        for change in changes(entry) {
            match change {
                Change::Create(record) => self.record = Some(record),
                Change::Join(member) if !self.members.contains_key(&member.user) => {
                    self.stays.entry(member.user.clone()).or_default().push((entry.seq, None));
                    self.members.insert(member.user, (member.role, member.since));
                }
                Change::Leave(user) => {
                    let was_member = self.members.remove(&user).is_some();
                    let stay = self.stays.get_mut(&user).and_then(|stays| stays.last_mut());
                    if let Some(stay) = stay.filter(|_| was_member) {
                        stay.1 = Some(entry.seq);
                    }
                }
                Change::Role(user, role) => {
                    self.members.entry(user).and_modify(|member| member.0 = role);
                }
                _ => {}
            }
        }
        if entry.body.restricts() {
            self.guard = entry.seq;
        }
        self.log.push(entry.clone());
    }

    fn head(&self) -> Seq {
        self.log.last().map_or(Seq::ZERO, |last| last.seq)
    }

    /// Tells whether somebody became a member or got another role after one position, up to another.
    fn gave_a_right(&self, user: &UserId, after: Seq, through: Seq) -> bool {
        let between = self.log.iter().filter(|entry| entry.seq > after && entry.seq <= through);
        between.into_iter().any(|entry| matches!(&entry.body, Body::Member(change) if change.user == *user))
    }

    /// Tells whether somebody may receive a position, as far as the log has come.
    fn may_receive(&self, user: &UserId, seq: Seq) -> bool {
        let since_join = self.record.as_ref().is_some_and(|record| record.history == History::SinceJoin);
        let stays = self.stays.get(user);
        stays.into_iter().flatten().any(|(from, to)| to.is_none_or(|to| seq < to) && (!since_join || *from <= seq))
    }

    /// Tells whether a position stands before somebody joined, in a room that hides that.
    fn hides(&self, user: &UserId, seq: Seq) -> bool {
        let since_join = self.record.as_ref().is_some_and(|record| record.history == History::SinceJoin);
        since_join && self.stays.get(user).is_some_and(|stays| stays.iter().any(|(from, _)| seq < *from))
    }
}

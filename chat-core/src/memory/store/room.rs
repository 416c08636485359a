//! One room: its log, and what the log makes of it.

use std::{collections::BTreeMap, ops::Bound};

use parking_lot::Mutex;

use super::{log::Log, people::People};
use crate::{
    model::{
        Change, Entry, Member, Page, Person, Role, RoomId, RoomRecord, RoomSummary, Seq, Timestamp, UserId, Visibility,
        changes,
    },
    store::{Access, Append, Head, LogState, Outcome, Part, Projected, Standing, StoreError, StoreErrorKind},
};

/// Joins a log and its projection. Without projection there is no such room.
#[derive(Default)]
pub(super) struct Room {
    pub(super) log: Log,
    pub(super) projection: Option<Projection>,
}

/// Is what a log makes of its room, up to and including the position `as_of`.
pub(super) struct Projection {
    pub(super) record: RoomRecord,
    pub(super) active: Timestamp,
    guard: Seq,
    as_of: Seq,
    members: BTreeMap<UserId, (Role, Seq)>,
    marks: BTreeMap<UserId, Seq>,
}

impl Room {
    pub(super) fn append(&mut self, share: &Append, people: &Mutex<People>) -> Vec<Outcome> {
        let outcomes = self.log.standing(self.guard()).judge(share, |entry| self.log.known(entry));
        let mut people = people.lock();
        for (new, outcome) in share.entries.iter().zip(&outcomes) {
            if let Outcome::Stored(seq) = outcome {
                let entry = new.at(share.room, *seq);
                self.apply(&entry, &mut people);
                self.log.push(new, &entry);
            }
        }
        outcomes
    }

    /// Takes an entry that another store keeps into the projection; what it holds already changes nothing.
    pub(super) fn project(&mut self, entry: &Entry, people: &Mutex<People>) -> Result<(), StoreError> {
        let as_of = self.projection.as_ref().map_or(Seq::ZERO, |projection| projection.as_of);
        if entry.seq > as_of.next() {
            let hole = format!("project position {} after {as_of}", entry.seq);
            return Err(StoreError::new(StoreErrorKind::Corrupt, hole));
        }
        if entry.seq > as_of {
            self.apply(entry, &mut people.lock());
        }
        Ok(())
    }

    /// Makes the projection this, unless the log says otherwise about its own end.
    pub(super) fn set(&mut self, room: &Projected, people: &mut People) -> Result<(), StoreError> {
        if self.log.head().is_some_and(|(head, _)| head != room.head) {
            return Err(StoreError::new(StoreErrorKind::Contended, "set a room whose log goes on"));
        }
        let before = self.projection.take();
        let mut projection = Projection::new(room.record.clone());
        (projection.as_of, projection.guard, projection.active) = (room.head, room.guard, room.active);
        for user in before.iter().flat_map(|before| before.members.keys()) {
            people.leave(user, room.record.id);
        }
        for Member { user, role, since, .. } in &room.members {
            people.join(user, room.record.id);
            projection.members.insert(user.clone(), (*role, *since));
        }
        projection.marks = before.map(|before| before.marks).unwrap_or_default();
        self.projection = Some(projection);
        Ok(())
    }

    pub(super) fn head(&self) -> Head {
        let Some((seq, id)) = self.log.head() else { return Head::default() };
        Head { seq, id: Some(id), guard: self.guard(), first: self.log.first() }
    }

    pub(super) fn summary(&self, projection: &Projection, of: Option<&UserId>, people: &People) -> RoomSummary {
        let member = of.and_then(|user| projection.member(user, people));
        let mut summary = RoomSummary::new(projection.record.clone(), member, projection.as_of, projection.guard);
        summary.active = projection.active;
        summary.last = self.log.last_message();
        if let Some(last) = &mut summary.last {
            last.name = people.name(&last.author);
        }
        summary.read = of.and_then(|user| projection.marks.get(user)).copied().unwrap_or_default();
        if let Some(member) = &summary.member {
            summary.unread = self.log.unread(&member.user, summary.read.max(member.since));
            summary.with = projection.other(&member.user, people);
        }
        summary
    }

    pub(super) fn state(&self) -> Option<LogState> {
        let Projection { record, active, guard, as_of, .. } = self.projection.as_ref()?;
        let Standing { trimmed_ms, .. } = self.log.standing(*guard);
        let (room, first) = (record.clone(), self.log.first());
        Some(LogState { room, head: *as_of, guard: *guard, first, trimmed_ms, active: *active })
    }

    pub(super) fn marks(&self, after: Option<&UserId>, limit: u16) -> Vec<(UserId, Seq)> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let marks = self.projection.iter().flat_map(|it| it.marks.range::<UserId, _>((after, Bound::Unbounded)));
        let marks = marks.filter(|(_, read)| **read > Seq::ZERO);
        marks.take(limit.into()).map(|(user, read)| (user.clone(), *read)).collect()
    }

    pub(super) fn restore(&mut self, part: &Part, people: &mut People) -> Result<(), StoreError> {
        let as_of = self.projection.as_ref().map_or(Seq::ZERO, |projection| projection.as_of);
        let fresh = part.after(as_of)?;
        let projection = self.projection.get_or_insert_with(|| Projection::new(part.state.room.clone()));
        for kept in fresh {
            people.see(&kept.entry.author, &kept.entry.name);
            self.log.restore(kept, &part.state);
            projection.as_of = kept.entry.seq;
        }
        for member in &part.members {
            if *member.name != *member.user.as_str() {
                people.see(&member.user, &member.name);
            }
            projection.change(Change::Join(member.clone()), part.state.room.id, people);
        }
        projection.record = part.state.room.clone();
        (projection.guard, projection.active) = (part.state.guard, part.state.active);
        Ok(())
    }

    fn guard(&self) -> Seq {
        self.projection.as_ref().map_or(Seq::ZERO, |projection| projection.guard)
    }

    fn apply(&mut self, entry: &Entry, people: &mut People) {
        people.see(&entry.author, &entry.name);
        for change in changes(entry) {
            match (change, &mut self.projection) {
                (Change::Create(record), none @ None) => *none = Some(Projection::new(record)),
                (change, Some(projection)) => projection.change(change, entry.room, people),
                (_, None) => {}
            }
        }
        if let Some(projection) = &mut self.projection {
            projection.advance(entry);
        }
    }
}

impl Projection {
    fn new(record: RoomRecord) -> Self {
        let (active, members, marks) = (record.created, BTreeMap::new(), BTreeMap::new());
        Self { record, active, guard: Seq::ZERO, as_of: Seq::ZERO, members, marks }
    }

    /// Tells whether a user is a member here or has read.
    pub(super) fn knows(&self, user: &UserId) -> bool {
        self.members.contains_key(user) || self.marks.contains_key(user)
    }

    pub(super) fn forget(&mut self, user: &UserId) {
        self.members.remove(user);
        self.marks.remove(user);
    }

    /// Raises a user's read mark, as far as there is something to read.
    pub(super) fn mark(&mut self, user: &UserId, read: Seq) {
        let mark = self.marks.entry(user.clone()).or_default();
        *mark = read.min(self.as_of).max(*mark);
    }

    pub(super) fn access(&self, user: &UserId, people: &People) -> Access {
        let member = self.member(user, people);
        Access { room: self.record.clone(), member, guard: self.guard, as_of: self.as_of }
    }

    pub(super) fn page(&self, page: &Page, people: &People) -> Vec<Member> {
        let after = page.after_user.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let users = self.members.range::<UserId, _>((after, Bound::Unbounded)).take(page.limit.into());
        users.filter_map(|(user, _)| self.member(user, people)).collect()
    }

    fn member(&self, user: &UserId, people: &People) -> Option<Member> {
        let (role, since) = self.members.get(user)?;
        Some(Member::new(user.clone(), people.name(user), *role, *since))
    }

    /// Returns the other one in a room of two.
    fn other(&self, user: &UserId, people: &People) -> Option<Person> {
        let other = self.members.keys().find(|member| *member != user)?;
        let direct = self.record.visibility == Visibility::Direct;
        direct.then(|| Person::new(other.clone(), people.name(other)))
    }

    fn change(&mut self, change: Change, room: RoomId, people: &mut People) {
        match change {
            Change::Join(member) => {
                people.join(&member.user, room);
                self.members.entry(member.user).or_insert((member.role, member.since));
            }
            Change::Leave(user) => {
                people.leave(&user, room);
                self.members.remove(&user);
            }
            Change::Role(user, role) => {
                self.members.entry(user).and_modify(|member| member.0 = role);
            }
            Change::Set { title, topic, data } => {
                let record = &mut self.record;
                record.title = title.unwrap_or_else(|| record.title.clone());
                record.topic = topic.unwrap_or_else(|| record.topic.clone());
                record.data = data.unwrap_or_else(|| record.data.take());
            }
            // A room is created once, and folding is the log's own matter: it keeps the messages.
            Change::Create(_) | Change::Fold(_) => {}
        }
    }

    fn advance(&mut self, entry: &Entry) {
        self.as_of = entry.seq;
        self.active = self.active.max(entry.at);
        if entry.body.restricts() {
            self.guard = entry.seq;
        }
    }
}

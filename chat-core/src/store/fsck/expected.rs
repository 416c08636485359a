//! What a log makes of its room.

use std::collections::BTreeMap;

use super::Finding;
use crate::{
    model::{Change, Entry, EntryId, Member, Page, Role, RoomId, RoomRecord, Seq, Timestamp, UserId, changes, fold},
    store::{FullStore, Kept, Projected, StoreError},
};

/// Is what a store says of a room.
#[derive(Default)]
pub(super) struct Said {
    pub(super) record: Option<RoomRecord>,
    pub(super) members: BTreeMap<UserId, (Role, Seq)>,
    pub(super) head: Seq,
    pub(super) guard: Seq,
    pub(super) active: Timestamp,
}

/// Is what the log says of it, as far as it was gone through.
pub(super) struct Expected {
    room: RoomId,
    pub(super) record: Option<RoomRecord>,
    pub(super) members: BTreeMap<UserId, (Role, Seq)>,
    pub(super) head: Seq,
    head_id: Option<EntryId>,
    pub(super) guard: Seq,
    pub(super) active: Timestamp,
    /// The messages that later entries changed, as they left them.
    pub(super) messages: BTreeMap<Seq, Entry>,
    pub(super) entries: u64,
    pub(super) holes: Vec<Finding>,
}

impl Expected {
    /// Goes through a log, whose first position that is not trimmed is `first`.
    pub(super) async fn read(store: &dyn FullStore, room: RoomId, first: Seq, said: &Said) -> Result<Self, StoreError> {
        let mut expected = Self::before(room, first, said);
        loop {
            let page = store.kept(room, expected.head, Page::LIMIT_MAX).await?;
            if page.is_empty() {
                return Ok(expected);
            }
            for Kept { entry, .. } in page {
                expected.take(store, entry, first, said).await?;
            }
        }
    }

    /// Takes over what only trimmed entries could tell.
    fn before(room: RoomId, first: Seq, said: &Said) -> Self {
        let trimmed = first > Seq::FIRST;
        let earlier = said.members.iter().filter(|(_, (_, since))| trimmed && *since < first);
        Self {
            room,
            record: None,
            members: earlier.map(|(user, member)| (user.clone(), *member)).collect(),
            head: Seq::ZERO,
            head_id: None,
            guard: if trimmed { said.guard.min(first.prev()) } else { Seq::ZERO },
            active: if trimmed { said.active } else { Timestamp(i64::MIN) },
            messages: BTreeMap::new(),
            entries: 0,
            holes: Vec::new(),
        }
    }

    async fn take(&mut self, store: &dyn FullStore, entry: Entry, first: Seq, said: &Said) -> Result<(), StoreError> {
        // After the creation, which is always kept, comes what is not trimmed.
        let next = if self.head == Seq::FIRST { first.max(self.head.next()) } else { self.head.next() };
        if entry.seq != next {
            self.holes.push(Finding::Hole(next));
        }
        let trimmed = entry.seq < first;
        for change in changes(&entry) {
            match change {
                Change::Fold(target) if target < entry.seq => self.fold(store, target, &entry).await?,
                Change::Create(record) => self.record = Some(if trimmed { later(record, said) } else { record }),
                // The creation of a trimmed log may name members who have left since.
                Change::Join(_) if trimmed => {}
                other => self.change(other),
            }
        }
        (self.head, self.head_id) = (entry.seq, Some(entry.id));
        self.active = self.active.max(entry.at);
        self.entries += 1;
        if entry.body.restricts() {
            self.guard = entry.seq;
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        match (change, &mut self.record) {
            (Change::Join(Member { user, role, since, .. }), _) => {
                self.members.entry(user).or_insert((role, since));
            }
            (Change::Leave(user), _) => drop(self.members.remove(&user)),
            (Change::Role(user, role), _) => {
                self.members.entry(user).and_modify(|member| member.0 = role);
            }
            (Change::Set { title, topic, data }, Some(record)) => {
                record.title = title.unwrap_or_else(|| record.title.clone());
                record.topic = topic.unwrap_or_else(|| record.topic.clone());
                record.data = data.unwrap_or_else(|| record.data.take());
            }
            _ => {}
        }
    }

    async fn fold(&mut self, store: &dyn FullStore, target: Seq, by: &Entry) -> Result<(), StoreError> {
        if !self.messages.contains_key(&target) {
            let found = store.read(self.room, target.prev(), 1).await?.pop();
            let Some(message) = found.filter(|message| message.seq == target) else { return Ok(()) };
            self.messages.insert(target, message);
        }
        if let Some(message) = self.messages.get_mut(&target) {
            fold(message, by);
        }
        Ok(())
    }

    /// Returns what the store should say of the room.
    pub(super) fn projected(&self) -> Option<Projected> {
        let members = self.members.iter();
        Some(Projected {
            record: self.record.clone()?,
            members: members
                .map(|(user, (role, since))| Member::new(user.clone(), user.as_str(), *role, *since))
                .collect(),
            head: self.head,
            head_id: self.head_id?,
            guard: self.guard,
            active: self.active,
        })
    }
}

/// Takes over what entries that are trimmed may have set.
fn later(created: RoomRecord, said: &Said) -> RoomRecord {
    let Some(now) = &said.record else { return created };
    RoomRecord { title: now.title.clone(), topic: now.topic.clone(), data: now.data.clone(), ..created }
}

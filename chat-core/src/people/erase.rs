//! Forgetting a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::trace::{Walk, concerns, rooms};
use crate::{
    clock::{self, Clock, SystemClock, SystemEntropy},
    model::{
        Body, Draft, Entry, EntryId, Erase, Identity, MemberChange, Membership, NewEntry, Notice, React, RoomChange,
        RoomId, RoomSpec, Seq, UserId, Visibility,
    },
    store::{Append, Outcome, Personal, StoreError, StoreErrorKind},
};

/// Positions in one entry: about a kilobyte of them, and so few that a store folds them in a moment.
const TARGETS_MAX: usize = 100;
/// Entries appended at once.
const SHARE_MAX: usize = 10;
/// How often an append is repeated that others were in the way of, or that a store did not answer.
const TRIES_MAX: u32 = 20;
/// Nodes look at the heads of the rooms they hold once a second: after three they all have seen what was appended.
const SETTLE: Duration = Duration::from_secs(3);

/// Says how far the erasure of a person has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasing {
    /// Rooms that are done.
    pub rooms: u64,
    /// Entries of the person's that were blanked or given to the stand-in by this call.
    pub entries: u64,
    /// Whether nothing is left to do.
    pub done: bool,
}

/// Erases a user from a store; see [the module](super) for what that means. `progress` is told after each room.
///
/// May run while nodes work on the same store: they find what it appends with their next look at the heads. It is slower
/// than that on purpose, so that they have. A repetition goes on where a crash ended the first call, and changes nothing
/// once everything is done.
///
/// # Errors
/// [`Unsupported`](StoreErrorKind::Unsupported) for ids that are [reserved](UserId::is_reserved). After an error of the
/// store's, call it again.
pub async fn erase<S: Personal + ?Sized>(
    store: &S,
    user: &UserId,
    mut progress: impl FnMut(Erasing),
) -> Result<Erasing, StoreError> {
    if user.is_reserved() {
        return Err(StoreError::new(StoreErrorKind::Unsupported, "erase an author of the engine's own"));
    }
    let mut erasing = Erasing::default();
    if store.person(user).await?.is_some() || !rooms(store, user, None).await?.is_empty() {
        let stand_in = begin(store, user).await?;
        let eraser = Eraser { store, user, stand_in };
        eraser.each_room(&mut erasing, &mut progress, false).await?;
        tokio::time::sleep(SETTLE).await;
        eraser.each_room(&mut erasing, &mut progress, true).await?;
        store.forget(user, &eraser.stand_in).await?;
    }
    erasing.done = true;
    progress(erasing);
    Ok(erasing)
}

/// Ends the user's sessions and notes the stand-in, where a repetition finds it.
async fn begin<S: Personal + ?Sized>(store: &S, user: &UserId) -> Result<UserId, StoreError> {
    let inbox = RoomId::inbox(user);
    let mut walk = Walk::through(inbox);
    let mut is_empty = true;
    while let Some(entries) = walk.page(store).await? {
        is_empty &= entries.is_empty();
        let begun = entries.into_iter().find_map(|entry| match entry.body {
            Body::Erase(erase) => Some(erase.user),
            _ => None,
        });
        if let Some(stand_in) = begun {
            return Ok(stand_in);
        }
    }
    let stand_in = UserId::stand_in(clock::bytes(&SystemEntropy));
    let mut bodies = Vec::new();
    if is_empty {
        let spec = RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::default() }.members([user.clone()]);
        bodies.push(Body::Room(RoomChange::Created(spec)));
    }
    bodies.push(Body::Inbox(Notice::Revoked { login: None }));
    append(store, inbox, bodies.into_iter().map(by_system).collect()).await?;
    let erase = Body::Erase(Erase { user: stand_in.clone(), targets: Vec::new() });
    append(store, inbox, vec![by_system(erase)]).await?; // what restricts is the last of its share
    Ok(stand_in)
}

struct Eraser<'a, S: ?Sized> {
    store: &'a S,
    user: &'a UserId,
    stand_in: UserId,
}

/// Is what a room holds of a person.
#[derive(Default)]
struct Held {
    /// Where they wrote or are named.
    positions: BTreeSet<Seq>,
    /// Those of them that are erased already.
    erased: BTreeSet<Seq>,
    /// The reactions they gave, and whether they last took them back, with the name they were then known by.
    reactions: BTreeMap<(Seq, String), (bool, Arc<str>)>,
}

impl<S: Personal + ?Sized> Eraser<'_, S> {
    async fn each_room(
        &self,
        erasing: &mut Erasing,
        progress: &mut impl FnMut(Erasing),
        last: bool,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = rooms(self.store, self.user, after).await?;
            let Some(end) = page.last().copied() else { return Ok(()) };
            for room in page.into_iter().filter(|room| *room != RoomId::inbox(self.user)) {
                erasing.entries += self.blank(room).await?;
                if last {
                    self.store.forget_in(room, self.user, &self.stand_in).await?;
                    erasing.rooms += 1;
                }
                progress(*erasing);
            }
            after = Some(end);
        }
    }

    /// Ends the membership, takes reactions back, and blanks what the person wrote. Returns how many positions that were.
    async fn blank(&self, room: RoomId) -> Result<u64, StoreError> {
        let access = self.store.access(room, self.user).await?;
        if access.is_some_and(|access| access.member.is_some()) {
            let leave = MemberChange { user: self.user.clone(), change: Membership::Leave };
            append(self.store, room, vec![by_system(Body::Member(leave))]).await?;
        }
        let taken_back: Vec<_> = self.held(room).await?.reactions.into_iter().filter_map(take_back).collect();
        for share in taken_back.chunks(SHARE_MAX) {
            let share = share.iter().map(|(name, body)| new_entry(self.user.clone(), name.clone(), body.clone()));
            append(self.store, room, share.collect()).await?;
        }
        let held = self.held(room).await?;
        let left: Vec<_> = held.positions.difference(&held.erased).copied().collect();
        let erase = |targets: &[Seq]| Erase { user: self.stand_in.clone(), targets: targets.to_vec() };
        let bodies: Vec<_> = left.chunks(TARGETS_MAX).map(|targets| Body::Erase(erase(targets))).collect();
        for share in bodies.chunks(SHARE_MAX) {
            append(self.store, room, share.iter().cloned().map(by_system).collect()).await?;
        }
        Ok(left.len() as u64)
    }

    async fn held(&self, room: RoomId) -> Result<Held, StoreError> {
        let mut held = Held::default();
        let mut walk = Walk::through(room);
        while let Some(entries) = walk.page(self.store).await? {
            for entry in entries {
                self.hold(&mut held, entry);
            }
        }
        Ok(held)
    }

    fn hold(&self, held: &mut Held, entry: Entry) {
        if concerns(&entry, self.user) {
            held.positions.insert(entry.seq);
        }
        match entry.body {
            Body::React(react) if entry.author == *self.user => {
                held.reactions.insert((react.target, react.emoji), (react.on, entry.name));
            }
            Body::Erase(erase) if erase.user == self.stand_in => held.erased.extend(erase.targets),
            _ => {}
        }
    }
}

/// Returns what takes a reaction back, if it is given, and the name of who gave it.
fn take_back(((target, emoji), (on, name)): ((Seq, String), (bool, Arc<str>))) -> Option<(Arc<str>, Body)> {
    on.then_some((name, Body::React(React { target, emoji, on: false })))
}

fn by_system(body: Body) -> NewEntry {
    let system = Identity::system();
    new_entry(system.user, system.name, body)
}

fn new_entry(author: UserId, name: Arc<str>, body: Body) -> NewEntry {
    let now = SystemClock.now();
    NewEntry::new(EntryId::new(now.0, clock::bytes(&SystemEntropy)), Draft::new(body), author, name, now)
}

/// Appends by the host's right, which needs no permission but a guard.
async fn append<S: Personal + ?Sized>(store: &S, room: RoomId, entries: Vec<NewEntry>) -> Result<(), StoreError> {
    let head = store.heads(&[room]).await?.first().copied().unwrap_or_default();
    let mut batch = [Append { room, guard: Some(head.guard), entries }];
    let mut refused = StoreError::new(StoreErrorKind::Contended, "append while others append to the same room");
    for round in 0..TRIES_MAX {
        match store.append(&batch).await {
            Ok(outcomes) => {
                let stale = outcomes.iter().flatten().find_map(|outcome| match outcome {
                    Outcome::Stored(_) | Outcome::Duplicate(..) => None,
                    Outcome::Stale(guard) => Some(Ok(*guard)),
                    other => Some(Err(*other)),
                });
                match stale {
                    None => return Ok(()),
                    Some(Ok(guard)) => batch[0].guard = Some(guard),
                    Some(Err(other)) => {
                        let what = format!("append by the host's right, which is answered {other:?}");
                        return Err(StoreError::new(StoreErrorKind::Corrupt, what));
                    }
                }
            }
            Err(error) if error.is_transient() => refused = error,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(20) * round).await;
    }
    Err(refused)
}

//! Who is online: this node's users towards the presence store, and what watchers are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Inner;
use crate::{
    fanout::{Class, Seat},
    hub::Event,
    model::{RoomId, UserId},
    presence::Lease,
    protocol::{ServerFrame, Signal},
};

/// A third of the lease's 30 s: two refreshes may fail.
const REFRESH: Duration = Duration::from_secs(10);
/// Users one session watches at most: who lists more members watches the rooms listed last.
const WATCHED_MAX: usize = 500;
/// Users asked about in one call of the presence store.
const ASKED_MAX: usize = 500;

/// Remembers which sessions want to know about whom, and what each was told last.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watchers: Mutex<BTreeMap<u64, Watcher>>,
    changed: Notify,
}

/// Is one session that listed members.
#[derive(Debug)]
struct Watcher {
    seat: Weak<Seat>,
    /// Whom it saw in which room; the room listed last is last.
    rooms: Vec<(RoomId, BTreeSet<UserId>)>,
    told: BTreeMap<UserId, bool>,
}

impl Watcher {
    fn new(seat: &Arc<Seat>) -> Self {
        Self { seat: Arc::downgrade(seat), rooms: Vec::new(), told: BTreeMap::new() }
    }

    /// Adds a page of a room's members.
    fn add(&mut self, room: RoomId, told: &[(UserId, bool)]) {
        let page: BTreeSet<UserId> = told.iter().map(|(user, _)| user.clone()).collect();
        let known = self.rooms.iter().position(|(other, _)| *other == room).map(|at| self.rooms.remove(at).1);
        let before = known.unwrap_or_default();
        // A room of more members than may be watched is watched as far as its last page.
        let users = if before.len() + page.len() > WATCHED_MAX { page } else { &before | &page };
        self.rooms.push((room, users));
        self.told.extend(told.iter().cloned());
        while self.rooms.iter().map(|(_, users)| users.len()).sum::<usize>() > WATCHED_MAX {
            self.rooms.remove(0);
        }
        self.forget_unseen();
    }

    /// Forgets the rooms the session follows no more: who is online there is not its business. Returns the session
    /// if it still watches anybody.
    fn still_watching(&mut self) -> Option<Arc<Seat>> {
        let seat = self.seat.upgrade()?;
        let rooms = self.rooms.len();
        self.rooms.retain(|(room, _)| seat.follows(*room));
        if self.rooms.len() < rooms {
            self.forget_unseen();
        }
        (!self.rooms.is_empty()).then_some(seat)
    }

    fn forget_unseen(&mut self) {
        let rooms = &self.rooms;
        self.told.retain(|user, _| rooms.iter().any(|(_, users)| users.contains(user)));
    }
}

impl Watches {
    /// Lets a session be told when these members of a room come or go; `told` is what it knows now.
    fn add(&self, seat: &Arc<Seat>, room: RoomId, told: &[(UserId, bool)]) {
        let mut watchers = self.watchers.lock();
        watchers.entry(seat.number).or_insert_with(|| Watcher::new(seat)).add(room, told);
    }

    fn watched(&self) -> Vec<UserId> {
        let mut watchers = self.watchers.lock();
        watchers.retain(|_, watcher| watcher.still_watching().is_some());
        let users: BTreeSet<&UserId> = watchers.values().flat_map(|watcher| watcher.told.keys()).collect();
        users.into_iter().cloned().collect()
    }

    /// Tells each watcher of users who came or went since it was told last.
    fn tell(&self, now: &[(UserId, bool)]) {
        for watcher in self.watchers.lock().values_mut() {
            let Some(seat) = watcher.still_watching() else { continue };
            for (user, online) in now {
                let Some(told) = watcher.told.get_mut(user).filter(|told| **told != *online) else { continue };
                *told = *online;
                let signal = Signal::Presence { user: user.clone(), online: *online };
                seat.push(Class::Signal, &ServerFrame::Signal(&signal), Some(Event::Signal(signal.clone())));
            }
        }
    }

    /// Looks again now instead of at the next poll.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }
}

impl Inner {
    /// Tells who of a room's members is online, and lets the session be told when that changes.
    pub(super) async fn watch(&self, seat: Option<&Arc<Seat>>, room: RoomId, users: &[UserId]) -> Vec<bool> {
        let online = self.presence.online(users).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "presence cannot be read; everybody is shown as offline");
            vec![false; users.len()]
        });
        if let Some(seat) = seat {
            let told: Vec<_> = users.iter().cloned().zip(online.iter().copied()).collect();
            self.watches.add(seat, room, &told);
        }
        online
    }

    /// Enters a user whose first session on this node began.
    pub(super) async fn came(&self, user: &UserId) {
        self.present.lock().insert(user.clone());
        self.settle(user).await;
    }

    /// Takes a user off this node if no session came back within the grace.
    pub(super) async fn went(&self, user: &UserId) {
        tokio::time::sleep(self.limits.presence_grace).await;
        let person = self.people.person(user);
        {
            let mut present = self.present.lock();
            if person.is_here() || !present.remove(user) {
                return; // whoever begins a session after this look enters the user again
            }
        }
        self.settle(user).await;
    }

    /// Tells the store whether a user is here.
    async fn settle(&self, user: &UserId) {
        self.settle_all([user.clone()].into()).await;
        self.watches.look();
    }

    /// Tells the store who of these is here, and again of those for whom that changed meanwhile: of two calls that
    /// cross, the one that lands last may be the older. What fails is told at the next refresh.
    async fn settle_all(&self, mut users: BTreeSet<UserId>) {
        while !users.is_empty() {
            let (here, gone): (Vec<_>, Vec<_>) = {
                let present = self.present.lock();
                users.into_iter().partition(|user| present.contains(user))
            };
            let entered = if here.is_empty() { Ok(()) } else { self.presence.enter(self.node, &here).await };
            let left = if gone.is_empty() { Ok(()) } else { self.presence.leave(self.node, &gone).await };
            if let Err(error) = entered.and(left) {
                tracing::debug!(%error, "presence was not told; the next refresh does it");
                self.presence_untold.lock().extend(here.into_iter().chain(gone));
                return;
            }
            let present = self.present.lock();
            users = here.into_iter().filter(|user| !present.contains(user)).collect();
            users.extend(gone.into_iter().filter(|user| present.contains(user)));
        }
    }

    pub(super) async fn leave_presence(&self) {
        let users: Vec<UserId> = std::mem::take(&mut *self.present.lock()).into_iter().collect();
        if let Err(error) = self.presence.leave(self.node, &users).await {
            tracing::debug!(%error, "presence was not left; the lease will end it");
        }
    }

    /// Prolongs the lease. All are told anew if it was over, else those whose coming or going was not told.
    async fn refresh(&self) {
        let mut untold = std::mem::take(&mut *self.presence_untold.lock());
        if !matches!(self.presence.refresh(self.node).await, Ok(Lease::Held)) {
            untold.extend(self.present.lock().iter().cloned());
        }
        self.settle_all(untold).await;
    }
}

/// Refreshes the node's lease until the task is aborted with the engine.
pub(super) async fn refresh(engine: Arc<Inner>) {
    let mut tick = tokio::time::interval(REFRESH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        engine.refresh().await;
    }
}

/// Tells watchers what changed until the task is aborted with the engine.
pub(super) async fn tell(engine: Arc<Inner>) {
    loop {
        let _ = tokio::time::timeout(engine.limits.presence_poll, engine.watches.changed.notified()).await;
        for users in engine.watches.watched().chunks(ASKED_MAX) {
            if let Ok(online) = engine.presence.online(users).await {
                let now: Vec<_> = users.iter().cloned().zip(online).collect();
                engine.watches.tell(&now);
            }
        }
    }
}

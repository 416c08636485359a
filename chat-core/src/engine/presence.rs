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
    model::UserId,
    presence::Lease,
    protocol::{ServerFrame, Signal},
};

/// A third of the lease's 30 s: two refreshes may fail.
const REFRESH: Duration = Duration::from_secs(10);
/// Users one session watches at most; who pages through more members watches the latest.
const WATCHED_MAX: usize = 500;

/// Remembers which sessions want to know about whom, and what they were told last.
#[derive(Debug, Default)]
pub(super) struct Watches {
    users: Mutex<BTreeMap<UserId, Watched>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    online: bool,
    seats: BTreeMap<u64, Weak<Seat>>,
}

impl Watches {
    /// Lets a session be told when these users come or go; `told` is what it knows now.
    fn add(&self, seat: &Arc<Seat>, told: &[(UserId, bool)]) {
        let mut users = self.users.lock();
        for (user, online) in told.iter().take(WATCHED_MAX) {
            let watched = users.entry(user.clone()).or_default();
            watched.online = *online;
            watched.seats.insert(seat.number, Arc::downgrade(seat));
        }
    }

    fn watched(&self) -> Vec<UserId> {
        let mut users = self.users.lock();
        users.retain(|_, watched| {
            watched.seats.retain(|_, seat| seat.strong_count() > 0);
            !watched.seats.is_empty()
        });
        users.keys().cloned().collect()
    }

    /// Tells the watchers of each user who came or went, once.
    fn tell(&self, now: Vec<(UserId, bool)>) {
        let mut users = self.users.lock();
        for (user, online) in now {
            let Some(watched) = users.get_mut(&user).filter(|watched| watched.online != online) else { continue };
            watched.online = online;
            let signal = Signal::Presence { user, online };
            for seat in watched.seats.values().filter_map(Weak::upgrade) {
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
    /// Tells who of these is online, and lets the session be told when that changes.
    pub(super) async fn watch(&self, seat: Option<&Arc<Seat>>, users: &[UserId]) -> Vec<bool> {
        let online = self.presence.online(users).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "presence cannot be read; everybody is shown as offline");
            vec![false; users.len()]
        });
        if let Some(seat) = seat {
            let told: Vec<_> = users.iter().cloned().zip(online.iter().copied()).collect();
            self.watches.add(seat, &told);
        }
        online
    }

    /// Enters a user whose first session on this node began.
    pub(super) async fn came(&self, user: &UserId) {
        self.present.lock().insert(user.clone());
        if let Err(error) = self.presence.enter(self.node, std::slice::from_ref(user)).await {
            tracing::debug!(%error, "presence was not entered; the next refresh does it");
            self.presence_lapsed.store(true, std::sync::atomic::Ordering::Release);
        }
        self.watches.look();
    }

    /// Takes a user off this node if no session came back within the grace.
    pub(super) async fn went(&self, user: &UserId) {
        tokio::time::sleep(self.limits.presence_grace).await;
        if self.people.person(user).is_here() || !self.present.lock().remove(user) {
            return;
        }
        if let Err(error) = self.presence.leave(self.node, std::slice::from_ref(user)).await {
            tracing::debug!(%error, "presence was not left; the lease will end it");
        }
        self.watches.look();
    }

    pub(super) async fn leave_presence(&self) {
        let users: Vec<UserId> = std::mem::take(&mut *self.present.lock()).into_iter().collect();
        if let Err(error) = self.presence.leave(self.node, &users).await {
            tracing::debug!(%error, "presence was not left; the lease will end it");
        }
    }

    async fn refresh(&self) {
        let lapsed = self.presence_lapsed.swap(false, std::sync::atomic::Ordering::AcqRel);
        let lease = self.presence.refresh(self.node).await;
        if lapsed || !matches!(lease, Ok(Lease::Held)) {
            let users: BTreeSet<UserId> = self.present.lock().clone();
            let users: Vec<UserId> = users.into_iter().collect();
            if !users.is_empty() && self.presence.enter(self.node, &users).await.is_err() {
                self.presence_lapsed.store(true, std::sync::atomic::Ordering::Release);
            }
        }
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
        let users = engine.watches.watched();
        if users.is_empty() {
            continue;
        }
        if let Ok(online) = engine.presence.online(&users).await {
            engine.watches.tell(users.into_iter().zip(online).collect());
        }
    }
}

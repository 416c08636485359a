//! The suite of [`Presence`].

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{eventually, suite};
use crate::{
    model::{NodeId, UserId},
    presence::{Lease, Presence},
};

suite! {
    ($)
    /// Runs the suite of [`Presence`](crate::Presence): `presence_conformance!(name, factory)`, where the factory
    /// gives a [`PresenceUnderTest`](crate::conformance::presence::PresenceUnderTest).
    presence_conformance in presence:
    who_entered_is_online,
    who_left_is_offline,
    an_unknown_node_has_lapsed,
    a_node_that_stops_refreshing_takes_its_users_along,
    online_answers_in_the_order_asked,
}

/// Is a presence store to be tested, with what the cases must know of it.
#[derive(Clone)]
pub struct PresenceUnderTest {
    presence: Arc<dyn Presence>,
    lease: Duration,
}

impl fmt::Debug for PresenceUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceUnderTest").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl PresenceUnderTest {
    /// Names a presence store that no other case uses, and how long its leases last: for tests a second or two
    /// instead of 30 s, since real servers' clocks cannot be turned.
    pub fn new(presence: Arc<dyn Presence>, lease: Duration) -> Self {
        Self { presence, lease }
    }

    async fn enter(&self, node: u8, users: &[&str]) {
        self.presence.enter(self::node(node), &users.iter().map(user).collect::<Vec<_>>()).await.expect("enter");
    }

    async fn leave(&self, node: u8, users: &[&str]) {
        self.presence.leave(self::node(node), &users.iter().map(user).collect::<Vec<_>>()).await.expect("leave");
    }

    async fn online(&self, users: &[&str]) -> Vec<bool> {
        self.presence.online(&users.iter().map(user).collect::<Vec<_>>()).await.expect("ask who is online")
    }

    async fn refresh(&self, node: u8) -> Lease {
        self.presence.refresh(self::node(node)).await.expect("refresh")
    }
}

fn node(number: u8) -> NodeId {
    NodeId::random([number; 16])
}

fn user(name: &&str) -> UserId {
    UserId::new(*name).expect("a valid name")
}

/// Until every node they entered on let them go.
pub async fn who_entered_is_online(on: PresenceUnderTest) {
    assert_eq!(on.online(&["ann"]).await, [false], "nobody entered yet");
    on.enter(1, &["ann", "bob"]).await;
    on.enter(2, &["ann"]).await;
    assert_eq!(on.online(&["ann", "bob"]).await, [true, true]);
    on.leave(1, &["ann", "bob"]).await;
    assert_eq!(on.online(&["ann", "bob"]).await, [true, false], "ann is still on node 2");
    on.leave(2, &["ann"]).await;
    assert_eq!(on.online(&["ann"]).await, [false]);
}

/// However often they entered there, and without harm to who never entered.
pub async fn who_left_is_offline(on: PresenceUnderTest) {
    on.enter(1, &["ann", "ann", "bob"]).await;
    on.enter(1, &["ann"]).await;
    on.leave(1, &["ann", "carl"]).await;
    assert_eq!(on.online(&["ann", "bob", "carl"]).await, [false, true, false]);
}

/// Until it enters somebody.
pub async fn an_unknown_node_has_lapsed(on: PresenceUnderTest) {
    assert_eq!(on.refresh(1).await, Lease::Lapsed);
    on.enter(1, &["ann"]).await;
    assert_eq!(on.refresh(1).await, Lease::Held);
    assert_eq!(on.refresh(2).await, Lease::Lapsed);
}

/// While a node that refreshes keeps its users; the lapsed one learns of it and may enter them again.
pub async fn a_node_that_stops_refreshing_takes_its_users_along(on: PresenceUnderTest) {
    on.enter(2, &["bob"]).await;
    let begun = Instant::now();
    on.enter(1, &["ann", "bob"]).await;
    let seen = on.online(&["ann"]).await;
    assert!(seen == [true] || begun.elapsed() >= on.lease, "offline before the lease ended");
    let asked = &on;
    eventually("the users of a silent node go offline", || async move {
        sleep(asked.lease / 10).await;
        // On a machine that stalls, node 2 may lapse as well; it then does what the contract says.
        if asked.refresh(2).await == Lease::Lapsed {
            asked.enter(2, &["bob"]).await;
        }
        asked.online(&["ann"]).await == [false]
    })
    .await;
    assert!(begun.elapsed() >= on.lease, "offline after {:?} of {:?}", begun.elapsed(), on.lease);
    assert_eq!(on.online(&["bob"]).await, [true], "node 2 never stopped");
    assert_eq!(on.refresh(1).await, Lease::Lapsed);
    on.enter(1, &["ann"]).await;
    assert_eq!(on.online(&["ann"]).await, [true]);
}

/// One answer per user asked, also for users nobody knows and users asked twice.
pub async fn online_answers_in_the_order_asked(on: PresenceUnderTest) {
    on.enter(1, &["ann", "carl"]).await;
    let asked = ["carl", "bob", "ann", "bob", "ann"];
    assert_eq!(on.online(&asked).await, [true, false, true, false, true]);
    assert_eq!(on.online(&[]).await, Vec::<bool>::new());
}

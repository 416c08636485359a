//! Who is online, among the engines of one process.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    model::{NodeId, UserId},
    presence::{Lease, Presence, PresenceError},
};

/// How long a node's users stay online without word from it: three refreshes of 10 s.
const LEASE: Duration = Duration::from_secs(30);

/// Knows who is online on the engines of this process that share a clone of it.
#[derive(Clone)]
pub struct MemoryPresence {
    nodes: Arc<Mutex<BTreeMap<NodeId, Node>>>,
    lease: Duration,
}

struct Node {
    until: Instant,
    users: BTreeSet<UserId>,
}

impl MemoryPresence {
    /// Makes a store where nobody is online, with leases of 30 s.
    pub fn new() -> Self {
        Self::with_lease(LEASE)
    }

    /// Makes a store with other leases, for tests.
    pub fn with_lease(lease: Duration) -> Self {
        Self { nodes: Arc::default(), lease }
    }

    /// Runs `act` on the nodes whose lease still runs: the others are forgotten first.
    fn with_nodes<T>(&self, act: impl FnOnce(&mut BTreeMap<NodeId, Node>, Instant) -> T) -> T {
        let (mut nodes, now) = (self.nodes.lock(), Instant::now());
        nodes.retain(|_, node| node.until > now);
        act(&mut nodes, now)
    }
}

impl Default for MemoryPresence {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPresence").field("lease", &self.lease).finish_non_exhaustive()
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.with_nodes(|nodes, now| {
            let new = || Node { until: now + self.lease, users: BTreeSet::new() };
            nodes.entry(node).or_insert_with(new).users.extend(users.iter().cloned());
        });
        Ok(())
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.with_nodes(|nodes, _| {
            if let Some(node) = nodes.get_mut(&node) {
                node.users.retain(|user| !users.contains(user));
            }
        });
        Ok(())
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        Ok(self.with_nodes(|nodes, now| match nodes.get_mut(&node) {
            Some(node) => {
                node.until = now + self.lease;
                Lease::Held
            }
            None => Lease::Lapsed,
        }))
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        let is_online = |nodes: &BTreeMap<_, Node>, user| nodes.values().any(|node| node.users.contains(user));
        Ok(self.with_nodes(|nodes, _| users.iter().map(|user| is_online(nodes, user)).collect()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_lasts_thirty_seconds_from_the_last_refresh() {
        let (presence, node, ann) = (MemoryPresence::new(), NodeId::random([1; 16]), UserId::new("ann").unwrap());
        presence.enter(node, std::slice::from_ref(&ann)).await.unwrap();
        advance(Duration::from_secs(29)).await;
        assert_eq!(presence.refresh(node).await.unwrap(), Lease::Held);
        advance(Duration::from_secs(29)).await;
        assert_eq!(presence.online(std::slice::from_ref(&ann)).await.unwrap(), [true]);
        advance(Duration::from_secs(1)).await;
        assert_eq!(presence.online(&[ann]).await.unwrap(), [false]);
        assert_eq!(presence.refresh(node).await.unwrap(), Lease::Lapsed);
    }
}

//! Who is online, by leases that the server's clock ends.
//!
//! Users are spread over shards, and all keys of a shard are on one server, so that one script sees them together:
//!
//! | key | holds |
//! |---|---|
//! | `chat:presence:{chat:7}:nodes` | a sorted set: the nodes with users in shard 7, by the end of their lease |
//! | `chat:presence:{chat:7}:on:NODE` | a set: those users |
//!
//! A lease belongs to a node and not to each user, so that refreshing costs one command per shard and not one per user. A
//! node whose lease has ended is out of the sorted set, and its sets are then not asked; they expire a little later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    UserId,
    model::NodeId,
    presence::{Lease, Presence, PresenceError},
};
use parking_lot::Mutex;
use redis::{Cmd, cmd};

use crate::{
    RedisConfig,
    servers::{Servers, read},
    slots::crc16,
};

/// How long a node's users stay online without word from it: three refreshes of 10 s.
const LEASE: Duration = Duration::from_secs(30);
/// Enough to spread users over a cluster of any size that a chat needs; each costs one command per refresh.
const SHARDS: u16 = 16;
/// Users in one command: Lua's stack takes some thousand.
const USERS_MAX: usize = 1_000;

/// Knows who is online on the nodes that use the same Redis under the same namespace. Cheap to clone.
#[derive(Clone)]
pub struct RedisPresence {
    servers: Arc<Servers>,
    lease: Duration,
    /// The shards in which a node of this process has a lease.
    held: Arc<Mutex<BTreeMap<NodeId, BTreeSet<u16>>>>,
}

impl RedisPresence {
    /// Uses the Redis at this URL; see [`RedisConfig`].
    ///
    /// Must be called inside a tokio runtime, to which it then belongs.
    pub async fn open(url: &str) -> Result<Self, PresenceError> {
        Self::connect(RedisConfig::new(url)).await
    }

    /// Connects to a Redis.
    pub async fn connect(config: RedisConfig) -> Result<Self, PresenceError> {
        Ok(Self { servers: Servers::open(&config).await?, lease: LEASE, held: Arc::default() })
    }

    /// Sets other leases than 30 s, for tests.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    fn nodes(&self, shard: u16) -> String {
        let namespace = self.servers.namespace();
        format!("{namespace}:presence:{{{namespace}:{shard}}}:nodes")
    }

    fn users(&self, shard: u16, node: impl fmt::Display) -> String {
        let namespace = self.servers.namespace();
        format!("{namespace}:presence:{{{namespace}:{shard}}}:on:{node}")
    }

    /// Makes a call of a script about one node in one shard.
    fn about(&self, script: &str, node: NodeId, shard: u16) -> (String, Cmd) {
        let (nodes, users) = (self.nodes(shard), self.users(shard, node));
        let mut call = cmd("EVAL");
        call.arg(script).arg(2).arg(&nodes).arg(users).arg(node.to_string()).arg(lease_ms(self.lease));
        (nodes, call)
    }
}

fn lease_ms(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}

/// Puts the places of users in their shards, few enough for one command each.
fn sharded(users: &[UserId]) -> Vec<(u16, Vec<usize>)> {
    let mut shards: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (at, user) in users.iter().enumerate() {
        shards.entry(crc16(user.as_str().as_bytes()) % SHARDS).or_default().push(at);
    }
    let pieces = |(shard, places): (u16, Vec<usize>)| {
        places.chunks(USERS_MAX).map(|piece| (shard, piece.to_vec())).collect::<Vec<_>>()
    };
    shards.into_iter().flat_map(pieces).collect()
}

fn names<'a>(users: &'a [UserId], places: &[usize]) -> Vec<&'a str> {
    places.iter().map(|at| users[*at].as_str()).collect()
}

impl fmt::Debug for RedisPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPresence").field("namespace", &self.servers.namespace()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        let shards = sharded(users);
        // Before they are: a call whose answer is lost may have begun a lease, too.
        self.held.lock().entry(node).or_default().extend(shards.iter().map(|(shard, _)| *shard));
        let call = |(shard, places): (u16, Vec<usize>)| {
            let (key, mut call) = self.about(include_str!("presence/enter.lua"), node, shard);
            call.arg(names(users, &places));
            (key, call)
        };
        self.servers.ask_all("enter users", &shards.into_iter().map(call).collect::<Vec<_>>()).await?;
        Ok(())
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        let call = |(shard, places): (u16, Vec<usize>)| {
            let key = self.users(shard, node);
            let mut call = cmd("SREM");
            call.arg(&key);
            call.arg(names(users, &places));
            (key, call)
        };
        self.servers.ask_all("let users leave", &sharded(users).into_iter().map(call).collect::<Vec<_>>()).await?;
        Ok(())
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        let shards: Vec<u16> = self.held.lock().get(&node).into_iter().flatten().copied().collect();
        let call = |shard: &u16| self.about(include_str!("presence/refresh.lua"), node, *shard);
        let answers = self.servers.ask_all("refresh a lease", &shards.iter().map(call).collect::<Vec<_>>()).await?;
        let mut lapsed = shards.is_empty();
        for (shard, answer) in shards.into_iter().zip(answers) {
            if !read::<bool>("refresh a lease", answer)? {
                lapsed = true;
                self.held.lock().entry(node).or_default().remove(&shard);
            }
        }
        Ok(if lapsed { Lease::Lapsed } else { Lease::Held })
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        let shards = sharded(users);
        let call = |(shard, places): &(u16, Vec<usize>)| {
            let key = self.nodes(*shard);
            let mut call = cmd("EVAL");
            call.arg(include_str!("presence/online.lua")).arg(1).arg(&key).arg(self.users(*shard, ""));
            call.arg(names(users, places));
            (key, call)
        };
        let answers = self.servers.ask_all("ask who is online", &shards.iter().map(call).collect::<Vec<_>>()).await?;
        let mut online = vec![false; users.len()];
        for ((_, places), answer) in shards.into_iter().zip(answers) {
            let answers: Vec<bool> = read("ask who is online", answer)?;
            places.into_iter().zip(answers).for_each(|(at, is_online)| online[at] = is_online);
        }
        Ok(online)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_user_is_in_one_shard_and_no_command_is_long() {
        let users: Vec<_> = (0..40_000).map(|number| UserId::new(format!("u{number}")).unwrap()).collect();
        let shards = sharded(&users);
        assert!(shards.iter().all(|(_, places)| places.len() <= USERS_MAX));
        let mut places: Vec<_> = shards.into_iter().flat_map(|(_, places)| places).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..users.len()));
    }
}

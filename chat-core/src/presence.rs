//! The port that knows who is online.
//!
//! # Contract
//!
//! A user is online while at least one node that holds its lease says so. A lease lasts 30 s from the last
//! [`Presence::refresh`], by the store's clock: a node that dies takes its users with it without anybody's help.

mod broadcast;
mod roster;

use std::fmt;

use async_trait::async_trait;

use crate::{
    error::{Error, ErrorKind},
    model::{NodeId, UserId},
};

pub use broadcast::BrokerPresence;

/// Is what went wrong in a presence store.
pub type PresenceError = Error<PresenceErrorKind>;

/// Says what went wrong in a presence store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceErrorKind {
    /// The store cannot be reached.
    Unavailable,
    /// Anything else.
    Other,
}

impl ErrorKind for PresenceErrorKind {
    fn is_transient(self) -> bool {
        self == Self::Unavailable
    }
}

impl fmt::Display for PresenceErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "the presence store cannot be reached",
            Self::Other => "the presence store refused",
        })
    }
}

/// Says what became of a node's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It goes on.
    Held,
    /// It ran out or never began: the node must enter all its users again.
    Lapsed,
}

/// Knows who is online on which node.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Adds users to a node, and begins its lease if it has none.
    ///
    /// # Behavior
    /// * `who_entered_is_online`: until every node they entered on let them go.
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError>;

    /// Takes users off a node.
    ///
    /// # Behavior
    /// * `who_left_is_offline`: unless another node has them.
    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError>;

    /// Prolongs a node's lease to 30 s from now.
    ///
    /// # Behavior
    /// * `an_unknown_node_has_lapsed`.
    /// * `a_node_that_stops_refreshing_takes_its_users_along`.
    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError>;

    /// Tells for each user whether they are online.
    ///
    /// # Behavior
    /// * `online_answers_in_the_order_asked`: also for users nobody knows.
    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError>;
}

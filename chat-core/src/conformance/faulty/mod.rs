//! Ports with faults between them and their user: for simulations, and for tests of what happens when a port fails.
//!
//! Each wraps a port that works and changes what passes. What it does is decided by a [`Chance`], a seeded source, and
//! when by tokio's clock: on paused time the same seed gives the same faults at the same moments, every time.
//!
//! [`FaultyStore`] passes each call by a [`StoreFault`], which may wait, change what is asked or answered, refuse, or
//! lose the answer: [`RandomFaults`] does so by [`StoreOdds`], [`LaggingAccess`] lets the projection lag as far as the
//! contract allows, and a test writes its own in a few lines. [`FaultyBroker`] drops, doubles, delays, reorders and
//! cuts by [`BrokerOdds`].
//!
//! All of them keep the port's contract: a correct engine gives every promise over them. What breaks a contract is a
//! defect, and belongs in a test that shows that somebody notices.

mod broker;
mod chance;
mod lag;
mod people;
mod random;
mod store;

pub use broker::{BrokerOdds, FaultyBroker};
pub use chance::Chance;
pub use lag::LaggingAccess;
pub use random::{RandomFaults, StoreOdds};
pub use store::{Answer, Call, FaultyStore, StoreFault};

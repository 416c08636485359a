//! Slash commands: what a person types with a leading `/`, carried out here or by a worker elsewhere.
//!
//! [`parse`] tells a command from a text, the [`Registry`] knows what carries it out. A command that runs elsewhere
//! is a [`RemoteCommand`] here, which puts the [`Invocation`] into a [work queue](crate::WorkQueue), and an ordinary
//! [`Command`] there, run by a [`BotRunner`], which puts a [`CommandResult`] into another queue for the engine.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod parser;
mod registry;
mod remote;
mod runner;
mod ticket;
mod wire;

use std::{borrow::Cow, future::Future, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    model::{Identity, Key, RoomId, Timestamp, UserId},
    queue::WorkQueue,
};

pub use parser::{Line, ParseError, Parsed, parse};
pub use registry::{NameRefused, Registered, Registry};
pub use remote::RemoteCommand;
pub use runner::{BotRunner, carry_out};
pub use ticket::Ticket;
pub use wire::{CommandResult, WireError, replies, requests};

/// Is one use of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Invocation {
    /// The command's name, lower case.
    pub name: String,
    /// Its arguments, in order: the text after `=` first.
    pub args: Vec<String>,
    /// Its `--flag` and `--flag=value` arguments, in order.
    pub flags: Vec<(String, Option<String>)>,
    /// Where it was typed.
    pub room: RoomId,
    /// Who typed it.
    pub user: UserId,
    /// Their display name.
    pub user_name: Arc<str>,
    /// The key it was sent under; the reply is stored under one derived from it.
    pub key: Key,
    /// When an answer is too late.
    pub deadline: Timestamp,
    /// What an answer from elsewhere must bring along.
    pub ticket: Ticket,
}

impl Line<'_> {
    /// Makes an invocation of what `who` typed in `room`, without a ticket yet.
    pub fn invocation(&self, who: &Identity, room: RoomId, key: Key, deadline: Timestamp) -> Invocation {
        let flag = |(name, value): &(Cow<'_, str>, Option<Cow<'_, str>>)| {
            (name.clone().into_owned(), value.clone().map(Cow::into_owned))
        };
        Invocation {
            name: self.name.clone().into_owned(),
            args: self.args.iter().map(|arg| arg.clone().into_owned()).collect(),
            flags: self.flags.iter().map(flag).collect(),
            room,
            user: who.user.clone(),
            user_name: who.name.clone(),
            key,
            deadline,
            ticket: Ticket::default(),
        }
    }
}

/// Is a command's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Post this text in the room, as the command's bot.
    Say(String),
    /// Show this text to the caller only.
    Whisper(String),
    /// Nothing to say.
    Nothing,
    /// The answer comes later, from a worker elsewhere.
    Later,
}

/// Is why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The arguments are wrong: the caller alone is told this, and nothing is posted.
    #[error("{0}")]
    Usage(Cow<'static, str>),
    /// It failed for good: this is posted as the one answer.
    #[error("{0}")]
    Failed(Cow<'static, str>),
    /// It may work on another try.
    #[error("{0}")]
    Retry(Cow<'static, str>),
}

/// Carries out a slash command.
///
/// Implemented by every `fn(Invocation) -> impl Future<Output = Result<Reply, CommandError>>`, so a closure
/// `|call: Invocation| async move { … }` is a command.
#[async_trait]
pub trait Command: Send + Sync {
    /// Carries out one invocation. Runs in a task of its own; a panic or a time-out is a failure and nothing more.
    async fn run(&self, call: Invocation) -> Result<Reply, CommandError>;

    /// Returns the queue over whose [`replies`] the answers come that are [`Reply::Later`]: the engine consumes them.
    fn replies_over(&self) -> Option<Arc<dyn WorkQueue>> {
        None
    }
}

#[async_trait]
impl<F, Fut> Command for F
where
    F: Fn(Invocation) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Reply, CommandError>> + Send,
{
    async fn run(&self, call: Invocation) -> Result<Reply, CommandError> {
        self(call).await
    }
}

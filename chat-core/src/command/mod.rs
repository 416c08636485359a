//! Slash commands: what a person types with a leading `/`, carried out here or by a worker elsewhere.

mod parser;
mod registry;
mod stub;
mod ticket;
pub use parser::*; pub use registry::*; pub use stub::*; pub use ticket::*;
use std::{borrow::Cow, future::Future, sync::Arc};

use async_trait::async_trait;

use crate::model::{Key, RoomId, Timestamp, UserId};

/// Is one use of a command.
#[derive(Clone, Debug)]
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
    /// Proves the invocation.
    pub ticket: Ticket,
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

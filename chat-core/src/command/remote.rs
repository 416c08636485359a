//! A command whose work is done by a worker elsewhere.

use std::{borrow::Cow, fmt, sync::Arc};

use async_trait::async_trait;

use super::{Command, CommandError, Invocation, Reply, requests};
use crate::queue::{Job, QueueError, WorkQueue};

/// Hands invocations to whichever [`BotRunner`](super::BotRunner) consumes the same queue.
pub struct RemoteCommand {
    queue: Arc<dyn WorkQueue>,
    check: Box<Check>,
}

type Check = dyn Fn(&Invocation) -> Result<(), Cow<'static, str>> + Send + Sync;

impl RemoteCommand {
    /// Makes a command that is carried out over this queue.
    pub fn new(queue: Arc<dyn WorkQueue>) -> Self {
        Self { queue, check: Box::new(|_| Ok(())) }
    }

    /// Checks arguments here: the caller alone is told what is wrong with them, and no job is made.
    #[must_use]
    pub fn check<C>(mut self, check: C) -> Self
    where
        C: Fn(&Invocation) -> Result<(), Cow<'static, str>> + Send + Sync + 'static,
    {
        self.check = Box::new(check);
        self
    }

    async fn push(&self, call: &Invocation) -> Result<(), QueueError> {
        // Somebody waits for the answer, so it goes first; after the deadline nobody does.
        let job = Job::new(call.encode()).high().expires(call.deadline);
        self.queue.push(&requests(&call.name)?, job).await
    }
}

#[async_trait]
impl Command for RemoteCommand {
    /// Makes a job of the invocation, which must hold its [ticket](super::Ticket).
    async fn run(&self, call: Invocation) -> Result<Reply, CommandError> {
        (self.check)(&call).map_err(CommandError::Usage)?;
        self.push(&call).await.map(|()| Reply::Later).map_err(|error| {
            tracing::warn!(command = call.name, %error, "no job for a command");
            if error.is_transient() {
                CommandError::Retry("the command cannot be taken right now".into())
            } else {
                CommandError::Failed("the command failed".into())
            }
        })
    }

    fn replies_over(&self) -> Option<Arc<dyn WorkQueue>> {
        Some(self.queue.clone())
    }
}

impl fmt::Debug for RemoteCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteCommand")
    }
}

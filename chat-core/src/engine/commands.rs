//! Slash commands from their line to their one reply.
//!
//! A reply is stored under a key that follows from the invocation. Whatever is repeated or raced (a retry by the
//! client, two workers, a worker and the deadline), the first reply is stored and every other one conflicts.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Inner, post::{Done, Sender}, submission::Right};
use crate::{
    command::{CommandError, CommandResult, Invocation, Outcome, Parsed, Reply, Ticket, parse, replies, decode_result},
    fanout::Class,
    hub::{Event, Posted},
    model::{Body, Draft, Identity, Key, RoomId, Text, UserId},
    policy::Action,
    protocol::{Code, HubError, ServerFrame, Signal},
    queue::{Consume, Delivery, Settlement, WorkQueue},
};

/// A work queue that fails is consumed again after this time.
const CONSUME_AGAIN: Duration = Duration::from_secs(1);

/// Is what a reply belongs to.
#[derive(Clone, Debug)]
struct Answered {
    room: RoomId,
    key: Key,
    user: UserId,
}

impl Answered {
    fn of(call: &Invocation) -> Self {
        Self { room: call.room, key: call.key, user: call.user.clone() }
    }

    /// Derives the key of the one reply. The user is part of it, since keys belong to their author only.
    fn reply_key(&self) -> Key {
        self.key.derive(&format!("reply:{}", self.user))
    }
}

/// Remembers which callers wait for a reply from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Mutex<HashMap<(Key, UserId), oneshot::Sender<Outcome>>>,
}

impl Inner {
    /// Carries a command out in a task of its own; `answer` is called when its reply is stored, or when it is in a
    /// queue that outlives this process.
    pub(super) fn carry_out(
        self: Arc<Self>,
        sender: Sender,
        room: RoomId,
        key: Key,
        line: String,
        answer: impl FnOnce(Result<Done, HubError>) + Send + Sync + 'static,
    ) {
        if !sender.person.begin_command(self.limits.commands_per_user_max) {
            return answer(Err(HubError::from(Code::RateLimited).after(Duration::from_secs(1))));
        }
        let taken = self.work.take();
        tokio::spawn(async move {
            let done = self.command(&sender, room, key, &line).await;
            sender.person.end_command();
            if let (Err(error), Some(order)) = (&done, &sender.order)
                && error.code.is_retryable()
            {
                order.hold(room, key);
            }
            answer(done.map(|()| Done { room, posted: Posted::Accepted }));
            drop(taken);
        });
    }

    async fn command(self: &Arc<Self>, sender: &Sender, room: RoomId, key: Key, line: &str) -> Result<(), HubError> {
        let Parsed::Command(line) = parse(line) else { return Err(Code::InvalidCommand.into()) };
        let Some(registered) = self.commands.find(&line.name) else { return Err(self.unknown(&line.name)) };
        let access = self.readable(&sender.who, room).await?;
        self.policy.authorize(&sender.who, &Action::Command(&line.name), Some(&access))?;
        let call = self.invocation(sender, room, key, &line);
        let run = registered.command.clone();
        let waiting = self.pending.wait(&call);
        let (bot, within) = (Arc::new(registered.bot.clone()), self.limits.command_within);
        let started = tokio::time::Instant::now();
        let running = call.clone();
        let task = tokio::spawn(async move { run.run(running).await });
        let abort = task.abort_handle();
        let result = tokio::time::timeout(within, task).await;
        let reply = match result {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                tracing::error!(command = call.name, %panic, "a command panicked");
                Err(CommandError::Failed(format!("/{} broke", call.name).into()))
            }
            Err(_) => {
                abort.abort();
                Err(CommandError::Failed(late(&call.name).into()))
            }
        };
        match reply {
            Ok(Reply::Later) if self.queue.as_ref().is_some_and(|queue| queue.is_durable()) => {
                self.clone().notice_when_late(call, bot, within.saturating_sub(started.elapsed()), waiting);
                Ok(())
            }
            Ok(Reply::Later) => {
                let left = within.saturating_sub(started.elapsed());
                self.await_reply(&call, bot, left, waiting, sender).await
            }
            Ok(reply) => self.conclude(&call, bot, outcome(reply), sender).await,
            Err(CommandError::Usage(text)) => Err(HubError::new(Code::InvalidCommand, text)),
            Err(error) => self.conclude(&call, bot, Outcome::Failed(error.to_string()), sender).await,
        }
    }

    fn unknown(&self, name: &str) -> HubError {
        let nearest = self.commands.nearest(name).map(|nearest| format!(", did you mean /{nearest}?"));
        let text = format!("there is no command /{name}{}", nearest.unwrap_or_default());
        HubError::new(Code::UnknownCommand, text)
    }

    fn invocation(&self, sender: &Sender, room: RoomId, key: Key, line: &crate::command::Line<'_>) -> Invocation {
        let within = i64::try_from(self.limits.command_within.as_millis()).unwrap_or(i64::MAX);
        let mut call = Invocation {
            name: line.name.to_string(),
            args: line.args.iter().map(Cow::to_string).collect(),
            flags: line.flags.iter().map(|(name, value)| (name.to_string(), value.as_ref().map(Cow::to_string))).collect(),
            room,
            user: sender.who.user.clone(),
            user_name: sender.who.name.clone(),
            key,
            deadline: self.clock.now().plus_ms(within),
            ticket: Ticket::default(),
        };
        call.ticket = Ticket::issue(&self.ticket_secret, &call);
        call
    }

    /// Waits for a reply from a worker; when it is late, the notice that says so is the reply.
    async fn await_reply(
        self: &Arc<Self>,
        call: &Invocation,
        bot: Arc<Identity>,
        left: Duration,
        waiting: oneshot::Receiver<Outcome>,
        sender: &Sender,
    ) -> Result<(), HubError> {
        match tokio::time::timeout(left, waiting).await {
            Ok(Ok(Outcome::Whisper(text))) => {
                self.whisper(call.room, &bot, text, sender);
                Ok(())
            }
            Ok(Ok(_)) => Ok(()), // stored by who received it
            Ok(Err(_)) | Err(_) => self.conclude(call, bot, Outcome::Failed(late(&call.name)), sender).await,
        }
    }

    /// For durable queues: the caller has its answer; only the deadline is left to watch.
    fn notice_when_late(self: Arc<Self>, call: Invocation, bot: Arc<Identity>, left: Duration, waiting: oneshot::Receiver<Outcome>) {
        tokio::spawn(async move {
            if tokio::time::timeout(left, waiting).await.is_err() {
                if let Err(error) = self.say(&Answered::of(&call), &bot, late(&call.name)).await {
                    tracing::warn!(%error, command = call.name, "the notice of a late command was not stored");
                }
            }
        });
    }

    /// Gives the caller a command's outcome.
    async fn conclude(self: &Arc<Self>, call: &Invocation, bot: Arc<Identity>, outcome: Outcome, sender: &Sender) -> Result<(), HubError> {
        match outcome {
            Outcome::Say(text) | Outcome::Failed(text) => self.say(&Answered::of(call), &bot, text).await,
            Outcome::Whisper(text) => {
                self.whisper(call.room, &bot, text, sender);
                Ok(())
            }
            Outcome::Nothing => Ok(()),
        }
    }

    /// Stores the one reply of an invocation. If there is one already, that is as good.
    async fn say(self: &Arc<Self>, to: &Answered, bot: &Arc<Identity>, text: String) -> Result<(), HubError> {
        let draft = Draft { key: to.reply_key(), body: Body::Text(Text::new(text)) };
        match self.post_own(to.room, draft, bot.clone(), Right::Own).await {
            Ok(_) => Ok(()),
            Err(error) if error.code == Code::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn whisper(&self, room: RoomId, bot: &Identity, text: String, sender: &Sender) {
        if let Some(seat) = &sender.seat {
            let signal = Signal::Whisper { room, user: bot.user.clone(), text };
            seat.push(Class::Answer, &ServerFrame::Signal(&signal), Some(Event::Signal(signal.clone())));
        }
    }

    /// Stores what a worker sent back, if it can prove which invocation it answers.
    async fn take_result(self: &Arc<Self>, delivery: Delivery) {
        let how = match decode_result(&delivery.job.body) {
            Ok(result) if result.ticket.verify(&self.ticket_secret, &result) => self.store_result(result).await,
            Ok(_) => Settlement::Dead("the ticket is not one of ours".into()),
            Err(error) => Settlement::Dead(error.to_string()),
        };
        if let Settlement::Dead(why) = &how {
            metrics::counter!("chat_results_refused_total").increment(1);
            tracing::warn!(why, "a command's result was refused");
        }
        if let Err(error) = delivery.settle(how).await {
            tracing::debug!(%error, "a result was not settled; it will come again and change nothing");
        }
    }

    async fn store_result(self: &Arc<Self>, result: CommandResult) -> Settlement {
        let Some(registered) = self.commands.find(&result.name) else {
            return Settlement::Dead("no such command here".into());
        };
        let answered = Answered { room: result.room, key: result.key, user: result.user };
        let is_late = result.deadline < self.clock.now();
        let outcome = if is_late { Outcome::Failed(late(&result.name)) } else { result.outcome };
        if let Outcome::Say(text) | Outcome::Failed(text) = &outcome
            && let Err(error) = self.say(&answered, &Arc::new(registered.bot.clone()), text.clone()).await
        {
            return if error.code.is_retryable() {
                Settlement::Retry(Duration::from_secs(1))
            } else {
                Settlement::Dead(error.to_string())
            };
        }
        self.pending.resolve(&answered, outcome);
        Settlement::Done
    }
}

/// Stores results until the task is aborted with the engine.
pub(super) async fn consume(engine: Arc<Inner>, queue: Arc<dyn WorkQueue>) {
    loop {
        match queue.consume(&replies(), Consume::default()).await {
            Ok(mut results) => {
                while let Some(result) = results.next().await {
                    match result {
                        Ok(delivery) => engine.take_result(delivery).await,
                        Err(error) => tracing::warn!(%error, "the work queue failed"),
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the work queue cannot be consumed; it is tried again"),
        }
        tokio::time::sleep(CONSUME_AGAIN).await;
    }
}

impl Pending {
    fn wait(&self, call: &Invocation) -> oneshot::Receiver<Outcome> {
        let (resolve, waiting) = oneshot::channel();
        let mut all = self.waiting.lock();
        all.retain(|_, waiting| !waiting.is_closed());
        all.insert((call.key, call.user.clone()), resolve);
        waiting
    }

    fn resolve(&self, call: &Answered, outcome: Outcome) {
        if let Some(waiting) = self.waiting.lock().remove(&(call.key, call.user.clone())) {
            let _ = waiting.send(outcome); // the caller gave up
        }
    }
}

fn outcome(reply: Reply) -> Outcome {
    match reply {
        Reply::Say(text) => Outcome::Say(text),
        Reply::Whisper(text) => Outcome::Whisper(text),
        Reply::Nothing | Reply::Later => Outcome::Nothing,
    }
}

fn late(name: &str) -> String {
    format!("/{name} gave no answer in time")
}

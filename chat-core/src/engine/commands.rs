//! Slash commands from their line to their one reply.
//!
//! A reply is stored under a key that follows from the invocation. Whatever is repeated or raced (a retry by the
//! client, two workers, a worker and the deadline), the first reply is stored and every other one conflicts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Inner, hint,
    post::{Done, Sender},
    submission::Right,
};
use crate::{
    command::{CommandError, CommandResult, Invocation, Parsed, Reply, Ticket, carry_out, parse, replies},
    fanout::Class,
    hub::{Event, Posted},
    model::{Body, Draft, Identity, Key, RoomId, Text, Timestamp, UserId},
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

/// Remembers which callers wait for a reply from elsewhere; the same command, sent again, has several.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Mutex<HashMap<(Key, UserId), Waiting>>,
}

type Outcome = Result<Reply, CommandError>;
type Waiting = Vec<oneshot::Sender<Outcome>>;

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
            answer(done.map(|()| Done { room, posted: Posted::Accepted }));
            drop(taken);
        });
    }

    async fn command(self: &Arc<Self>, sender: &Sender, room: RoomId, key: Key, line: &str) -> Result<(), HubError> {
        let Parsed::Command(line) = parse(line) else { return Err(Code::InvalidCommand.into()) };
        let Some(registered) = self.commands.find(&line.name) else { return Err(self.unknown(&line.name)) };
        let access = self.readable(&sender.who, room).await?;
        self.policy.authorize(&sender.who, &Action::Command(&line.name), Some(&access))?;
        let mut call = line.invocation(&sender.who, room, key, self.deadline());
        call.ticket = Ticket::issue(&self.ticket_secret, &call);
        let bot = Arc::new(registered.bot.clone());
        let waiting = self.pending.wait(&Answered::of(&call));
        match carry_out(registered.command.clone(), call.clone(), self.clock.now()).await {
            Ok(Reply::Later) => {
                let durable = registered.command.replies_over().is_some_and(|queue| queue.is_durable());
                let late = self.clone().notice_when_late(call, bot, waiting, sender.clone());
                if durable {
                    tokio::spawn(late);
                    return Ok(());
                }
                late.await
            }
            // The queue does not take it: nothing has begun, and the caller sends it again.
            Err(CommandError::Retry(text)) if registered.command.replies_over().is_some() => {
                Err(HubError::new(Code::Retry, text))
            }
            outcome => self.conclude(&call, &bot, outcome, sender).await,
        }
    }

    fn deadline(&self) -> Timestamp {
        let within = i64::try_from(self.limits.command_within.as_millis()).unwrap_or(i64::MAX);
        self.clock.now().plus_ms(within)
    }

    fn unknown(&self, name: &str) -> HubError {
        let nearest = self.commands.nearest(name).map(|nearest| format!(", did you mean /{nearest}?"));
        let text = format!("there is no command /{name}{}", nearest.unwrap_or_default());
        HubError::new(Code::UnknownCommand, text)
    }

    /// Waits for a reply from a worker; when it is late, the notice that says so is the reply.
    async fn notice_when_late(
        self: Arc<Self>,
        call: Invocation,
        bot: Arc<Identity>,
        waiting: oneshot::Receiver<Outcome>,
        sender: Sender,
    ) -> Result<(), HubError> {
        let left = call.deadline.ms_since(self.clock.now()).max(0).cast_unsigned();
        match tokio::time::timeout(Duration::from_millis(left), waiting).await {
            Ok(Ok(Ok(Reply::Whisper(text)))) => {
                whisper(call.room, &bot, text, &sender);
                Ok(())
            }
            Ok(Ok(Err(CommandError::Usage(text)))) => Err(HubError::new(Code::InvalidCommand, text)),
            Ok(Ok(_)) => Ok(()), // stored by who received it
            Ok(Err(_)) | Err(_) => self.say(&Answered::of(&call), &bot, late(&call.name)).await,
        }
    }

    /// Gives the caller what a command of this process answered.
    async fn conclude(
        self: &Arc<Self>,
        call: &Invocation,
        bot: &Arc<Identity>,
        outcome: Outcome,
        sender: &Sender,
    ) -> Result<(), HubError> {
        match outcome {
            Ok(Reply::Say(text)) => self.say(&Answered::of(call), bot, text).await,
            Ok(Reply::Whisper(text)) => {
                whisper(call.room, bot, text, sender);
                Ok(())
            }
            Ok(Reply::Nothing | Reply::Later) => Ok(()),
            Err(CommandError::Usage(text)) => Err(HubError::new(Code::InvalidCommand, text)),
            Err(CommandError::Failed(text) | CommandError::Retry(text)) => {
                self.say(&Answered::of(call), bot, text.into_owned()).await
            }
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

    /// Stores what a worker sent back, if it can prove which invocation it answers.
    async fn take_result(self: &Arc<Self>, delivery: Delivery) {
        let how = match CommandResult::decode(&delivery.job.body, &self.ticket_secret) {
            Ok(result) => self.store_result(result).await,
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
        let outcome = if is_late { Err(CommandError::Failed(late(&result.name).into())) } else { result.outcome };
        let text = match &outcome {
            Ok(Reply::Say(text)) => Some(text.clone()),
            Err(CommandError::Failed(text)) => Some(text.to_string()),
            _ => None,
        };
        if let Some(text) = text
            && let Err(error) = self.say(&answered, &Arc::new(registered.bot.clone()), text).await
        {
            return if error.code.is_retryable() {
                Settlement::Retry(Duration::from_secs(1))
            } else {
                Settlement::Dead(error.to_string())
            };
        }
        if !self.pending.resolve(&(answered.key, answered.user.clone()), &outcome) {
            self.tell_where_it_waits(answered, outcome);
        }
        Settlement::Done
    }

    /// Tells the other nodes what was answered: one of them accepted the command.
    fn tell_where_it_waits(&self, Answered { room, key, user }: Answered, outcome: Outcome) {
        let (whisper, usage) = match outcome {
            Ok(Reply::Whisper(text)) => (Some(text), None),
            Err(CommandError::Usage(text)) => (None, Some(text.into_owned())),
            _ => (None, None),
        };
        self.relay.answered(room, hint::Answered { key, user, whisper, usage });
    }

    /// Takes the word of another node that a command of ours was answered; what was said is in the log.
    pub(super) fn answered_elsewhere(&self, hint::Answered { key, user, whisper, usage }: hint::Answered) {
        let outcome = match (whisper, usage) {
            (Some(text), _) => Ok(Reply::Whisper(text)),
            (None, Some(text)) => Err(CommandError::Usage(text.into())),
            (None, None) => Ok(Reply::Nothing),
        };
        self.pending.resolve(&(key, user), &outcome);
    }
}

/// Stores results until the task is aborted with the engine.
pub(super) async fn consume(engine: Arc<Inner>, queue: Arc<dyn WorkQueue>) {
    let Ok(replies) = replies() else { return }; // a constant name: always allowed
    loop {
        match queue.consume(&replies, Consume::default()).await {
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
    fn wait(&self, call: &Answered) -> oneshot::Receiver<Outcome> {
        let (resolve, waiting) = oneshot::channel();
        let mut all = self.waiting.lock();
        all.retain(|_, waiting| {
            waiting.retain(|waiting| !waiting.is_closed());
            !waiting.is_empty()
        });
        all.entry((call.key, call.user.clone())).or_default().push(resolve);
        waiting
    }

    /// Passes an outcome to those who wait for it on this node. Returns whether there was somebody.
    fn resolve(&self, call: &(Key, UserId), outcome: &Outcome) -> bool {
        let Some(waiting) = self.waiting.lock().remove(call) else { return false };
        for caller in waiting {
            let _ = caller.send(outcome.clone()); // the caller gave up
        }
        true
    }
}

/// Shows a text to the caller only, if the caller has a session here.
fn whisper(room: RoomId, bot: &Identity, text: String, sender: &Sender) {
    if let Some(seat) = &sender.seat {
        let signal = Signal::Whisper { room, user: bot.user.clone(), text };
        seat.push(Class::Answer, &ServerFrame::Signal(&signal), Some(Event::Signal(signal.clone())));
    }
}

fn late(name: &str) -> String {
    format!("/{name} gave no answer in time")
}

//! Connecting, and staying connected for publishing.
//!
//! The driver can recover by itself, but not from everything that happens: a queue that is deleted, an error that
//! closes one channel, a connection that only one side takes for broken. So nothing here is repaired. Whatever goes
//! wrong, the connection is dropped and all is made anew, under fresh names.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    AmqpConfig,
    error::{Failure, ask},
};

/// A broker that was restarted is found again within a second after it answers.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connects to one of the hosts.
pub(crate) struct Dialer {
    config: AmqpConfig,
    purpose: &'static str,
    turn: AtomicUsize,
}

impl Dialer {
    /// Makes a dialer whose connections operators find under this purpose.
    pub(crate) fn new(config: AmqpConfig, purpose: &'static str) -> Self {
        Self { config, purpose, turn: AtomicUsize::new(0) }
    }

    /// Tries each host once, and begins with the next one each time: the last may hang.
    pub(crate) async fn dial(&self) -> Result<Connection, Failure> {
        let mut failure = Failure::Unconnected;
        for place in self.config.places(self.turn.fetch_add(1, Ordering::Relaxed)) {
            let name = format!("chat-engine {} {}", self.config.namespace, self.purpose);
            let properties = ConnectionProperties::default().with_connection_name(name.into());
            match ask(Connection::connect_uri(place, properties)).await {
                Ok(connection) => return Ok(connection),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }
}

/// What lasted so long did not end at once for the same reason as the one before.
const SETTLED: Duration = Duration::from_secs(5);

/// Grows from try to try, up to a second.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) const fn new() -> Self {
        Self(Duration::from_millis(50))
    }

    /// Begins anew after a connection that was of use, since then.
    pub(crate) fn after(&mut self, since: Instant) {
        if since.elapsed() >= SETTLED {
            *self = Self::new();
        }
    }

    pub(crate) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// Prepares a channel for what will be published on it.
pub(crate) type Prepare = Box<dyn Fn(Channel) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync>;

/// Is a connection that only publishes: the broker stops reading from such ones when its memory or disk is short, and
/// that must not hold up what is heard. It is made again, for ever, until this is dropped.
pub(crate) struct Voice {
    line: watch::Receiver<Option<Line>>,
    broken: Arc<Notify>,
    task: AbortHandle,
}

#[derive(Clone)]
struct Line {
    channel: Channel,
    blocked: Option<String>,
}

impl Voice {
    /// Begins to connect.
    pub(crate) fn start(dialer: Dialer, prepare: Prepare) -> Self {
        let (speak, line) = watch::channel(None);
        let broken = Arc::new(Notify::new());
        let task = tokio::spawn(keep(dialer, prepare, speak, broken.clone())).abort_handle();
        Self { line, broken, task }
    }

    /// Returns the channel if it can be used right now.
    pub(crate) fn channel(&self) -> Result<Channel, Failure> {
        let line = self.line.borrow();
        let Line { channel, blocked } = line.as_ref().ok_or(Failure::Unconnected)?;
        match blocked {
            Some(why) => Err(Failure::Blocked(why.clone())),
            None if channel.status().connected() => Ok(channel.clone()),
            None => {
                self.broken.notify_one();
                Err(Failure::Unconnected)
            }
        }
    }

    /// Waits until the channel can be used, and says why it could not if that takes too long.
    pub(crate) async fn channel_by(&self, deadline: Instant) -> Result<Channel, Failure> {
        let mut line = self.line.clone();
        loop {
            line.mark_unchanged();
            let failure = match self.channel() {
                Ok(channel) => return Ok(channel),
                Err(failure) => failure,
            };
            if !matches!(timeout_at(deadline, line.changed()).await, Ok(Ok(()))) {
                return Err(failure);
            }
        }
    }

    /// Ends the connection for good.
    pub(crate) fn close(&self) {
        self.task.abort();
    }

    /// Gives the connection up because of an error on it.
    pub(crate) fn give_up(&self) {
        self.broken.notify_one();
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.close();
    }
}

async fn keep(dialer: Dialer, prepare: Prepare, speak: watch::Sender<Option<Line>>, broken: Arc<Notify>) {
    let mut pause = Pause::new();
    loop {
        match open(&dialer, &prepare).await {
            Ok((connection, channel)) => {
                tracing::debug!(purpose = dialer.purpose, "connected to RabbitMQ");
                let since = Instant::now();
                let _ = broken.notified().now_or_never(); // what was said of the connection before
                speak.send_replace(Some(Line { channel, blocked: None }));
                let why = watch_over(&connection, &speak, &broken).await;
                speak.send_replace(None);
                tracing::warn!(purpose = dialer.purpose, why, "the connection to RabbitMQ is lost; another is made");
                pause.after(since);
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(purpose = dialer.purpose, %error, "RabbitMQ cannot be reached");
            }
            Err(error) => tracing::warn!(purpose = dialer.purpose, %error, "RabbitMQ refuses us"),
        }
        pause.wait().await;
    }
}

async fn open(dialer: &Dialer, prepare: &Prepare) -> Result<(Connection, Channel), Failure> {
    let connection = dialer.dial().await?;
    let channel = ask(connection.create_channel()).await?;
    prepare(channel.clone()).await?;
    Ok((connection, channel))
}

/// Returns when the connection is of no use any more, and why.
async fn watch_over(connection: &Connection, speak: &watch::Sender<Option<Line>>, broken: &Notify) -> String {
    let mut events = connection.events_listener();
    let block = |why: Option<String>| {
        speak.send_modify(|line| {
            if let Some(line) = line {
                line.blocked = why;
            }
        });
    };
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!(why, "RabbitMQ holds back publishers");
                    block(Some(why));
                }
                Some(Event::ConnectionUnblocked) => block(None),
                Some(Event::Error(error)) => return error.to_string(),
                None => return "it was closed".to_owned(),
                Some(_) => {}
            },
            () = broken.notified() => return "a call failed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    #[ignore = "needs RabbitMQ: scripts/test"]
    async fn what_was_said_of_an_old_connection_does_not_end_the_next_one() {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = opened.clone();
        let prepare = move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) }) as _
        };
        let voice = Voice::start(Dialer::new(crate::tests::config(), "is tested"), Box::new(prepare));
        voice.give_up(); // as a call does that failed after its connection was lost
        voice.channel_by(Instant::now() + Duration::from_secs(30)).await.unwrap();
        assert_eq!(opened.load(Ordering::Relaxed), 1);
    }
}

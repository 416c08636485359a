//! Hearing channels, through every outage: connections that only listen, and the task that keeps them.
//!
//! Channels are *sharded*: each lives on the server that has its slot, so that a cluster does not copy every message to
//! all of its servers. The task has one connection to each server with channels that are wanted. When one breaks, or
//! a slot moves, it subscribes again until all is heard, and says that something may have been missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redis::{Pipeline, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{error::Failure, servers::Servers, slots::Address};

/// How often to make sure that the servers are there: a connection whose other end vanished says nothing by itself.
const BEAT: Duration = Duration::from_secs(5);
/// Waits between attempts to subscribe again grow from this …
const RETRY_MIN: Duration = Duration::from_millis(100);
/// … to this, for as long as it takes.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often it is said that something is still not heard: in less than 30 s nobody believes the opposite.
const REMIND_EVERY: Duration = Duration::from_secs(15);
/// Calls waiting for the task. Each caller waits for its answer, so there are as many as callers at most.
const ORDERS_MAX: usize = 16;

/// Is something heard.
pub(crate) enum Sound<'a> {
    /// A message of a channel.
    Message(&'a str, Vec<u8>),
    /// Messages may have been missed: said when that begins, every 15 s while it lasts, and when all is heard again.
    Interrupted,
}

type Heard = Arc<dyn Fn(Sound<'_>) + Send + Sync>;

/// Hears channels until it is dropped.
pub(crate) struct Subscriber {
    orders: mpsc::Sender<Order>,
    task: AbortHandle,
}

/// Is what the task is told to do, and whom to tell when it is done.
struct Order {
    channels: Vec<String>,
    wanted: bool,
    done: oneshot::Sender<Result<(), Failure>>,
}

impl Subscriber {
    /// Begins without a channel. `heard` is called from the connections' own tasks and must not wait.
    pub(crate) fn start(servers: Arc<Servers>, heard: impl Fn(Sound<'_>) + Send + Sync + 'static) -> Self {
        let (orders, given) = mpsc::channel(ORDERS_MAX);
        let (events, happened) = mpsc::unbounded_channel();
        let ears = Ears {
            servers,
            heard: Arc::new(heard),
            events,
            wanted: BTreeSet::new(),
            open: BTreeMap::new(),
            numbers: 0,
            missed: false,
            said: None,
            retry: None,
        };
        Self { orders, task: tokio::spawn(ears.run(given, happened)).abort_handle() }
    }

    /// Hears these channels from now on. An error means that it does so only when the server is back.
    pub(crate) async fn listen(&self, channels: Vec<String>) -> Result<(), Failure> {
        self.order(channels, true).await
    }

    /// Hears these channels no longer.
    pub(crate) async fn ignore(&self, channels: Vec<String>) -> Result<(), Failure> {
        self.order(channels, false).await
    }

    /// Hears nothing any more.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    async fn order(&self, channels: Vec<String>, wanted: bool) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        let gone = || Failure::refused("the subscriber has ended");
        self.orders.send(Order { channels, wanted, done }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Is what a connection says about itself.
enum Event {
    /// The connection with this number broke.
    Gone(u64),
    /// The server ended a subscription.
    Ended(u64, String),
}

/// Is what the task knows.
struct Ears {
    servers: Arc<Servers>,
    heard: Heard,
    // Unbounded, and small: one event per connection and per subscription that ends.
    events: mpsc::UnboundedSender<Event>,
    wanted: BTreeSet<String>,
    open: BTreeMap<Address, Ear>,
    numbers: u64,
    /// Whether messages may have been missed since all was heard.
    missed: bool,
    /// When that was last said.
    said: Option<Instant>,
    /// When to try again, and how long to wait after that.
    retry: Option<(Instant, Duration)>,
}

/// Is a connection that listens.
struct Ear {
    number: u64,
    connection: MultiplexedConnection,
    channels: BTreeSet<String>,
}

impl Ears {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let again = self.retry.map(|(at, _)| at);
            let again =
                async { if let Some(at) = again { sleep_until(at).await } else { std::future::pending().await } };
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.take(event),
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                _ = beat.tick() => self.check().await,
                () = again => drop(self.tune().await),
            }
        }
    }

    async fn obey(&mut self, Order { channels, wanted, done }: Order) {
        let obeyed = if wanted {
            self.wanted.extend(channels);
            self.tune().await
        } else {
            self.forget(&channels).await
        };
        let _ = done.send(obeyed); // whoever asked may be gone
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Gone(number) => {
                let before = self.open.len();
                self.open.retain(|_, ear| ear.number != number);
                if self.open.len() < before {
                    self.miss();
                }
            }
            Event::Ended(number, channel) => {
                let ear = self.open.values_mut().find(|ear| ear.number == number);
                if self.wanted.contains(&channel) && ear.is_some_and(|ear| ear.channels.remove(&channel)) {
                    self.miss();
                }
            }
        }
    }

    /// Notes that something is not heard that should be, and that it is time to change that.
    fn miss(&mut self) {
        self.servers.doubt();
        self.say_missed();
        self.retry.get_or_insert((Instant::now(), RETRY_MIN));
    }

    fn say_missed(&mut self) {
        self.missed = true;
        if self.said.is_none_or(|said| said.elapsed() >= REMIND_EVERY) {
            self.said = Some(Instant::now());
            (self.heard)(Sound::Interrupted);
        }
    }

    /// Subscribes to what is wanted and not heard yet. If that does not succeed, it is tried again later.
    async fn tune(&mut self) -> Result<(), Failure> {
        let tuned = self.try_tune().await.map_err(Failure::of("subscribe"));
        if tuned.is_err() {
            self.say_missed();
            self.servers.doubt();
            let wait = self.retry.map_or(RETRY_MIN, |(_, wait)| wait);
            self.retry = Some((Instant::now() + wait, (wait * 2).min(RETRY_MAX)));
            return tuned;
        }
        (self.retry, self.said) = (None, None);
        if std::mem::take(&mut self.missed) {
            (self.heard)(Sound::Interrupted);
        }
        Ok(())
    }

    /// Goes on with the other servers when one fails, whose error is returned at the end.
    async fn try_tune(&mut self) -> Result<(), RedisError> {
        let mut missing: BTreeMap<Address, Vec<String>> = BTreeMap::new();
        for channel in &self.wanted {
            let owner = self.servers.owner(channel).await?;
            if !self.open.get(&owner).is_some_and(|ear| ear.channels.contains(channel)) {
                missing.entry(owner).or_default().push(channel.clone());
            }
        }
        let mut tuned = Ok(());
        for (server, channels) in missing {
            if let Err(error) = self.subscribe(&server, channels).await {
                self.open.remove(&server);
                tuned = Err(error);
            }
        }
        tuned
    }

    async fn subscribe(&mut self, server: &Address, channels: Vec<String>) -> Result<(), RedisError> {
        if !self.open.contains_key(server) {
            let ear = self.connect(server).await?;
            self.open.insert(server.clone(), ear);
        }
        // A slot that has moved is heard from its new owner only.
        for (_, other) in self.open.iter_mut().filter(|(address, _)| *address != server) {
            for channel in &channels {
                self.missed |= other.channels.remove(channel);
            }
        }
        let Some(ear) = self.open.get_mut(server) else { return Ok(()) };
        let _: Value = each("SSUBSCRIBE", &channels).query_async(&mut ear.connection).await?;
        ear.channels.extend(channels);
        Ok(())
    }

    async fn connect(&mut self, server: &Address) -> Result<Ear, RedisError> {
        self.numbers += 1;
        let (number, heard, events) = (self.numbers, self.heard.clone(), self.events.clone());
        let pushed = move |push: PushInfo| match push.kind {
            PushKind::SMessage => message(&heard, push.data),
            PushKind::Disconnection => _ = events.send(Event::Gone(number)),
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = push.data.into_iter().next() {
                    let channel = String::from_utf8_lossy(&channel).into_owned();
                    let _ = events.send(Event::Ended(number, channel));
                }
            }
            _ => {}
        };
        let connection = self.servers.connect(server, pushed).await?;
        Ok(Ear { number, connection, channels: BTreeSet::new() })
    }

    async fn forget(&mut self, channels: &[String]) -> Result<(), Failure> {
        self.wanted.retain(|channel| !channels.contains(channel));
        let mut forgotten = Ok(());
        for ear in self.open.values_mut() {
            let theirs: Vec<String> =
                channels.iter().filter(|channel| ear.channels.remove(*channel)).cloned().collect();
            if !theirs.is_empty() {
                let left: Result<Value, _> = each("SUNSUBSCRIBE", &theirs).query_async(&mut ear.connection).await;
                forgotten = forgotten.and(left.map(|_| ()).map_err(Failure::of("unsubscribe")));
            }
        }
        forgotten
    }

    /// Makes sure that the connections still are, and that slots are where they were.
    async fn check(&mut self) {
        let mut dead = Vec::new();
        for (server, ear) in &mut self.open {
            let answer: Result<Value, _> = cmd("PING").query_async(&mut ear.connection).await;
            if answer.is_err() {
                dead.push(server.clone());
            }
        }
        for server in dead {
            self.open.remove(&server);
            self.miss();
        }
        self.servers.doubt(); // a slot may have moved
        if !self.wanted.is_empty() && self.retry.is_none() {
            let _ = self.tune().await;
        }
    }
}

fn message(heard: &Heard, data: Vec<Value>) {
    let mut parts = data.into_iter();
    if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) = (parts.next(), parts.next())
        && let Ok(channel) = std::str::from_utf8(&channel)
    {
        heard(Sound::Message(channel, payload));
    }
}

/// Makes one command per channel: in a cluster, one command can only name channels of one slot.
fn each(command: &str, channels: &[String]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(channels.len());
    for channel in channels {
        pipeline.cmd(command).arg(channel);
    }
    pipeline
}

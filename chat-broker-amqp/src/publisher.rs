//! Publishing jobs so that none is lost: confirmed by the broker, and refused if no queue takes them.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chat_core::{
    clock::{Clock, SystemClock},
    queue::QueueName,
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    AmqpConfig,
    connection::{Dialer, Voice},
    error::{Failure, ask},
    letter::Letter,
    names::Names,
};

/// A job that the broker has not confirmed by then may be there or not: whoever pushed it pushes it again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
/// Messages that wait for their confirmation; each costs the driver about a kibibyte beside its body.
const UNCONFIRMED_MAX: usize = 256;

/// Publishes the jobs of one process, over one connection that is made when it is first needed.
pub(crate) struct Publisher {
    pub(crate) names: Names,
    config: AmqpConfig,
    voice: OnceLock<Voice>,
    /// What was made over this connection; another one may find it gone.
    made: Arc<Mutex<BTreeSet<ShortString>>>,
    unconfirmed: Semaphore,
}

/// Says where a message goes, and what is made there if it is not there yet.
struct Route<'a> {
    exchange: ShortString,
    key: ShortString,
    queue: &'a QueueName,
    delay: Option<Duration>,
}

impl Publisher {
    pub(crate) fn new(config: AmqpConfig) -> Self {
        Self {
            names: Names::of(&config),
            config,
            voice: OnceLock::new(),
            made: Arc::default(),
            unconfirmed: Semaphore::new(UNCONFIRMED_MAX),
        }
    }

    /// Puts a job into its queue, and rings for the workers.
    pub(crate) async fn push(&self, queue: &QueueName, letter: &Letter) -> Result<(), Failure> {
        let key = self.names.jobs(queue, letter.job.priority);
        let route = Route { exchange: "".into(), key, queue, delay: None };
        self.publish(route, letter.properties(), &letter.job.body).await?;
        self.ring(queue).await;
        Ok(())
    }

    /// Sends a job away until it is due.
    pub(crate) async fn delay(&self, queue: &QueueName, letter: &Letter, after: Duration) -> Result<(), Failure> {
        if after.is_zero() {
            return self.push(queue, letter).await;
        }
        let key = self.names.jobs(queue, letter.job.priority);
        let route = Route { exchange: self.names.delay(after).0, key, queue, delay: Some(after) };
        self.publish(route, letter.properties(), &letter.job.body).await
    }

    /// Puts a job to the dead letters.
    pub(crate) async fn bury(&self, queue: &QueueName, letter: &Letter, reason: &str) -> Result<(), Failure> {
        tracing::warn!(%queue, reason, attempts = letter.attempts, "a job goes to the dead letters");
        let route = Route { exchange: "".into(), key: self.names.dead(queue), queue, delay: None };
        self.publish(route, letter.buried(reason, SystemClock.now()), &letter.job.body).await
    }

    async fn publish(&self, route: Route<'_>, properties: BasicProperties, body: &[u8]) -> Result<(), Failure> {
        let deadline = Instant::now() + CONFIRM_WITHIN;
        let published = async {
            // Never closed, so there is no error but the deadline.
            let _turn = self.unconfirmed.acquire().await;
            let channel = self.voice().channel_by(deadline).await?;
            let unroutable = self.publish_once(&channel, &route, &properties, body).await?;
            if !unroutable {
                return Ok(());
            }
            // Somebody has deleted the queue since we made it.
            self.made.lock().clear();
            let unroutable = self.publish_once(&channel, &route, &properties, body).await?;
            if unroutable { Err(Failure::Unroutable) } else { Ok(()) }
        };
        let published = timeout_at(deadline, published).await.unwrap_or(Err(Failure::Late));
        if !matches!(published, Ok(()) | Err(Failure::Full | Failure::Unroutable | Failure::Blocked(_))) {
            self.voice().give_up();
        }
        published
    }

    /// Publishes, and returns whether the message came back because no queue takes it.
    async fn publish_once(
        &self,
        channel: &Channel,
        route: &Route<'_>,
        properties: &BasicProperties,
        body: &[u8],
    ) -> Result<bool, Failure> {
        self.make(channel, route).await?;
        let must_arrive = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (route.exchange.clone(), route.key.clone());
        let sent = channel.basic_publish(exchange, key, must_arrive, body, properties.clone()).await?;
        match sent.await? {
            Confirmation::Ack(returned) => Ok(returned.is_some()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(Failure::Full),
        }
    }

    /// Makes what a message needs on its way, if it was not made over this connection.
    async fn make(&self, channel: &Channel, route: &Route<'_>) -> Result<(), Failure> {
        let jobs = ShortString::from(route.queue.as_str());
        if !self.made.lock().contains(&jobs) {
            self.names.declare_jobs(channel, route.queue).await?;
            self.made.lock().insert(jobs);
        }
        if let Some(after) = route.delay
            && !self.made.lock().contains(&route.exchange)
        {
            let delay = self.names.declare_delay(channel, after).await?;
            self.made.lock().insert(delay);
        }
        Ok(())
    }

    /// Tells the workers that there may be a job. If that gets lost, they look by themselves a little later.
    async fn ring(&self, queue: &QueueName) {
        let Ok(channel) = self.voice().channel() else { return };
        let (bells, key) = (self.names.bells(), ShortString::from(queue.as_str()));
        let ring = channel.basic_publish(bells, key, BasicPublishOptions::default(), &[], BasicProperties::default());
        // The confirmation is awaited because the driver would keep it otherwise.
        if let Ok(sent) = ask(ring).await {
            let _ = ask(sent).await;
        }
    }

    fn voice(&self) -> &Voice {
        self.voice.get_or_init(|| {
            let (names, made) = (self.names.clone(), self.made.clone());
            let prepare = move |channel: Channel| {
                let (names, made) = (names.clone(), made.clone());
                Box::pin(async move {
                    made.lock().clear();
                    names.declare_bells(&channel).await?;
                    ask(channel.confirm_select(ConfirmSelectOptions::default())).await
                }) as _
            };
            Voice::start(Dialer::new(self.config.clone(), "pushes"), Box::new(prepare))
        })
    }
}

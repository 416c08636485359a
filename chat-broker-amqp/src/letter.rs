//! How a job travels in a message.
//!
//! The body is the job's own; what else is to be known stands in headers. Anybody with access to the broker may have
//! written them: what is not as expected counts as not there.

use std::fmt;

use chat_core::{
    model::Timestamp,
    queue::{DeadId, DeadLetter, Job, Priority},
};
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use uuid::Uuid;

/// The longest reason that is kept.
const REASON_BYTES_MAX: usize = 1_000;
const PERSISTENT: u8 = 2;

/// How often a job was delivered, by what we know.
const ATTEMPTS: &str = "chat-attempts";
const EXPIRES: &str = "chat-expires";
/// Before this a job that was sent away is not to be delivered.
const DUE: &str = "chat-due";
const PRIORITY: &str = "chat-priority";
const REASON: &str = "chat-reason";
const DIED: &str = "chat-died";
/// How often a message came back without an answer: quorum queues count it.
const GIVEN_BACK: &str = "x-delivery-count";

/// Is a job on its way.
#[derive(Clone)]
pub(crate) struct Letter {
    pub(crate) job: Job,
    /// How often it was delivered and came back.
    pub(crate) attempts: u32,
    pub(crate) due: Option<Timestamp>,
}

impl Letter {
    pub(crate) fn new(job: Job) -> Self {
        Self { job, attempts: 0, due: None }
    }

    /// Reads a message, and takes its body out of it.
    pub(crate) fn read(message: &mut Delivery) -> Self {
        let body = std::mem::take(&mut message.data);
        let headers = Headers(message.properties.headers().as_ref());
        let mut job = Job::new(body);
        job.expires = headers.number(EXPIRES).map(Timestamp);
        if headers.text(PRIORITY).as_deref() == Some("high") {
            job.priority = Priority::High;
        }
        let count = |name| u32::try_from(headers.number(name).unwrap_or_default().max(0)).unwrap_or(u32::MAX);
        let attempts = count(ATTEMPTS).saturating_add(count(GIVEN_BACK));
        Self { job, attempts, due: headers.number(DUE).map(Timestamp) }
    }

    pub(crate) fn properties(&self) -> BasicProperties {
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(self.headers())
    }

    /// Returns the properties of a letter that nobody will deliver.
    pub(crate) fn buried(&self, reason: &str, now: Timestamp) -> BasicProperties {
        let mut headers = self.headers();
        let end = reason.floor_char_boundary(REASON_BYTES_MAX.min(reason.len()));
        headers.insert(REASON.into(), AMQPValue::LongString(reason[..end].into()));
        headers.insert(DIED.into(), AMQPValue::LongLongInt(now.0));
        let id = Uuid::now_v7().to_string(); // rises with time
        BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(id.into()).with_headers(headers)
    }

    fn headers(&self) -> FieldTable {
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(self.attempts.into()));
        if self.job.priority == Priority::High {
            headers.insert(PRIORITY.into(), AMQPValue::LongString("high".into()));
        }
        for (name, time) in [(EXPIRES, self.job.expires), (DUE, self.due)] {
            if let Some(Timestamp(ms)) = time {
                headers.insert(name.into(), AMQPValue::LongLongInt(ms));
            }
        }
        headers
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// Reads what is known of a dead letter; `None` if we did not write it.
pub(crate) fn dead(message: &Delivery) -> Option<DeadLetter> {
    let id = DeadId::new(message.properties.message_id().as_ref()?.as_str());
    let headers = Headers(message.properties.headers().as_ref());
    let reason = headers.text(REASON)?;
    let attempts = u32::try_from(headers.number(ATTEMPTS)?).ok()?;
    Some(DeadLetter::new(id, reason, attempts, Timestamp(headers.number(DIED)?)))
}

struct Headers<'a>(Option<&'a FieldTable>);

impl Headers<'_> {
    fn number(&self, name: &str) -> Option<i64> {
        match self.0?.inner().get(name)? {
            AMQPValue::ShortShortInt(number) => Some((*number).into()),
            AMQPValue::ShortShortUInt(number) => Some((*number).into()),
            AMQPValue::ShortInt(number) => Some((*number).into()),
            AMQPValue::ShortUInt(number) => Some((*number).into()),
            AMQPValue::LongInt(number) => Some((*number).into()),
            AMQPValue::LongUInt(number) => Some((*number).into()),
            AMQPValue::LongLongInt(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.0?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            _ => None,
        }
    }
}

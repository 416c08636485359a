//! Hints to and from other nodes.
//!
//! The queue to the broker is bounded and drops its oldest: a hint that is lost costs time, never data.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::join, stream::BoxStream};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    Inner,
    hint::{Answered, Hint, Hints, Sealer},
};
use crate::{
    broker::{BrokerError, BrokerErrorKind, Heard, Link, Topic},
    fanout::{Chained, LiveRoom, Standing},
    model::{Entry, EntryId, NodeId, RoomId, Seq},
    protocol::Signal,
};

/// Hints waiting for a broker that hangs: at about 1 KiB each a few MiB.
const QUEUE_MAX: usize = 4_096;
/// Entries up to this size together travel in the hint; larger ones are read from the log.
const BODIES_BYTES_MAX: usize = 8 * 1024;
/// A broker that does not take a publication in this time loses it.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);
/// A broker that hangs is told again what to listen to, so that topics that begin later need not wait for it longer.
const TUNE_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait before it is told again.
const TUNE_AGAIN: Duration = Duration::from_secs(5);
/// Heads are polled faster for this long after the broker was interrupted.
const TROUBLE: Duration = Duration::from_secs(30);

/// Is this node's way to the others; without a broker it does nothing.
pub(super) struct Relay {
    node: NodeId,
    sealer: Sealer,
    link: Option<Arc<dyn Link>>,
    queue: Mutex<VecDeque<(RoomId, Hint)>>,
    topics: Mutex<Topics>,
    /// Something is to be published.
    gathered: Notify,
    /// Something is to be listened to, or no longer.
    turned: Notify,
    trouble_until: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Topics {
    /// How many live rooms each topic has.
    rooms: BTreeMap<Topic, usize>,
    /// Topics to begin or end hearing; of several changes of one topic the last counts.
    changes: BTreeMap<Topic, bool>,
}

impl Relay {
    pub(super) fn new(node: NodeId, link: Option<Arc<dyn Link>>, sealer: Sealer) -> Self {
        Self {
            node,
            sealer,
            link,
            queue: Mutex::default(),
            topics: Mutex::default(),
            gathered: Notify::new(),
            turned: Notify::new(),
            trouble_until: Mutex::default(),
        }
    }

    /// Tells other nodes that entries were stored. `before` is the id of the entry before the first.
    pub(super) fn announce(&self, room: RoomId, before: Option<EntryId>, entries: &[Arc<Entry>]) {
        if self.link.is_none() {
            return;
        }
        let Some((first, last)) = entries.first().zip(entries.last()) else { return };
        let bodies = if self.sealer.can_seal() { fitting(entries) } else { Vec::new() };
        self.push(room, Hint::Stored { room, first: first.seq, last: last.seq, before, entries: bodies });
    }

    /// Passes a signal on to the followers on other nodes.
    pub(super) fn signal(&self, room: RoomId, signal: &Signal) {
        if self.link.is_some()
            && let Some(hint) = Hint::signal(room, signal)
        {
            self.push(room, hint);
        }
    }

    /// Tells the node where a command's caller waits that a worker has answered. It may get lost: then the caller
    /// learns it at the deadline.
    pub(super) fn answered(&self, room: RoomId, answered: Answered) {
        if self.link.is_some() {
            self.push(room, Hint::Answered { room, answered });
        }
    }

    /// Notes that a room begins or ceases to be live here.
    pub(super) fn watch(&self, room: RoomId, live: bool) {
        if self.link.is_none() {
            return;
        }
        let topic = Topic::of(room);
        let mut topics = self.topics.lock();
        let count = topics.rooms.entry(topic).or_default();
        *count = if live { *count + 1 } else { count.saturating_sub(1) };
        let changed = *count == usize::from(live);
        if *count == 0 {
            topics.rooms.remove(&topic);
        }
        if changed {
            topics.changes.insert(topic, live);
            self.turned.notify_one();
        }
    }

    /// Tells whether hints may have been lost of late, so that heads are to be polled more often.
    pub(super) fn in_trouble(&self) -> bool {
        self.trouble_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn note_trouble(&self) {
        *self.trouble_until.lock() = Some(Instant::now() + TROUBLE);
    }

    pub(super) async fn close(&self) {
        if let Some(link) = &self.link {
            link.close().await;
        }
    }

    fn push(&self, room: RoomId, hint: Hint) {
        let mut queue = self.queue.lock();
        if queue.len() == QUEUE_MAX {
            queue.pop_front();
            metrics::counter!("chat_hints_dropped_total").increment(1);
        }
        queue.push_back((room, hint));
        drop(queue);
        self.gathered.notify_one();
    }

    /// Publishes what has gathered, one payload a topic.
    async fn publish(&self, link: &Arc<dyn Link>) {
        let gathered = std::mem::take(&mut *self.queue.lock());
        let mut topics: BTreeMap<Topic, Vec<Hint>> = BTreeMap::new();
        for (room, hint) in gathered {
            topics.entry(Topic::of(room)).or_default().push(hint);
        }
        let batch: Vec<(Topic, Bytes)> = topics
            .into_iter()
            .flat_map(|(topic, hints)| self.sealer.seal(self.node, hints).into_iter().map(move |bytes| (topic, bytes)))
            .collect();
        if batch.is_empty() {
            return;
        }
        match timeout(PUBLISH_WITHIN, link.publish(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => lost(&error),
            Err(late) => lost(&late),
        }
    }

    /// Listens and ignores as rooms begin and cease; what fails is kept for the next time. Returns whether something new
    /// is heard.
    async fn retune(&self, link: &dyn Link) -> Result<bool, BrokerError> {
        let changes = std::mem::take(&mut self.topics.lock().changes);
        let topics = |live| changes.iter().filter(move |(_, wanted)| **wanted == live).map(|(topic, _)| *topic);
        let (begin, end): (Vec<_>, Vec<_>) = (topics(true).collect(), topics(false).collect());
        let listen = async { if begin.is_empty() { Ok(()) } else { link.listen(&begin).await } };
        let ignore = async { if end.is_empty() { Ok(()) } else { link.ignore(&end).await } };
        let tuned = match timeout(TUNE_WITHIN, join(listen, ignore)).await {
            Ok((listening, ignoring)) => listening.and(ignoring),
            Err(late) => Err(BrokerError::new(BrokerErrorKind::Unavailable, "the broker hangs").with_source(late)),
        };
        if tuned.is_err() {
            let mut topics = self.topics.lock();
            for (topic, live) in changes {
                topics.changes.entry(topic).or_insert(live); // if it has not changed again
            }
        }
        tuned.map(|()| !begin.is_empty())
    }
}

fn lost(error: &dyn fmt::Display) {
    metrics::counter!("chat_hints_lost_total").increment(1);
    tracing::debug!(%error, "hints were not published; other nodes find them in the log");
}

fn fitting(entries: &[Arc<Entry>]) -> Vec<Arc<Entry>> {
    // An estimate is enough: it only decides whether other nodes read the log.
    let size: usize = entries.iter().map(|entry| 256 + entry.body.text().map_or(256, str::len)).sum();
    if size <= BODIES_BYTES_MAX { entries.to_vec() } else { Vec::new() }
}

/// Publishes what gathers; ends when it is aborted with the engine.
pub(super) async fn speak(engine: Arc<Inner>, link: Arc<dyn Link>) {
    loop {
        engine.relay.gathered.notified().await;
        engine.relay.publish(&link).await;
    }
}

/// Listens to what is live here; ends when it is aborted with the engine. Apart from who speaks: a broker may hang in one
/// of the two alone.
pub(super) async fn tune(engine: Arc<Inner>, link: Arc<dyn Link>) {
    let relay = &engine.relay;
    relay.turned.notified().await;
    loop {
        match relay.retune(&*link).await {
            Ok(hears_more) => {
                if hears_more {
                    engine.poll_now.notify_one(); // for what was stored before we heard
                }
                relay.turned.notified().await;
            }
            Err(error) => {
                tracing::warn!(%error, "topics are not heard; heads are polled");
                relay.note_trouble();
                engine.poll_now.notify_one();
                let _ = timeout(TUNE_AGAIN, relay.turned.notified()).await;
            }
        }
    }
}

/// Hears the others; ends with the stream, after the link was closed.
pub(super) async fn hear(engine: Arc<Inner>, mut heard: BoxStream<'static, Heard>) {
    while let Some(item) = heard.next().await {
        match item {
            Heard::Payload { bytes, .. } => engine.take_hints(&bytes).await,
            Heard::Interrupted => {
                metrics::counter!("chat_broker_interruptions_total").increment(1);
                engine.relay.note_trouble();
                engine.poll_now.notify_one();
            }
        }
    }
}

impl Inner {
    async fn take_hints(self: &Arc<Self>, payload: &[u8]) {
        let Some(Hints { node, sealed, list }) = self.relay.sealer.open(payload) else {
            metrics::counter!("chat_hints_unreadable_total").increment(1);
            return;
        };
        if node == self.node {
            return;
        }
        for hint in list {
            match hint {
                Hint::Stored { room, last, before, entries, .. } => {
                    let Some(live) = self.rooms.get(room) else { continue };
                    let believed = sealed && !entries.is_empty();
                    let standing = if believed {
                        live.deliver_chained(Chained { before, entries }).await
                    } else {
                        Standing::Behind
                    };
                    if standing == Standing::Behind && live.reached().await.is_some_and(|reached| reached < last) {
                        if believed { self.wait_then_repair(live, last) } else { self.look(live, last).await }
                    }
                }
                Hint::Answered { answered, .. } if sealed => self.answered_elsewhere(answered),
                Hint::Answered { .. } => {}
                Hint::Signal { room, signal } => {
                    if let (true, Some(live)) = (sealed || !self.relay.sealer.can_seal(), self.rooms.get(room)) {
                        live.signal(&signal, None).await;
                    }
                }
            }
        }
    }

    /// Reads the log, which may go up to `last`. If it does not, the next look is after a moment: a flood of lies must not
    /// become a flood of reads. What is announced meanwhile is found by that look.
    async fn look(self: &Arc<Self>, live: Arc<LiveRoom>, last: Seq) {
        if live.is_doubted() {
            return;
        }
        self.repair_or_log(&live).await;
        if live.reached().await.is_some_and(|reached| reached < last) && !live.doubt(true) {
            let engine = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(engine.limits.reorder_wait).await;
                live.doubt(false);
                engine.repair_or_log(&live).await;
            });
        }
    }

    /// Reads the log up to `last` unless hints close the gap in the time in which they usually do.
    fn wait_then_repair(self: &Arc<Self>, live: Arc<LiveRoom>, last: Seq) {
        let engine = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(engine.limits.reorder_wait).await;
            if live.reached().await.is_some_and(|reached| reached < last) {
                engine.repair_or_log(&live).await;
            }
        });
    }
}

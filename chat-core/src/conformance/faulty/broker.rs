//! A broker that does to hints whatever a broker may.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::Chance;
use crate::{
    broker::{Attached, Broker, BrokerError, BrokerErrorKind, Heard, Link, Topic},
    model::NodeId,
};

/// Payloads that overtake a delayed one at most.
const REORDER_MAX: usize = 50;

/// Says how often what goes wrong, in percent of all payloads that one node would hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerOdds {
    /// A payload is lost, without a word.
    pub dropped: u8,
    /// A payload comes twice.
    pub doubled: u8,
    /// A payload comes later, after up to 50 that were published after it.
    pub delayed: u8,
    /// The longest such delay.
    pub delay_max: Duration,
    /// The node is cut off; publishing fails too. At the end it is told that it was interrupted.
    pub cut: u8,
    /// The longest cut.
    pub cut_max: Duration,
}

impl BrokerOdds {
    /// Loses, doubles and delays a tenth each, by up to 2 s.
    pub fn bad() -> Self {
        Self { dropped: 10, doubled: 10, delayed: 10, delay_max: Duration::from_secs(2), ..Self::default() }
    }

    /// Loses everything without a word.
    pub fn deaf() -> Self {
        Self { dropped: 100, ..Self::default() }
    }

    /// Sets how many payloads are lost, doubled, delayed, and by how much.
    #[must_use]
    pub fn losing(mut self, dropped: u8, doubled: u8, delayed: u8, delay_max: Duration) -> Self {
        (self.dropped, self.doubled, self.delayed, self.delay_max) = (dropped, doubled, delayed, delay_max);
        self
    }

    /// Sets how many payloads begin a cut, and how long it lasts.
    #[must_use]
    pub fn cutting(mut self, cut: u8, cut_max: Duration) -> Self {
        (self.cut, self.cut_max) = (cut, cut_max);
        self
    }
}

/// Is a broker that goes wrong by chance, for each node on its own.
#[derive(Clone)]
pub struct FaultyBroker(Arc<Shared>);

struct Shared {
    inner: Arc<dyn Broker>,
    chance: Chance,
    odds: Mutex<BrokerOdds>,
}

impl FaultyBroker {
    /// Puts faults by these odds before a broker.
    pub fn new(inner: Arc<dyn Broker>, chance: Chance, odds: BrokerOdds) -> Self {
        Self(Arc::new(Shared { inner, chance, odds: Mutex::new(odds) }))
    }

    /// Sets other odds from now on; the default ones heal.
    pub fn set(&self, odds: BrokerOdds) {
        *self.0.odds.lock() = odds;
    }
}

impl fmt::Debug for FaultyBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyBroker").field("odds", &*self.0.odds.lock()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn attach(&self, node: NodeId) -> Result<Attached, BrokerError> {
        let Attached { link, heard } = self.0.inner.attach(node).await?;
        let cut = Arc::new(Cut::default());
        let ear = Ear {
            shared: self.0.clone(),
            chance: self.0.chance.fork(),
            cut: cut.clone(),
            heard: Some(heard),
            held: VecDeque::new(),
            count: 0,
        };
        let heard = stream::unfold(ear, |mut ear| async move { ear.next().await.map(|heard| (heard, ear)) });
        Ok(Attached { link: Arc::new(FaultyLink { link, cut }), heard: heard.boxed() })
    }
}

/// Says until when a node is cut off.
#[derive(Default)]
struct Cut(Mutex<Option<Instant>>);

impl Cut {
    fn until(&self) -> Option<Instant> {
        *self.0.lock()
    }
}

struct FaultyLink {
    link: Arc<dyn Link>,
    cut: Arc<Cut>,
}

#[async_trait]
impl Link for FaultyLink {
    async fn listen(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.link.listen(topics).await
    }

    async fn ignore(&self, topics: &[Topic]) -> Result<(), BrokerError> {
        self.link.ignore(topics).await
    }

    async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), BrokerError> {
        if self.cut.until().is_some() {
            return Err(BrokerError::new(BrokerErrorKind::Unavailable, "a fault cut the node off"));
        }
        self.link.publish(batch).await
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

/// Is what one node hears, with what was done to it.
struct Ear {
    shared: Arc<Shared>,
    chance: Chance,
    cut: Arc<Cut>,
    /// `None` once it has ended.
    heard: Option<BoxStream<'static, Heard>>,
    /// What was heard and is not due yet, in the order it came.
    held: VecDeque<Held>,
    /// How many payloads were heard.
    count: usize,
}

struct Held {
    due: Instant,
    number: usize,
    heard: Heard,
}

impl Ear {
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.due() {
                return Some(heard);
            }
            let Some(heard) = &mut self.heard else { return None }; // a closed link keeps nothing for later
            let cut = self.cut.until();
            let wake = self.held.iter().map(|held| held.due).chain(cut).min();
            tokio::select! {
                biased;
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                    if cut.is_some_and(|until| until <= Instant::now()) {
                        *self.cut.0.lock() = None;
                        return Some(Heard::Interrupted);
                    }
                }
                heard = heard.next() => match heard {
                    Some(_) if cut.is_some() => {}
                    Some(heard) => self.hold(&heard),
                    None => self.heard = None,
                },
            }
        }
    }

    /// Takes what is due: what many others have overtaken, or whose time has come.
    fn due(&mut self) -> Option<Heard> {
        let now = Instant::now();
        let overtaken = |held: &Held| self.count - held.number > REORDER_MAX;
        let at = self.held.iter().position(|held| held.due <= now || overtaken(held))?;
        self.held.remove(at).map(|held| held.heard)
    }

    fn hold(&mut self, heard: &Heard) {
        let odds = *self.shared.odds.lock();
        let now = Instant::now();
        if self.chance.percent(odds.cut) {
            *self.cut.0.lock() = Some(now + self.chance.time(odds.cut_max));
            self.held.clear();
            return;
        }
        if self.chance.percent(odds.dropped) {
            return;
        }
        self.count += 1;
        let copies = if self.chance.percent(odds.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let late =
                if self.chance.percent(odds.delayed) { self.chance.time(odds.delay_max) } else { Duration::ZERO };
            self.held.push_back(Held { due: now + late, number: self.count, heard: heard.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::memory::MemoryBroker;

    fn topic() -> Topic {
        Topic::new(1).unwrap()
    }

    /// Publishes so many numbers and returns what another node hears of them.
    async fn heard(odds: BrokerOdds, count: u16) -> Vec<Heard> {
        let broker = FaultyBroker::new(Arc::new(MemoryBroker::new()), Chance::new(1), odds);
        let [speaker, listener] = [1, 2].map(|node| broker.attach(NodeId::random([node; 16])));
        let (speaker, listener) = (speaker.await.unwrap(), listener.await.unwrap());
        listener.link.listen(&[topic()]).await.unwrap();
        for number in 0..count {
            let bytes = Bytes::copy_from_slice(&number.to_be_bytes());
            speaker.link.publish(&[(topic(), bytes)]).await.unwrap();
        }
        let end = tokio::time::sleep(Duration::from_mins(1));
        listener.heard.take_until(end).collect().await
    }

    fn numbers(heard: &[Heard]) -> Vec<u16> {
        let number = |heard: &Heard| match heard {
            Heard::Payload { bytes, .. } => Some(u16::from_be_bytes([bytes[0], bytes[1]])),
            Heard::Interrupted => None,
        };
        heard.iter().filter_map(number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_odds_everything_passes_in_order() {
        assert!(numbers(&heard(BrokerOdds::default(), 1_000).await).into_iter().eq(0..1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenth_is_lost_doubled_and_delayed_by_fifty_places_at_most() {
        let heard = numbers(&heard(BrokerOdds::bad(), 1_000).await);
        let distinct: std::collections::BTreeSet<_> = heard.iter().collect();
        assert!((850..950).contains(&distinct.len()), "{} were heard", distinct.len());
        assert!((50..150).contains(&(heard.len() - distinct.len())), "some came twice");
        assert!(!heard.is_sorted(), "some came late");
        let overtaken = |at: usize| heard[..at].iter().filter(|earlier| **earlier > heard[at]).count();
        assert!((0..heard.len()).all(|at| overtaken(at) <= 2 * (REORDER_MAX + 1))); // each may have come twice
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_ends_with_a_word_of_it() {
        let heard = heard(BrokerOdds::default().cutting(100, Duration::from_secs(5)), 10).await;
        assert_eq!(heard, [Heard::Interrupted]);
    }
}

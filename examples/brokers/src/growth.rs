//! Nodes are added, and people with them: what each node has to do.
//!
//! Each node has 32 rooms, which people on it and on the next node are in. From each of its rooms comes a hint 20 times a
//! second, published in one batch.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chat_core::broker::{Attached, Heard, Link, Topic};
use futures::StreamExt;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    Outcome,
    cost::{Meter, Spent},
    place::{HINT_BYTES, Place},
};

const NODES: [u8; 4] = [1, 2, 4, 8];
const ROOMS: u16 = 32;
const EVERY: Duration = Duration::from_millis(50);
/// Until all are joined and no buffer has to grow.
const WARM: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(3);

/// Is what a cluster of some size did, per second.
pub(crate) struct Step {
    nodes: u8,
    heard: f64,
    spent: Spent,
}

impl Step {
    /// Returns a point of the plot: the nodes, and the KB that come in at each every second.
    pub(crate) fn point(&self) -> (f64, f64) {
        (self.nodes.into(), self.each(self.spent.bytes_in) / 1e3)
    }

    fn each(&self, all: f64) -> f64 {
        all / f64::from(self.nodes)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heard, (nodes, kb)) = (self.each(self.heard), self.point());
        let (ours, servers) = (self.each(self.spent.ours) * 1e3, self.spent.servers * 1e3);
        write!(f, "{nodes} | {heard:.0} | {kb:.0} | {ours:.1} | {servers:.1}")
    }
}

/// Measures clusters of each size, one after the other.
pub(crate) async fn measure(place: &Place) -> Outcome<Vec<Step>> {
    let mut steps = Vec::new();
    for nodes in NODES {
        steps.push(step(place, nodes).await?);
    }
    Ok(steps)
}

async fn step(place: &Place, nodes: u8) -> Outcome<Step> {
    let (heard, mut tasks, mut links) = (Arc::new(AtomicU32::new(0)), JoinSet::new(), Vec::new());
    for node in 0..nodes {
        let (own, next) = (rooms(node), rooms((node + 1) % nodes));
        let theirs: Vec<_> = own.iter().chain(next.iter().filter(|topic| !own.contains(topic))).copied().collect();
        let Attached { link, heard: stream } = place.node(node + 1, &theirs).await?;
        let heard = heard.clone();
        tasks.spawn(stream.for_each(move |item| {
            heard.fetch_add(u32::from(matches!(item, Heard::Payload { .. })), Ordering::Relaxed);
            std::future::ready(())
        }));
        tasks.spawn(speak(link.clone(), own));
        links.push(link);
    }
    sleep(WARM).await;
    let (meter, before) = (Meter::start(place), heard.load(Ordering::Relaxed));
    sleep(LASTS).await;
    let spent = meter.per_second();
    let heard = f64::from(heard.load(Ordering::Relaxed) - before) / meter.elapsed().as_secs_f64();
    for link in links {
        link.close().await;
    }
    tasks.shutdown().await;
    Ok(Step { nodes, heard, spent })
}

fn rooms(node: u8) -> Vec<Topic> {
    let first = u16::from(node) * ROOMS;
    (first..first + ROOMS).filter_map(Topic::new).collect()
}

async fn speak(link: Arc<dyn Link>, rooms: Vec<Topic>) {
    let hints: Vec<_> = rooms.into_iter().map(|topic| (topic, Bytes::from(vec![0; HINT_BYTES]))).collect();
    let mut turn = interval(EVERY);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let _ = link.publish(&hints).await; // what is not heard is seen in the table
    }
}

//! Two nodes: how long a hint is on its way, and what it costs.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chat_core::broker::{Attached, Heard, Topic};
use futures::StreamExt;
use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    Outcome,
    cost::Meter,
    place::{HINT_BYTES, Place},
};

const LASTS: Duration = Duration::from_secs(3);
/// Between two hints whose way is measured: no broker is busy with the one before.
const PAUSE: Duration = Duration::from_millis(5);
/// Hints on their way at once, when as many are sent as arrive.
const ON_THE_WAY: u32 = 1_024;
/// A hint that takes longer is lost.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// Is how long hints were on their way, sorted.
pub(crate) struct Hop(Vec<Duration>);

/// Is what a stream of hints cost.
pub(crate) struct Stream {
    per_second: f64,
    /// Of one hint, in µs: in this process, which is both nodes, and in the server.
    ours: f64,
    servers: f64,
}

async fn pair(place: &Place) -> Outcome<(Attached, Attached, Topic)> {
    let topic = Topic::new(7).ok_or("a topic")?;
    Ok((place.node(1, &[]).await?, place.node(2, &[topic]).await?, topic))
}

/// Measures from the call of `publish` at one node until the other has it.
pub(crate) async fn hop(place: &Place) -> Outcome<Hop> {
    let (speaker, mut listener, topic) = pair(place).await?;
    let (began, mut hops) = (Instant::now(), Vec::new());
    while began.elapsed() < LASTS {
        sleep(PAUSE).await;
        let sent = Instant::now();
        speaker.link.publish(&[(topic, Bytes::from(vec![0; HINT_BYTES]))]).await?;
        next(&mut listener).await?;
        hops.push(sent.elapsed());
    }
    close([speaker, listener]).await;
    hops.sort_unstable();
    Ok(Hop(hops))
}

/// Publishes `batch` hints at a time, as fast as they arrive.
pub(crate) async fn stream(place: &Place, batch: u32) -> Outcome<Stream> {
    let (speaker, mut listener, topic) = pair(place).await?;
    let hints: Vec<_> = (0..batch).map(|_| (topic, Bytes::from(vec![0; HINT_BYTES]))).collect();
    let free = Arc::new(Semaphore::new(usize::try_from(ON_THE_WAY)?));
    let (turns, link) = (free.clone(), speaker.link.clone());
    let speaking = tokio::spawn(async move {
        // Ends with an error when the link is closed.
        while let Ok(turn) = turns.acquire_many(batch).await {
            turn.forget();
            if link.publish(&hints).await.is_err() {
                break;
            }
        }
    });
    let (meter, mut heard) = (Meter::start(place), 0_u32);
    while meter.elapsed() < LASTS {
        next(&mut listener).await?;
        free.add_permits(1);
        heard += 1;
    }
    let per_second = f64::from(heard) / meter.elapsed().as_secs_f64();
    let spent = meter.per_second();
    speaking.abort();
    close([speaker, listener]).await;
    Ok(Stream { per_second, ours: spent.ours / per_second * 1e6, servers: spent.servers / per_second * 1e6 })
}

async fn next(listener: &mut Attached) -> Outcome<()> {
    loop {
        match timeout(LOST_AFTER, listener.heard.next()).await? {
            Some(Heard::Payload { .. }) => return Ok(()),
            Some(_) => {}
            None => return Err("the broker has ended the stream".into()),
        }
    }
}

pub(crate) async fn close(nodes: impl IntoIterator<Item = Attached>) {
    for node in nodes {
        node.link.close().await;
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |percent: usize| self.0.get(self.0.len() * percent / 100).map_or(f64::NAN, Duration::as_secs_f64);
        write!(f, "{:.2}, {:.2}", at(50) * 1e3, at(99) * 1e3)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} | {:.1} + {:.1}", self.per_second, self.ours, self.servers)
    }
}

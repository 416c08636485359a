//! The scenario `storm`: a node dies with all who sit there, and the others have them all at once.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Failure, faults::Breaker, server::Server};
use crate::history::{Event, Sample};

/// Who is not back after this never comes.
const BACK_WITHIN: Duration = Duration::from_mins(1);
/// How often is looked who is back, and how often what the nodes need for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const MEASURE_EVERY: Duration = Duration::from_millis(250);
const SESSIONS: &str = "chat_sessions";

impl Breaker<'_> {
    /// Kills the node with the most sessions, and measures until all who sat there have heard what was said since.
    pub(super) async fn storm(&mut self, start: u64) -> Result<(), Failure> {
        let (victim, held) = self.fullest().await?;
        let steady = memory(self.cluster.nodes.iter())?;
        let reads = self.store.reads()?;
        let idlers = self.idlers.as_mut().ok_or("nobody sits there: --idle 10000, say")?;
        let opened = idlers.opened();
        self.cluster.nodes[victim].kill()?;
        let killed = Instant::now();
        let others: Vec<_> = self.cluster.nodes.iter().enumerate().filter(|(at, _)| *at != victim).collect();
        idlers.lead(&others.iter().map(|(_, node)| node.address).collect::<Vec<_>>())?;
        let cry = idlers.cry().await?;

        // Those who sit elsewhere hear it first.
        let mut back = idlers.count.saturating_sub(held);
        let (mut peak, mut measured) = (0, killed);
        while back < idlers.count && killed.elapsed() < BACK_WITHIN {
            let heard = idlers.heard(&cry);
            let took = killed.elapsed().as_micros().try_into()?;
            (back..heard).for_each(|_| self.recorder.add(sample("back_us", took)));
            back = heard.max(back);
            if measured.elapsed() > MEASURE_EVERY {
                (peak, measured) = (peak.max(memory(others.iter().map(|(_, node)| *node))?), Instant::now());
            }
            sleep(LOOK_EVERY).await;
        }
        peak = peak.max(memory(others.iter().map(|(_, node)| *node))?);
        let slots = killed.elapsed().as_millis().div_ceil(MEASURE_EVERY.as_millis());
        idlers.settle(&cry, Duration::ZERO).await;
        let meant = (idlers.halls() + self.rooms) * others.len() as u64 * u64::try_from(slots)?;
        // Whoever connects looks into its own inbox, whether its login was revoked.
        let own = idlers.opened() - opened;
        for (what, value) in [("steady_kib", steady), ("peak_kib", peak), ("reads_meant", meant), ("reads_own", own)] {
            self.recorder.add(sample(what, value));
        }
        if let (Some(before), Some(after)) = (reads, self.store.reads()?) {
            self.recorder.add(sample("reads", after.saturating_sub(before)));
        }
        self.recorder.fault("storm", &self.cluster.nodes[victim].name, start);
        self.restart(victim).await
    }

    /// Finds the node with the most sessions, and returns how many it has.
    async fn fullest(&self) -> Result<(usize, u64), Failure> {
        let mut sessions = Vec::new();
        for node in 0..self.cluster.nodes.len() {
            sessions.push((node, self.cluster.metric(node, SESSIONS).await?));
        }
        Ok(sessions.into_iter().max_by_key(|(_, held)| *held).ok_or("no node")?)
    }
}

fn sample(what: &str, value: u64) -> Event {
    Event::Sample(Sample { what: what.into(), value })
}

fn memory<'a>(nodes: impl Iterator<Item = &'a Server>) -> Result<u64, Failure> {
    nodes.map(Server::memory_kib).sum()
}

//! Ending a node's work in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::Inner;
use crate::{
    clock,
    protocol::{Close, CloseCode},
};

/// Counts what was taken and not yet answered: drafts, and requests that wait at their session's desk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    open: AtomicUsize,
    idle: Notify,
}

/// Is one of them; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Taken(Work);

impl Work {
    pub(crate) fn take(&self) -> Taken {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Taken(self.clone())
    }

    async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.open.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.0.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.idle.notify_waiters();
        }
    }
}

/// Clients come back spread over at least this time, so that the other nodes are not stormed.
const SPREAD_MS: u64 = 2_000;

impl Inner {
    /// Sends one of `count` clients away, until a random time so that at most a thousand come back in a second.
    pub(super) fn goodbye(&self, count: usize) -> Close {
        let spread = SPREAD_MS.max(count as u64);
        let random = u64::from_be_bytes(clock::bytes(&*self.entropy));
        Close::new(CloseCode::Draining).after(Duration::from_millis(random % spread))
    }

    /// Counts a request, unless the node is being drained: then nobody waits for what comes.
    pub(super) fn take(&self) -> Option<Taken> {
        let taken = self.work.take(); // before the look, so that a drain that begins now waits
        (!self.draining.load(Ordering::Acquire)).then_some(taken)
    }

    /// Refuses what is new, stores and answers what was taken, closes the sessions, leaves presence and broker.
    pub(super) async fn drain(&self, grace: Duration) {
        self.draining.store(true, Ordering::Release);
        if tokio::time::timeout(grace / 2, self.work.idle()).await.is_err() {
            tracing::warn!("not all that was taken was answered when the time to drain was half over");
        }
        self.closing.store(true, Ordering::Release); // before the look, so that nobody sits down unseen
        let mut outboxes: Vec<_> = self.seats().iter().map(|seat| seat.outbox.clone()).collect();
        outboxes.extend(self.strangers.lock().values().cloned());
        for outbox in &outboxes {
            outbox.close(self.goodbye(outboxes.len()));
        }
        let gone = async {
            loop {
                let gone = self.seat_gone.notified(); // before the look, so that no end falls between
                if self.seats.lock().is_empty() {
                    return;
                }
                gone.await;
            }
        };
        let _ = tokio::time::timeout(grace / 4, gone).await;
        let _ = tokio::time::timeout(grace / 4, async {
            self.leave_presence().await;
            self.relay.close().await;
        })
        .await;
    }
}

//! The head poll: finds in the log what no hint announced.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{Inner, restored::has_gone_back};
use crate::fanout::LiveRoom;

/// Rooms asked about in one query.
const ROOMS_PER_QUERY: usize = 1_000;
/// Rooms read at the same time after a poll.
const REPAIRS_AT_ONCE: usize = 8;

/// Polls until the task is aborted with the engine.
pub(super) async fn run(engine: Arc<Inner>) {
    loop {
        let limits = &engine.limits;
        let wait = if engine.relay.in_trouble() { limits.poll_interrupted } else { limits.poll };
        let _ = tokio::time::timeout(wait, engine.poll_now.notified()).await;
        let failures = engine.failures();
        let mut found = true;
        for rooms in engine.rooms.all().chunks(ROOMS_PER_QUERY) {
            found &= poll(&engine, rooms).await;
        }
        if found {
            engine.settle_doubts(failures);
        }
    }
}

/// Compares some rooms with their logs. Returns whether the store has answered.
async fn poll(engine: &Arc<Inner>, rooms: &[Arc<LiveRoom>]) -> bool {
    let ids: Vec<_> = rooms.iter().map(|room| room.id()).collect();
    // Before the heads are asked for: a head may be older than what passes meanwhile.
    let mut stood = Vec::with_capacity(rooms.len());
    for room in rooms {
        room.let_go().await;
        stood.push(room.stands().await);
    }
    let heads = match engine.store.heads(&ids).await {
        Ok(heads) => heads,
        Err(error) => {
            engine.store_failed(&error);
            return false;
        }
    };
    engine.store_answers(true);
    let mut known = stood.into_iter().zip(&heads).filter_map(|(stood, head)| Some((stood?, head)));
    if let Some((stood, _)) = known.find(|(stood, head)| has_gone_back(*stood, head)) {
        engine.begin_anew(stood.room).await;
        return true;
    }
    stream::iter(rooms.iter().zip(heads))
        .for_each_concurrent(REPAIRS_AT_ONCE, async |(room, head)| {
            if room.reached().await.is_some_and(|reached| reached < head.seq) {
                engine.repair_or_log(room).await;
            }
        })
        .await;
    true
}

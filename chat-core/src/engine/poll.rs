//! The head poll: finds in the log what no hint announced.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::Inner;
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
        for rooms in engine.rooms.all().chunks(ROOMS_PER_QUERY) {
            poll(&engine, rooms).await;
        }
    }
}

async fn poll(engine: &Arc<Inner>, rooms: &[Arc<LiveRoom>]) {
    let ids: Vec<_> = rooms.iter().map(|room| room.id()).collect();
    let heads = match engine.store.heads(&ids).await {
        Ok(heads) => heads,
        Err(error) => {
            engine.store_failed(&error);
            return;
        }
    };
    engine.store_ok(true);
    stream::iter(rooms.iter().zip(heads))
        .for_each_concurrent(REPAIRS_AT_ONCE, async |(room, head)| {
            if room.reached().await.is_some_and(|reached| reached < head.seq) {
                engine.repair_or_log(room).await;
            }
        })
        .await;
}

//! T31: whatever is done to rooms, a snapshot and the entries since give what a fresh read gives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use chat_core::{
    conformance::store::{StoreUnderTest, replay_a_sequence},
    memory::MemoryStore,
};

/// Of random actions, up to 24 each.
const SEQUENCES: u64 = 10_000;

#[tokio::test]
async fn ten_thousand_random_sequences_replay_to_what_is_read_afresh() {
    for seed in 0..SEQUENCES {
        replay_a_sequence(&StoreUnderTest::from(MemoryStore::new()), seed).await;
    }
}

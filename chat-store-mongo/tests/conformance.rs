//! The store keeps the promises of the port.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-mongo --test conformance -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Place;

chat_core::store_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    mongodb,
    async || Place::make().with_store().await
);

chat_core::feed_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    feed_of_mongodb,
    async || Place::make().with_store().await
);

chat_core::people_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    people_of_mongodb,
    async || Place::make().with_store().await
);

chat_core::restore_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    restore_mongodb,
    async || Place::make().with_store().await
);

chat_core::repair_conformance!(
    #[ignore = "needs MongoDB: scripts/test"]
    repair_mongodb,
    async || Place::make().with_store().await
);

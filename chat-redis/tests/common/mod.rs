//! Where the servers of the tests are.

use std::{
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

use chat_redis::RedisConfig;

static PLACES: AtomicU32 = AtomicU32::new(0);

/// Is what a test runs on.
#[derive(Clone, Copy)]
pub(crate) enum On {
    Single,
    Cluster,
}

impl On {
    pub(crate) fn url(self) -> String {
        let variable = match self {
            Self::Single => "CHAT_TEST_REDIS",
            Self::Cluster => "CHAT_TEST_REDIS_CLUSTER",
        };
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where it is: see scripts/services"))
    }

    /// Returns how to reach it under a namespace that no other test uses.
    pub(crate) fn config(self) -> RedisConfig {
        RedisConfig::new(self.url()).namespace(format!("t{}-{}", id(), PLACES.fetch_add(1, Ordering::Relaxed)))
    }
}

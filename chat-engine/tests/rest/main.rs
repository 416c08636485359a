//! Drives every route over real sockets, on every store that needs no server of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod catch_up;
mod client;
mod description;
mod http;
mod messages;
mod refusals;
mod rooms;
mod site;
mod ws;

/// Makes a test of each function on each store.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::site::Site::memory().await).await;
            })+
        }

        #[cfg(feature = "sqlite")]
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::site::Site::sqlite().await).await;
            })+
        }
    };
}

pub(crate) use on_every_store;

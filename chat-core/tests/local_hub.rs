//! The hub inside the process passes the suite that the remote one passes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use chat_core::{Hub, conformance::hub::HubUnderTest};
use common::{engine, human};

chat_core::hub_conformance!(local_hub, || async {
    let engine = engine().await;
    HubUnderTest::new(move |name| {
        let hub: Arc<dyn Hub> = Arc::new(engine.hub(human(name)));
        async move { hub }
    })
});

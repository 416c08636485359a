//! The hub inside the process passes the suite that the remote one passes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use chat_core::{Engine, Hub, Members, conformance::hub::HubUnderTest};
use common::{human, limits};

chat_core::hub_conformance!(local_hub, || async {
    let policy = Arc::new(Members::default().people_name_rooms());
    let engine = Engine::builder().limits(limits()).policy(policy).build().await.unwrap();
    HubUnderTest::new(move |name| {
        let hub: Arc<dyn Hub> = Arc::new(engine.hub(human(name)));
        async move { hub }
    })
});

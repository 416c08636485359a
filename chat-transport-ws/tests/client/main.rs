//! The client against a real server: the suite of hubs, and what only a connection can go through.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod cut;
mod fake;
mod script;
mod scripted;
mod typing;
mod vectors;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{Authenticator, Code, Engine, Hub, Identity, Limits, Members, UserId, conformance::hub::HubUnderTest};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use common::{Server, front_config, ws_config};

/// Whoever gives a name is believed.
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        let user = UserId::new(token).map_err(|_| Code::Unauthenticated)?;
        Ok(Identity::human(user, token))
    }
}

async fn start() -> (Engine, Server) {
    let policy = Arc::new(Members::default().people_name_rooms());
    let builder = Engine::builder().authenticator(Arc::new(ByName)).policy(policy).limits(Limits::load_profile());
    let engine = builder.build().await.unwrap();
    (engine.clone(), Server::serving(engine, ws_config(), front_config()).await)
}

/// Waits that do not make a test slow.
fn config(name: &str) -> ClientConfig {
    let name = name.to_owned();
    let mut config = ClientConfig::default().token(move || {
        let name = name.clone();
        async { Ok(name) }
    });
    config.backoff_base = Duration::from_millis(10);
    config.backoff_max = Duration::from_millis(50);
    config
}

chat_core::hub_conformance!(remote_hub, || async {
    let (engine, server) = start().await;
    let url = format!("ws://{}/ws", server.address);
    HubUnderTest::new(move |name| {
        let (_engine, url, config) = (engine.clone(), url.clone(), config(name));
        async move { Arc::new(RemoteHub::connect(url, config).await.unwrap()) as Arc<dyn Hub> }
    })
});

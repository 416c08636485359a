//! Opening by URL, and what is said when that fails.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{error::Error, sync::Arc, time::Duration};

use chat_engine::{
    Chat, ChatBuilder, Draft, Event, Hub, Identity, Limits, OpenError, Page, Part, RoomSpec, Start, UserId,
    chat_core::{
        Store,
        memory::{MemoryBroker, MemoryStore},
    },
};
use futures::StreamExt;
use tokio::time::timeout;

/// Prints an error the way a service does, with its causes, and the way a test does.
fn printed(error: &OpenError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |error: &&dyn Error| (*error).source());
    causes.flat_map(|cause| [cause.to_string(), format!("{cause:?}")]).collect::<Vec<_>>().join("; ")
}

fn ann() -> Identity {
    Identity::human(UserId::new("ann").unwrap(), "Ann")
}

#[tokio::test]
async fn every_part_opens_by_url() {
    let builder = Chat::builder().store("memory:").broker("memory:").presence("memory:").queue("memory:");
    let chat = builder.build().await.unwrap();
    assert!(chat.engine().is_ready().await);
    assert!(chat.queue().is_some());
}

#[tokio::test]
async fn a_ready_made_store_is_shared() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Chat::open(store.clone()).await.unwrap();
    let room = first.hub(ann()).create(RoomSpec::public("open")).await.unwrap();
    room.post(Draft::text("hello")).await.unwrap();
    let second = Chat::open(store).await.unwrap();
    let found = second.hub(ann()).room(room.id()).await.unwrap().history(Page::default()).await.unwrap();
    assert_eq!(found[0].body.text(), Some("hello"));
}

#[tokio::test]
async fn an_unknown_scheme_is_named_with_those_that_are_known() {
    let error = Chat::open("pigeon://coop").await.unwrap_err();
    assert!(matches!(&error, OpenError::UnknownScheme { part: Part::Store, scheme } if scheme == "pigeon"));
    assert!(error.to_string().contains("`memory:`") && error.to_string().contains("`sqlite:`"), "{error}");
    let error = Chat::builder().broker("pigeon://coop").build().await.unwrap_err();
    assert!(matches!(error, OpenError::UnknownScheme { part: Part::Broker, .. }));
}

#[tokio::test]
async fn no_secret_is_printed() {
    let url = "pigeon://ann:s3cret@coop/chat?token=s3cret";
    let builder = Chat::builder().store(url).broker(url).presence(url).queue(url).secret("s3cret, long enough");
    let shown = format!("{builder:?}");
    assert!(shown.contains("pigeon://***@coop/chat") && !shown.contains("s3cret"), "{shown}");
    for url in [url, "s3cret", "host=coop password=s3cret", "S3CRET:s3cret"] {
        let error = Chat::open(url).await.unwrap_err();
        assert!(!printed(&error).to_lowercase().contains("s3cret"), "{}", printed(&error));
    }
}

#[tokio::test]
async fn a_remote_command_needs_a_queue() {
    let error = Chat::builder().remote_command("stock", "a quote").build().await.unwrap_err();
    assert!(matches!(&error, OpenError::QueueMissing { command } if command == "stock"), "{error:?}");
    Chat::builder().queue("memory:").remote_command("stock", "a quote").build().await.unwrap();
}

#[cfg(feature = "amqp")]
#[tokio::test]
async fn a_rabbitmq_that_others_can_reach_needs_a_password_of_its_own() {
    for url in ["amqp://mq.example", "amqp://guest:guest@mq.example", "amqp://chat@mq.example"] {
        let builders = [Chat::builder().broker(url), Chat::builder().queue(url)];
        for (builder, part) in builders.into_iter().zip([Part::Broker, Part::Queue]) {
            let error = builder.build().await.unwrap_err();
            assert!(matches!(&error, OpenError::Refused { part: refused, .. } if *refused == part), "{url}: {error:?}");
        }
    }
}

#[cfg(feature = "amqp")]
#[tokio::test]
async fn a_queue_that_others_can_write_to_needs_a_secret() {
    use chat_engine::chat_core::BuildError;

    let builder = || Chat::builder().queue("amqp://127.0.0.1:1").remote_command("stock", "a quote");
    let error = builder().build().await.unwrap_err();
    assert!(matches!(error, OpenError::Build(BuildError::SecretMissing)), "{error:?}");
    builder().secret("at least sixteen bytes").build().await.unwrap();
}

#[tokio::test]
async fn over_a_bridge_a_node_is_heard_on_both_brokers() {
    let (old, new) = (Arc::new(MemoryBroker::new()), Arc::new(MemoryBroker::new()));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = async |builder: ChatBuilder| {
        // Heads are not polled while this runs: only hints bring what is stored elsewhere.
        let mut limits = Limits::default();
        limits.poll = Duration::from_hours(1);
        let builder = builder.store(store.clone()).limits(limits).secret("the secret of this cluster");
        builder.build().await.unwrap()
    };
    let between = open(Chat::builder().broker(old.clone()).bridge(new.clone())).await;
    let room = between.hub(ann()).create(RoomSpec::public("open")).await.unwrap();
    for broker in [old, new] {
        let node = open(Chat::builder().broker(broker)).await;
        let mut heard = node.hub(ann()).room(room.id()).await.unwrap().events(Start::Head);
        assert!(matches!(heard.next().await, Some(Event::Followed { .. })));
        room.post(Draft::text("over the bridge")).await.unwrap();
        let arrived = async {
            while let Some(event) = heard.next().await {
                if matches!(&event, Event::Entry(entry) if entry.body.text() == Some("over the bridge")) {
                    return true;
                }
            }
            false
        };
        assert!(timeout(Duration::from_secs(10), arrived).await.unwrap());
    }
}

#[tokio::test]
async fn a_bridge_needs_a_broker_to_lead_from() {
    let error = Chat::builder().bridge("memory:").build().await.unwrap_err();
    assert!(matches!(error, OpenError::BrokerMissing), "{error}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_sqlite_chat_survives_its_process() {
    let files = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", files.path().join("chat.db").display());
    let chat = Chat::open(url.as_str()).await.unwrap();
    let room = chat.hub(ann()).create(RoomSpec::public("open")).await.unwrap();
    room.post(Draft::text("hello")).await.unwrap();
    chat.drain(std::time::Duration::from_secs(5)).await;
    drop(chat);
    let chat = Chat::open(url).await.unwrap();
    let found = chat.hub(ann()).room(room.id()).await.unwrap().history(Page::default()).await.unwrap();
    assert_eq!(found[0].body.text(), Some("hello"));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named() {
    let error = Chat::open("sqlite:/nowhere/at/all/chat.db").await.unwrap_err();
    assert!(error.to_string().contains("sqlite:/nowhere/at/all/chat.db"), "{error}");
    assert!(error.source().is_some());
}

#[cfg(not(feature = "sqlite"))]
#[tokio::test]
async fn a_scheme_that_is_not_compiled_in_names_its_feature() {
    let error = Chat::open("sqlite:chat.db").await.unwrap_err();
    assert!(matches!(error, OpenError::FeatureMissing { feature: "sqlite", .. }), "{error}");
}

//! The lines of `README.md`: each stands here as it stands there and is compiled, and those that need no server are run.

#![allow(clippy::let_and_return)] // as they stand there

use std::{error::Error, future::pending, sync::Arc};

use chat_core::{
    Draft, Engine, Event, Hub, Identity, RoomSpec, Start, UserId, WorkQueue, command::BotRunner,
    command::RemoteCommand, memory::MemoryQueue,
};
use chat_engine::{Chat, ChatBuilder, OpenError, open_queue};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{StreamExt, stream::BoxStream};
use stock_bot::{
    QuoteSource, SampleServer, SourceConfig, StockCommand,
    command::{HELP, NAME},
    sample,
};

const QUOTE: &str = "AAPL.US quote is $93.42 per share";

fn in_the_process() -> Arc<dyn WorkQueue> {
    let queue: Arc<dyn WorkQueue> = Arc::new(MemoryQueue::new());
    queue
}

async fn over_rabbitmq() -> Result<Arc<dyn WorkQueue>, OpenError> {
    let queue = open_queue("amqp://user:password@mq.example/chat").await?;
    Ok(queue)
}

async fn over_redis() -> Result<Arc<dyn WorkQueue>, OpenError> {
    let queue = open_queue("redis://:password@redis.example").await?;
    Ok(queue)
}

fn server(queue: &Arc<dyn WorkQueue>) -> ChatBuilder {
    let chat = Chat::builder().command(NAME, HELP, RemoteCommand::new(queue.clone()).check(StockCommand::check));
    chat
}

async fn bot(queue: Arc<dyn WorkQueue>, source: QuoteSource) -> Result<(), Box<dyn Error + Send + Sync>> {
    let shutdown = pending();
    BotRunner::new(queue).command(NAME, StockCommand::new(source)).run(shutdown).await?;
    Ok(())
}

async fn member_in_the_process(engine: &Engine, identity: Identity, source: QuoteSource) {
    let hub = Arc::new(engine.hub(identity));
    stock_bot::member::attend(hub, source).await;
}

async fn member_over_websocket(config: ClientConfig, source: QuoteSource) -> Result<(), Box<dyn Error + Send + Sync>> {
    let hub = Arc::new(RemoteHub::connect("wss://chat.example/chat/ws", config).await?);
    stock_bot::member::attend(hub, source).await;
    Ok(())
}

async fn source() -> QuoteSource {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, serving) = SampleServer::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(serving);
    QuoteSource::new(SourceConfig::new(sample::template(address)).allow_private_hosts()).unwrap()
}

fn ann() -> Identity {
    Identity::human(UserId::new("ann").unwrap(), "ann")
}

/// Asks until the quote is heard: the bot may not be there yet.
async fn is_answered(engine: &Engine, question: &str) {
    let room = engine.hub(ann()).create(RoomSpec::public("money")).await.unwrap();
    let texts = room.events(Start::Head).filter_map(|event| async move {
        let Event::Entry(entry) = event else { return None };
        entry.body.text().map(str::to_owned)
    });
    let mut texts: BoxStream<'_, String> = texts.boxed();
    let asking = async {
        loop {
            room.post(Draft::text(question)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = async { while texts.next().await.unwrap() != QUOTE {} } => {}
        () = asking => {}
    }
}

#[test]
fn each_line_of_the_readme_is_compiled_here() {
    let (readme, here) = (include_str!("../../README.md"), include_str!("lines.rs"));
    let in_tables = readme.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('`').nth(1));
    let in_blocks = readme.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1));
    let lines: Vec<_> = in_tables.chain(in_blocks).map(|line| line.split(" //").next().unwrap().trim_end()).collect();
    assert_eq!(lines.len(), 8, "{lines:?}");
    for line in lines {
        assert!(here.contains(&format!("\n    {line}\n")), "{line}");
    }
    // They go to servers that there are not: so they are not polled.
    let websocket = async { member_over_websocket(ClientConfig::default(), source().await).await };
    drop((over_rabbitmq(), over_redis(), websocket));
}

#[tokio::test]
async fn a_worker_in_the_process_answers() {
    let queue = in_the_process();
    let chat = server(&queue).build().await.unwrap();
    let working = tokio::spawn(bot(queue, source().await));
    is_answered(chat.engine(), "/stock=aapl.us").await;
    working.abort();
}

#[tokio::test]
async fn a_member_in_the_process_answers() {
    let engine = Engine::builder().build().await.unwrap();
    let working = member_in_the_process(&engine, ann(), source().await);
    tokio::select! {
        () = is_answered(&engine, "stock=aapl.us") => {}
        () = working => panic!("the hub has ended"),
    }
}

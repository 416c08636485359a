//! The stock bot: in this process, or, with `--queue`, wherever `stock-bot` processes consume the same queue. The command
//! and its worker are the same.

use std::{io, sync::Arc};

use chat_core::{
    WorkQueue,
    command::{BotRunner, RemoteCommand},
    memory::MemoryQueue,
};
use chat_engine::{ChatBuilder, OpenError};
use stock_bot::{QuoteSource, SampleServer, SourceConfig, SourceError, StockCommand, command, sample};

use crate::config::{Config, Quotes};

/// Says why the bot cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BotError {
    #[error("--queue")]
    Queue(#[from] OpenError),
    #[error("--quote-url: {0}")]
    Source(#[from] SourceError),
    #[error("the sample quotes have no port to listen on: {0}")]
    Sample(#[from] io::Error),
}

/// Adds `/stock` to a chat, and starts the worker that carries it out, if it is one of this process.
pub(crate) async fn add(chat: ChatBuilder, config: &Config) -> Result<ChatBuilder, BotError> {
    let queue = match &config.queue {
        Some(elsewhere) => chat_engine::open_queue(elsewhere.reveal()).await?,
        None => start_worker(config).await?,
    };
    let asked = RemoteCommand::new(queue).check(StockCommand::check);
    Ok(chat.command(command::NAME, command::HELP, asked))
}

async fn start_worker(config: &Config) -> Result<Arc<dyn WorkQueue>, BotError> {
    let work = StockCommand::new(QuoteSource::new(source(&config.quotes).await?)?);
    let queue: Arc<dyn WorkQueue> = Arc::new(MemoryQueue::new());
    let worker = BotRunner::new(queue.clone()).command(command::NAME, work);
    // It ends with the process: a draining server still waits for the answers to what it has accepted.
    let working = worker.run(std::future::pending());
    tokio::spawn(async move {
        if let Err(error) = working.await {
            tracing::error!(%error, "the stock bot does not work");
        }
    });
    Ok(queue)
}

async fn source(quotes: &Quotes) -> Result<SourceConfig, BotError> {
    let Quotes::Service { template, key, private } = quotes else { return start_sample().await };
    let mut config = template.as_ref().map_or_else(SourceConfig::default, SourceConfig::new);
    if let Some(key) = key {
        config = config.api_key(key.reveal());
    }
    Ok(if *private { config.allow_private_hosts() } else { config })
}

/// Starts the service with sample prices, for as long as this process lives.
async fn start_sample() -> Result<SourceConfig, BotError> {
    let (address, serving) = SampleServer::bind("127.0.0.1:0").await?;
    tokio::spawn(serving);
    tracing::info!(%address, "demo: /stock answers with sample prices, which are not real");
    Ok(SourceConfig::new(sample::template(address)).allow_private_hosts())
}

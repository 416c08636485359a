//! The stock bot as a process of its own: it takes commands from a queue and sends back what is to be said.
//!
//! ```sh
//! cargo run -p stock-bot -- --queue amqp://chat:secret@mq.example/chat     # any number of them
//! cargo run -p stock-bot -- quote --sample AAPL.US MSFT.US                 # tries out a quote service
//! ```

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use chat_core::command::BotRunner;
use clap::{Args, Parser, Subcommand};
use futures::FutureExt;
use stock_bot::{
    DEFAULT_TEMPLATE, QuoteSource, SampleServer, SourceConfig, StockCode, StockCommand, command::NAME, sample,
};
use tokio::signal::unix::{SignalKind, signal};

type Failure = Box<dyn Error + Send + Sync>;

/// A queue that cannot be reached yet is tried again after this time.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The stock bot of chat-engine.
///
/// It needs no secret: an answer carries the ticket that came with the command, and answers nothing else.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    /// The queue that chat servers hand commands over, such as amqp://user:password@host/vhost
    #[arg(long, env = "STOCK_QUEUE", value_name = "URL", hide_env_values = true, required = true)]
    queue: Option<String>,
    #[command(flatten)]
    service: Service,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Asks the quote service for each code and prints what the bot would say
    Quote(Ask),
}

#[derive(Args)]
struct Ask {
    /// The codes, like AAPL.US
    #[arg(required = true)]
    codes: Vec<StockCode>,
    #[command(flatten)]
    service: Service,
}

#[derive(Args)]
struct Service {
    /// The URL of the quote service, with {code} where the code goes
    #[arg(long, env = "STOCK_QUOTE_URL", value_name = "TEMPLATE", default_value = DEFAULT_TEMPLATE)]
    quote_url: String,
    /// The file with the API key of the quote service
    #[arg(long, env = "STOCK_QUOTE_KEY_FILE", value_name = "FILE")]
    quote_key_file: Option<PathBuf>,
    /// Lets the quote service be on this machine or in a private network
    #[arg(long)]
    quote_private: bool,
    /// Answers from the built-in sample prices instead, without the internet
    #[arg(long, conflicts_with_all = ["quote_key_file", "quote_private"])]
    sample: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Cli::parse() {
        Cli { task: Some(Task::Quote(ask)), .. } => ask.run().await,
        // Without a command clap has seen to it that there is a queue.
        Cli { queue, service, .. } => work(&queue.unwrap_or_default(), &service).await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("stock-bot: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Works until it is told to stop; then it ends what is in hand.
async fn work(url: &str, service: &Service) -> Result<(), Failure> {
    // The driver itself logs messages that come back, with all that is in them.
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("info,lapin=error").init();
    if url.split(':').next() == Some("memory") {
        return Err("a queue in this process's own memory is one that no chat server knows: give it theirs".into());
    }
    let queue = chat_engine::open_queue(url).await?;
    let source = QuoteSource::new(service.config().await?)?;
    let (mut terminate, interrupt) = (signal(SignalKind::terminate())?, tokio::signal::ctrl_c());
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt => {}
        }
    };
    let stop = stop.boxed().shared();
    loop {
        let bot = BotRunner::new(queue.clone()).command(NAME, StockCommand::new(source.clone()));
        println!("consuming {}", chat_engine::redacted(url));
        match bot.run(stop.clone()).await {
            Err(error) if error.is_transient() => tracing::warn!(%error, "the queue is tried again"),
            ended => return Ok(ended?),
        }
        tokio::select! {
            () = stop.clone() => return Ok(()),
            () = tokio::time::sleep(TRY_AGAIN) => {}
        }
    }
}

impl Ask {
    /// Prints one sentence per code; `false` if one of them is a refusal. The cause goes to stderr.
    async fn run(self) -> Result<bool, Failure> {
        let source = QuoteSource::new(self.service.config().await?)?;
        let mut all = true;
        for code in &self.codes {
            match source.quote(code).await {
                Ok(quote) => println!("{quote}"),
                Err(refusal) => {
                    println!("{refusal}");
                    eprintln!("  because {}", refusal.source().map(chain).unwrap_or_default());
                    all = false;
                }
            }
        }
        Ok(all)
    }
}

impl Service {
    async fn config(&self) -> Result<SourceConfig, Failure> {
        if self.sample {
            return start_sample().await;
        }
        let mut config = SourceConfig::new(&self.quote_url);
        if let Some(path) = &self.quote_key_file {
            config = config.api_key(fs::read_to_string(path)?.trim());
        }
        Ok(if self.quote_private { config.allow_private_hosts() } else { config })
    }
}

async fn start_sample() -> Result<SourceConfig, Failure> {
    let (address, serving) = SampleServer::bind("127.0.0.1:0").await?;
    tokio::spawn(serving);
    Ok(SourceConfig::new(sample::template(address)).allow_private_hosts())
}

/// Joins an error and its causes.
fn chain(error: &dyn Error) -> String {
    let text = error.to_string();
    match error.source().map(chain) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

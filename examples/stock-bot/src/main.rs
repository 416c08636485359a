//! Asks for quotes on the command line: the way to try out a quote service before a chat server uses it.
//!
//! ```sh
//! cargo run -p stock-bot -- quote --sample AAPL.US MSFT.US
//! ```

use std::{error::Error, fs, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use stock_bot::{DEFAULT_TEMPLATE, QuoteSource, SampleServer, SourceConfig, StockCode, sample};

type Failure = Box<dyn Error + Send + Sync>;

/// The stock bot of chat-engine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
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
    let Cli { task: Task::Quote(ask) } = Cli::parse();
    match ask.run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("stock-bot: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

impl Ask {
    /// Prints one sentence per code; `false` if one of them is a refusal. The cause goes to stderr.
    async fn run(self) -> Result<bool, Failure> {
        let config = if self.sample { start_sample().await? } else { self.config()? };
        let source = QuoteSource::new(config)?;
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

    fn config(&self) -> Result<SourceConfig, Failure> {
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
    let cause = error.source().map(chain);
    cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"))
}

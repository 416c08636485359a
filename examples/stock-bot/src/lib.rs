//! Turns a stock code typed in a chat room into one sentence: a quote, or why there is none.
//!
//! | module | holds |
//! |---|---|
//! | [`code`] | [`StockCode`]: what a user may ask for, checked once |
//! | [`config`] | [`SourceConfig`]: which service, with which key and limits |
//! | [`source`] | [`QuoteSource`]: one guarded HTTP GET for one code |
//! | [`quote`] | [`Quote`]: the CSV reply, read strictly |
//! | [`refusal`] | [`Refusal`]: the sentence for the room, the cause for the log |
//! | [`command`] | [`StockCommand`]: the slash command |
//! | [`member`] | the bot as a member of rooms, over any [`Hub`](chat_core::Hub) |
//! | [`sample`] | a quote service with sample prices, for machines without internet |
//!
//! The quote service is not trusted. Its reply is bounded in time and size, read as strict CSV, and nothing of
//! its text reaches a room or a log: the sentence holds the code that was asked for and a number.
//!
//! # TLS
//!
//! The library installs no TLS provider, because two in one process is an error and the choice belongs to the
//! binary. Before the first [`QuoteSource`] is made, `main` runs once:
//!
//! ```
//! # fn main() {
//! // An error means that another part of the program installed one already, which is as good.
//! let _ = rustls::crypto::ring::default_provider().install_default();
//! # }
//! ```
//!
//! Certificates are checked against the root store of the operating system (on Linux the `ca-certificates`
//! package, or the file that `SSL_CERT_FILE` names). An image without one cannot open an `https` source.
//!
//! # Example
//!
//! ```
//! use stock_bot::{QuoteSource, SampleServer, SourceConfig, StockCode, sample};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let (address, serving) = SampleServer::bind("127.0.0.1:0").await?;
//! tokio::spawn(serving);
//!
//! let config = SourceConfig::new(sample::template(address)).allow_private_hosts();
//! let source = QuoteSource::new(config)?;
//! let code: StockCode = "aapl.us".parse()?;
//! assert_eq!(source.quote(&code).await?.to_string(), "AAPL.US quote is $93.42 per share");
//! # Ok(())
//! # }
//! ```

pub mod code;
pub mod command;
pub mod config;
mod egress;
pub mod member;
pub mod quote;
pub mod refusal;
mod reply;
pub mod sample;
pub mod source;
mod template;

pub use code::{InvalidCode, StockCode};
pub use command::StockCommand;
pub use config::{DEFAULT_TEMPLATE, SourceConfig, SourceError};
pub use quote::Quote;
pub use refusal::{Reason, Refusal};
pub use sample::SampleServer;
pub use source::QuoteSource;

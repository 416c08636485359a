//! The slash command `/stock=CODE`, wherever it is carried out: in the chat server or by a worker elsewhere.

use std::{borrow::Cow, error::Error};

use async_trait::async_trait;
use chat_core::{Command, CommandError, Invocation, Reply};

use crate::{InvalidCode, QuoteSource, StockCode};

/// The name it is typed by, after the slash.
pub const NAME: &str = "stock";
/// Says what it does, for the list of commands.
pub const HELP: &str = "/stock=CODE tells the price of a share, for example /stock=AAPL.US";

/// Answers `/stock=CODE` with one sentence: the quote, or why there is none.
///
/// What is no code, and so the caller's mistake, is told to the caller alone. What the quote service could not
/// answer is said in the room, since others have seen nothing of the command and one of them may ask next.
#[derive(Clone, Debug)]
pub struct StockCommand {
    source: QuoteSource,
}

impl StockCommand {
    /// Makes the command of where to ask.
    pub fn new(source: QuoteSource) -> Self {
        Self { source }
    }

    /// Checks arguments without asking anybody: for the server, so that no job is made of a slip of the keyboard.
    pub fn check(call: &Invocation) -> Result<(), Cow<'static, str>> {
        read(&call.args).map(drop)
    }

    async fn answer(&self, args: &[String]) -> Result<Reply, CommandError> {
        let code = read(args).map_err(CommandError::Usage)?;
        match self.source.quote(&code).await {
            Ok(quote) => Ok(Reply::Say(quote.to_string())),
            Err(refusal) => {
                tracing::warn!(%code, reason = ?refusal.reason(), cause = refusal.source(), "no quote");
                Err(CommandError::Failed(refusal.to_string().into()))
            }
        }
    }
}

fn read(args: &[String]) -> Result<StockCode, Cow<'static, str>> {
    let [typed] = args else { return Err(HELP.into()) };
    typed.parse().map_err(|error: InvalidCode| error.to_string().into())
}

#[async_trait]
impl Command for StockCommand {
    async fn run(&self, call: Invocation) -> Result<Reply, CommandError> {
        self.answer(&call.args).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{SampleServer, SourceConfig, sample};

    async fn ask(args: &[&str]) -> Result<Reply, CommandError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, serving) = SampleServer::bind("127.0.0.1:0").await.unwrap();
        let serving = tokio::spawn(serving);
        let config = SourceConfig::new(sample::template(address)).allow_private_hosts();
        let command = StockCommand::new(QuoteSource::new(config).unwrap());
        let answer = command.answer(&args.iter().map(ToString::to_string).collect::<Vec<_>>()).await;
        serving.abort();
        answer
    }

    #[tokio::test]
    async fn a_quote_is_said_in_the_room() {
        assert_eq!(ask(&["aapl.us"]).await, Ok(Reply::Say("AAPL.US quote is $93.42 per share".into())));
    }

    #[tokio::test]
    async fn what_is_no_code_is_told_to_the_caller_alone() {
        for args in [&[][..], &[""], &["../../etc"], &["aapl.us", "msft.us"]] {
            assert!(matches!(ask(args).await, Err(CommandError::Usage(_))), "{args:?}");
        }
    }

    #[tokio::test]
    async fn an_unknown_code_is_one_clear_sentence() {
        let sentence = "No quote for NOPE.US: no price is known for this code";
        assert_eq!(ask(&["nope.us"]).await, Err(CommandError::Failed(sentence.into())));
    }
}

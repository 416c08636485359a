//! The sample service answers as the real one would.

use stock_bot::{Quote, QuoteSource, Reason, SampleServer, SourceConfig, sample};
use tokio::task::JoinHandle;

use crate::fixture::{code, source};

async fn start() -> (QuoteSource, JoinHandle<std::io::Result<()>>) {
    let (address, serving) = SampleServer::bind("127.0.0.1:0").await.unwrap();
    let config = SourceConfig::new(sample::template(address)).allow_private_hosts();
    (source(config), tokio::spawn(serving))
}

#[tokio::test]
async fn the_sample_server_is_a_quote_source() {
    let (source, _serving) = start().await;
    let quote = source.quote(&code("aapl.us")).await.unwrap();
    assert_eq!(quote.to_string(), "AAPL.US quote is $93.42 per share");
    let quote = source.quote(&code("^spx")).await.unwrap();
    assert_eq!(quote.to_string(), "^SPX quote is $5509.01 per share");
}

#[tokio::test]
async fn a_code_without_a_sample_is_not_found() {
    let (source, _serving) = start().await;
    let refusal = source.quote(&code("nope.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::NotFound);
    assert_eq!(refusal.to_string(), "No quote for NOPE.US: no price is known for this code");
}

#[tokio::test]
async fn the_sample_server_ends_when_its_future_is_dropped() {
    let (source, serving) = start().await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let refusal = source.quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unavailable);
}

#[test]
fn each_sample_is_a_quote() {
    for symbol in ["AAPL.US", "AMZN.US", "GOOGL.US", "IBM.US", "INTC.US", "KO.US", "META.US", "MSFT.US"] {
        assert!(Quote::from_csv(&code(symbol), sample::csv(symbol).as_bytes()).is_ok(), "{symbol}");
    }
    for symbol in ["NFLX.US", "NVDA.US", "TSLA.US", "^SPX"] {
        assert!(Quote::from_csv(&code(symbol), sample::csv(symbol).as_bytes()).is_ok(), "{symbol}");
    }
}

#[test]
fn a_text_that_is_no_code_gets_the_header_alone() {
    for text in ["", "a,b", "a\r\nb", "\"", "=1+1"] {
        assert_eq!(sample::csv(text).lines().count(), 1, "{text:?}");
    }
}

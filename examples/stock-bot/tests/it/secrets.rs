//! The API key is sent, and shows nowhere else.

use std::error::Error;
use std::iter::successors;

use stock_bot::{QuoteSource, Refusal, SourceConfig};

use crate::fixture::{GOOD, Upstream, code, install_provider, source};

const KEY: &str = "planted-secret";

/// Everything a log could show of a refusal: both forms of it and of each cause.
fn everything(refusal: &Refusal) -> String {
    let causes = successors(Some(refusal as &dyn Error), |&error| error.source());
    let shown: Vec<_> = causes.map(|error| format!("{error} {error:?}")).collect();
    shown.join(" ")
}

#[test]
fn the_key_is_in_no_debug_output_of_source_and_configuration() {
    install_provider();
    let config = SourceConfig::new("https://h.test/{code}").api_key(KEY);
    let source = QuoteSource::new(config.clone()).unwrap();
    assert!(!format!("{config:?} {config:#?} {source:?} {source:#?}").contains(KEY));
}

#[tokio::test]
async fn the_key_is_in_no_refusal() {
    let closes = Upstream::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    let resets = Upstream::raw("").await;
    let redirects = Upstream::raw("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
    let echoes = Upstream::answering(|request| request.uri().to_string()).await;
    for upstream in [closes, resets, redirects, echoes] {
        let source = source(upstream.config().api_key(KEY));
        let shown = everything(&source.quote(&code("aapl.us")).await.unwrap_err());
        assert!(!shown.contains(KEY), "{shown}");
        assert_eq!(upstream.hits(), 1);
    }
    let unknown = source(SourceConfig::new("https://host.invalid/{code}").api_key(KEY));
    let shown = everything(&unknown.quote(&code("aapl.us")).await.unwrap_err());
    assert!(!shown.contains(KEY), "{shown}");
}

#[test]
fn a_refused_template_is_not_repeated() {
    install_provider();
    for template in [
        "https://u:planted-secret@h.test/{code}",
        "https://h.test/{code}?apikey=planted-secret",
        "https://h.test:planted-secret/{code}",
        "planted-secret/{code}",
        "https://h.test/planted-secret",
    ] {
        let config = SourceConfig::new(template);
        assert!(!format!("{config:?}").contains(KEY));
        let error = QuoteSource::new(config).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_a_plain_sentence_for_the_room_and_a_cause_for_the_log() {
    let upstream = Upstream::raw("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await;
    let refusal = upstream.quote().await.unwrap_err();
    assert_eq!(refusal.to_string(), "No quote for AAPL.US: the quote service is not available");
    assert_eq!(refusal.source().unwrap().to_string(), "the reply has status 500");
    assert_eq!(refusal.code(), &code("AAPL.US"));

    let good = Upstream::answering(|_| GOOD).await;
    assert_eq!(good.quote().await.unwrap().symbol(), &code("AAPL.US"));
}

//! Where the bot connects to: the host of its template, and nowhere else.

use stock_bot::{QuoteSource, Reason, SourceConfig, SourceError, StockCode};

use crate::fixture::{GOOD, Upstream, code, install_provider, source};

/// What a user might type to send the request elsewhere. `PORT` becomes the port of a listener that nobody may
/// reach.
const TRICKS: [&str; 44] = [
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "\\\\127.0.0.1:PORT\\",
    "@127.0.0.1:PORT",
    "@127.0.0.1:PORT/",
    ":x@127.0.0.1:PORT",
    "#@127.0.0.1:PORT",
    "?@127.0.0.1:PORT",
    "&@127.0.0.1:PORT",
    "127.0.0.1",
    "127.0.0.1:PORT",
    "127.1:PORT",
    "127.1",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "localhost",
    "localhost:PORT",
    "LOCALHOST.",
    "[::1]:PORT",
    "[::ffff:7f00:1]",
    "\u{2460}27.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "169.254.169.254",
    "@169.254.169.254",
    "metadata",
    ".127.0.0.1",
    "../../etc",
    "..%2f..%2f",
    "..",
    "%2e%2e",
    "AAPL.US&f=x",
    "AAPL.US#",
    "AAPL.US?x=",
    "AAPL.US/../x",
    "a%0d%0aHost:x",
    "a\r\nHost: x",
    "file:///etc",
    "gopher://x",
    "{code}",
    "-^.-^.-^.-^.-^.-",
];

#[tokio::test]
async fn no_code_sends_the_request_elsewhere_s18() {
    let inside = Upstream::raw("HTTP/1.1 200 OK\r\n\r\n").await;
    let upstream = Upstream::answering(|_| GOOD).await;
    let (mut asked, host) = (0, upstream.address);
    for template in [format!("http://{host}/q?s={{code}}"), format!("http://{host}/{{code}}")] {
        let source = source(SourceConfig::new(template).allow_private_hosts());
        for trick in TRICKS {
            let typed = trick.replace("PORT", &inside.address.port().to_string());
            if let Ok(code) = typed.parse::<StockCode>() {
                asked += 1;
                assert_eq!(source.quote(&code).await.unwrap_err().reason(), Reason::Unclear, "{typed}");
            }
        }
    }
    assert_eq!(upstream.hits(), asked);
    assert_eq!(inside.hits(), 0);
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_not_connected_to_s18() {
    let inside = Upstream::answering(|_| GOOD).await;
    let template = format!("http://localhost:{}/{{code}}", inside.address.port());
    let guarded = source(SourceConfig::new(template.clone()));
    let refusal = guarded.quote(&code("aapl.us")).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unavailable);
    assert_eq!(inside.hits(), 0);

    let open = source(SourceConfig::new(template).allow_private_hosts());
    assert!(open.quote(&code("aapl.us")).await.is_ok());
}

#[test]
fn a_private_address_in_the_template_must_be_allowed_s18() {
    install_provider();
    for host in ["127.0.0.1", "127.1", "0", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"] {
        let config = SourceConfig::new(format!("http://{host}/{{code}}"));
        let refused = QuoteSource::new(config.clone()).unwrap_err();
        assert!(matches!(refused, SourceError::PrivateHost), "{host}: {refused:?}");
        assert!(QuoteSource::new(config.allow_private_hosts()).is_ok(), "{host}");
    }
    assert!(QuoteSource::new(SourceConfig::new("http://1.1.1.1/{code}")).is_ok());
}

#[test]
fn the_default_template_is_accepted() {
    install_provider();
    let source = QuoteSource::new(SourceConfig::default()).unwrap();
    assert!(format!("{source:?}").contains("\"stooq.com\""));
}

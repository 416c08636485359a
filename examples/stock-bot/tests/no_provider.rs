//! Alone in its process, because a TLS provider once installed cannot be taken away.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use stock_bot::{QuoteSource, SourceConfig, SourceError};

#[test]
fn a_process_without_a_tls_provider_gets_an_error_and_no_panic() {
    let refused = QuoteSource::new(SourceConfig::default()).unwrap_err();
    assert!(matches!(refused, SourceError::NoTlsProvider), "{refused:?}");

    rustls::crypto::ring::default_provider().install_default().unwrap();
    assert!(QuoteSource::new(SourceConfig::default()).is_ok());
}

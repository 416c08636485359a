//! Asks a quote service over HTTP: one GET, one bounded reply, one answer.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode, redirect, retry};
use rustls::crypto::CryptoProvider;
use tokio::time;

use crate::code::StockCode;
use crate::config::{SourceConfig, SourceError};
use crate::egress::{PublicOnly, is_public};
use crate::quote::Quote;
use crate::refusal::{Fault, Refusal};
use crate::template::Template;

/// Asks one quote service. Cheap to clone; clones share their connections.
///
/// # Guarantees
///
/// * The host is the one of the template. No redirect is followed, no proxy of the environment is used, and
///   no private address is connected to unless [allowed](SourceConfig::allow_private_hosts).
/// * One request per call, never retried: whoever calls knows whether anybody still waits.
/// * A reply is refused unless it has status 200 and is complete within the limits of time and size; it is
///   never decompressed, so its size is what crossed the network.
#[derive(Clone)]
pub struct QuoteSource {
    client: Client,
    template: Template,
    api_key: Option<String>,
    timeout: Duration,
    body_bytes_max: usize,
}

impl QuoteSource {
    /// Checks the configuration and prepares the client. It connects to nothing.
    ///
    /// # Errors
    ///
    /// See [`SourceError`]; in particular a TLS provider must be installed first (see the [crate] page).
    pub fn new(config: SourceConfig) -> Result<Self, SourceError> {
        let template = Template::parse(&config.template)?;
        let private = template.address().is_some_and(|address| !is_public(address));
        if private && !config.private_hosts {
            return Err(SourceError::PrivateHost);
        }
        let client = client(&template, config.private_hosts)?;
        let SourceConfig { api_key, timeout, body_bytes_max, .. } = config;
        Ok(Self { client, template, api_key, timeout, body_bytes_max })
    }

    /// Asks for one quote.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; nothing is left behind.
    pub async fn quote(&self, code: &StockCode) -> Result<Quote, Refusal> {
        let reply = time::timeout(self.timeout, self.fetch(code)).await;
        let body = reply.unwrap_or(Err(Fault::TimedOut(self.timeout)));
        Quote::from_csv(code, &body.map_err(|fault| Refusal::new(code, fault))?)
    }

    async fn fetch(&self, code: &StockCode) -> Result<Vec<u8>, Fault> {
        let url = self.template.fill(code, self.api_key.as_deref());
        let mut response = self.client.get(url).send().await.map_err(transport)?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(Fault::TooLong(self.body_bytes_max));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for QuoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuoteSource")
            .field("host", &self.template.host())
            .field("timeout", &self.timeout)
            .field("body_bytes_max", &self.body_bytes_max)
            .finish_non_exhaustive()
    }
}

/// The URL of a failed request holds the key.
fn transport(error: reqwest::Error) -> Fault {
    Fault::Transport(error.without_url().into())
}

fn client(template: &Template, private_hosts: bool) -> Result<Client, SourceError> {
    if CryptoProvider::get_default().is_none() {
        return Err(SourceError::NoTlsProvider); // the client would panic
    }
    let mut builder = Client::builder()
        .user_agent(concat!("stock-bot/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy() // a proxy would connect to an address that nobody checked
        // Off already, unless another crate of the program turns the features on.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    if !private_hosts {
        builder = builder.dns_resolver(PublicOnly);
    }
    if !template.is_https() {
        // No TLS will happen, and so a machine without root certificates can run the sample.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| SourceError::Client(error.into()))
}

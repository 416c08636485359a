//! The listeners: a protected HTTP/1 front, over TLS where that is wanted.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use axum::Router;
use chat_transport_ws::{Front, FrontConfig, PerAddress, Proxies};
use hyper_util::service::TowerToHyperService;
use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, TlsFiles};

/// Tells the operator why nothing can listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {address} ({flag}): {source}")]
    Bind { address: SocketAddr, flag: &'static str, source: io::Error },
    #[error("{file} cannot be used as {what}: {source}")]
    Pem { file: String, what: &'static str, source: pem::Error },
    #[error("the certificate and the key do not belong together, or are not fit for a server: {0}")]
    Tls(#[from] rustls::Error),
}

/// Binds an address; `flag` is what the operator has to change if that fails.
pub(crate) async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, flag, source })
}

/// Reads certificate and key.
pub(crate) fn tls(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    let chain = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|source| unusable(&files.cert, "a certificate", source))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|source| unusable(&files.key, "a private key", source))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(file: &Path, what: &'static str, source: pem::Error) -> ServeError {
    ServeError::Pem { file: file.display().to_string(), what, source }
}

/// Serves people until `stopped` closes, then lets requests under way end.
pub(crate) fn people(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    config: &Config,
    routes: Router,
    mut stopped: watch::Receiver<()>,
) -> impl Future<Output = io::Result<()>> + Send + use<> {
    let mut bounds = FrontConfig::default();
    bounds.proxies = if config.behind_proxy { Proxies::Nearby } else { Proxies::None };
    if config.load_profile {
        bounds.per_address = PerAddress::unlimited();
    }
    bounds.drain_within = config.drain_grace;
    let (front, service) = (Front::new(bounds), TowerToHyperService::new(routes));
    async move {
        let stop = async { drop(stopped.changed().await) };
        match tls {
            None => front.serve(listener, service, stop).await,
            Some(tls) => front.serve_over(listener, move |stream: TcpStream| tls.accept(stream), service, stop).await,
        }
    }
}

/// Serves operators until `stop`.
pub(crate) async fn operators(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) -> io::Result<()> {
    Front::new(FrontConfig::default()).serve(listener, TowerToHyperService::new(routes), stop).await
}

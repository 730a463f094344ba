//! The accept loop: TLS or not, and an end that lets transfers end.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::{Error, Result};

/// How long a connection may take to say what it wants: its TLS handshake, and the head of each
/// request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a body is read at a time, in bytes: below what the C library gives back to the
/// system at once.
const BUFFER: usize = 96 * 1024;

/// How connections are accepted.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Speaks TLS; plain HTTP without.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long transfers in flight may take to end after the shutdown.
    pub grace: Duration,
}

/// Reads a certificate chain and its key, in PEM.
pub fn tls(chain: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let unreadable = |path: &Path, source| Error::Certificate { path: path.to_owned(), source };
    let certificates =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| unreadable(chain, error.into()))?;
    let private_key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error.into()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth();
    let mut config = builder
        .with_single_cert(certificates, private_key)
        .map_err(|error| unreadable(chain, error.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves connections until `shutdown`. Then new ones are refused, idle ones end, and what has
/// begun has the grace of `options` to end.
pub async fn run(
    listener: TcpListener,
    router: Router,
    options: ListenOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let closing = watch::Sender::new(false);
    let acceptor = options.tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, acceptor.clone(), router.clone(), closing.subscribe()));
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(options.grace, all_done).await.is_err() {
        tracing::warn!(
            n_connections = connections.len(),
            "connections were cut off at the end of the grace"
        );
    }
    connections.shutdown().await;
}

async fn serve(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    closing: watch::Receiver<bool>,
) {
    // A socket without TCP_NODELAY still works, only slower.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return serve_http(stream, router, closing).await };
    match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(stream, router, closing).await,
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a TLS handshake failed")
        }
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    mut closing: watch::Receiver<bool>,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = async { drop(closing.wait_for(|closing| *closing).await) } => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

/// A client that has gone again is nothing to wait for; without file descriptors another try at
/// once would only burn time.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(error = error as &dyn std::error::Error, "cannot accept a connection");
        sleep(Duration::from_millis(50)).await;
    }
}

//! The accept loop: TLS or not, as many connections as there is room for, and an end that lets
//! transfers end.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
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

use super::browser::{self, Names};
use super::connections::Connections;
use super::limits::{BUFFER, HEAD_TIMEOUT, MAX_CONNECTIONS, ROUND, WRITE_TIMEOUT};
use super::watched::Watched;
use crate::{Error, Result};

/// How connections are accepted.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Speaks TLS; plain HTTP without.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long transfers in flight may take to end after the shutdown.
    pub grace: Duration,
    /// How many connections there may be at once, as far as the process may open files for them.
    /// Three quarters may be one peer's; when all are taken, the slowest makes room.
    pub max_connections: usize,
    /// How long whoever reads an answer may stand still.
    pub write_timeout: Duration,
    /// What it is called besides `localhost` and any address: requests that call it something else
    /// are refused, because a page in a browser could have been made to send them. `None` lets all
    /// pass: where users log in, or TLS says who the server is, that is enough.
    pub names: Option<Vec<String>>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            tls: None,
            grace: Duration::ZERO,
            max_connections: MAX_CONNECTIONS,
            write_timeout: WRITE_TIMEOUT,
            names: Some(Vec::new()),
        }
    }
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
///
/// Writes that a page of another site makes a browser send are refused. The process gets as many
/// file descriptors as it may have.
pub async fn run(
    listener: TcpListener,
    router: Router,
    options: ListenOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let closing = watch::Sender::new(false);
    let is_loopback = listener.local_addr().is_ok_and(|it| it.ip().to_canonical().is_loopback());
    let names = Arc::new(Names { known: options.names, is_loopback });
    let service = Service {
        acceptor: options.tls.map(TlsAcceptor::from),
        router: router.layer(from_fn_with_state(names, browser::guard)),
        write_timeout: options.write_timeout,
    };
    let mut connections = JoinSet::new();
    let mut admitted = Connections::new(options.max_connections);
    let mut waiting: VecDeque<(TcpStream, IpAddr)> = VecDeque::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next_with_id() => {
                admitted.remove(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => waiting.push_back((stream, peer.ip())),
                Err(error) => pause_after(&error).await,
            },
            () = sleep(ROUND), if !waiting.is_empty() => {}
        }
        for (stream, peer) in std::mem::take(&mut waiting) {
            if admitted.has_room(peer) {
                let moved = Arc::<AtomicU64>::default();
                let serving = service.clone().serve(stream, moved.clone(), closing.subscribe());
                admitted.add(peer, moved, connections.spawn(serving));
            } else if waiting.len() < admitted.max_waiting() {
                waiting.push_back((stream, peer));
            }
        }
    }
    drop((listener, waiting));
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

/// What every connection gets.
#[derive(Clone)]
struct Service {
    acceptor: Option<TlsAcceptor>,
    router: Router,
    write_timeout: Duration,
}

impl Service {
    async fn serve(self, stream: TcpStream, moved: Arc<AtomicU64>, closing: watch::Receiver<bool>) {
        // A socket without TCP_NODELAY still works, only slower.
        let _ = stream.set_nodelay(true);
        let stream = Watched::new(stream, moved, self.write_timeout);
        let Some(acceptor) = self.acceptor else {
            return serve_http(stream, self.router, closing).await;
        };
        match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve_http(stream, self.router, closing).await,
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a TLS handshake failed")
            }
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
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

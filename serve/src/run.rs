//! The accept loop, and how it ends without losing a request.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::handle::Handle;

/// A request's head in bytes, at most; beyond it 431.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long before the end whoever still waits is told that there will be no answer.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a connection gets that is one too many.
const NO_ROOM: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves connections until `shutdown`, then drains and returns. Times are those of
/// [`ServeOptions`](crate::ServeOptions):
///
/// 1. `/readyz` says no at once; for `drain_delay` new connections are still accepted, as others
///    need time to hear of it.
/// 2. New connections are refused, and answers end their connection. An idle one has `drain_linger`
///    to bring a last request.
/// 3. Requests that have begun are finished; whatever has no answer shortly before `drain_timeout`
///    after the shutdown gets 503, and whoever does not take it is cut off then.
pub async fn run(
    listener: TcpListener,
    router: Router,
    handle: Handle,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let options = handle.options().clone();
    let mut connections = Connections {
        router,
        head_timeout: options.head_timeout,
        max_connections: options.max_connections,
        closing: watch::Sender::new(false),
        tasks: JoinSet::new(),
    };
    connections.accept_until(&listener, shutdown).await;

    let deadline = Instant::now() + options.drain_timeout;
    let is_idle = handle.shared.idle_for() > Duration::from_secs(1);
    let linger = if is_idle { options.drain_linger / 10 } else { options.drain_linger };
    handle.begin_drain();
    connections
        .accept_until(&listener, sleep(options.drain_delay.min(options.drain_timeout)))
        .await;

    connections.close(listener)?;
    handle.close_connections();
    let last_word = deadline - LAST_WORD.min(options.drain_timeout / 4);
    let _ = timeout_at(last_word.min(Instant::now() + linger), connections.all_done()).await;
    connections.closing.send_replace(true);
    if timeout_at(last_word, connections.all_done()).await.is_err() {
        handle.give_up();
    }
    if timeout_at(deadline, connections.all_done()).await.is_err() {
        tracing::warn!(
            n_connections = connections.tasks.len(),
            "connections were cut off at the drain timeout"
        );
    }
    connections.tasks.shutdown().await;
    Ok(())
}

/// The open connections.
struct Connections {
    router: Router,
    head_timeout: Duration,
    max_connections: usize,
    /// Says when idle connections end.
    closing: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Connections {
    async fn accept_until(&mut self, listener: &TcpListener, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return,
                Some(_) = self.tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    Err(error) => pause_after(&error).await,
                }
            }
        }
    }

    fn serve(&mut self, stream: TcpStream) {
        if self.tasks.len() >= self.max_connections {
            // Said without waiting: whoever does not listen is not waited for.
            let _ = stream.try_write(NO_ROOM);
            return;
        }
        // A socket without TCP_NODELAY still works, only slower.
        let _ = stream.set_nodelay(true);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(MAX_HEAD_BYTES);
        let connection = builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router.clone()));
        let mut closing = self.closing.subscribe();
        self.tasks.spawn(async move {
            let mut connection = pin!(connection);
            let mut ended = tokio::select! {
                ended = connection.as_mut() => Some(ended),
                () = async { drop(closing.wait_for(|closing| *closing).await) } => None,
            };
            if ended.is_none() {
                connection.as_mut().graceful_shutdown();
                ended = Some(connection.await);
            }
            if let Some(Err(error)) = ended {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection ended early"
                );
            }
        });
    }

    /// Closes the listener; what the system has accepted for us meanwhile is served first, not
    /// reset.
    fn close(&mut self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            self.serve(TcpStream::from_std(stream)?);
        }
        Ok(())
    }

    async fn all_done(&mut self) {
        while self.tasks.join_next().await.is_some() {}
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

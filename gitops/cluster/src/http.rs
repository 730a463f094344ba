//! HTTP for the API: answers that are whole, and answers that flow until the client leaves. All of
//! it is bounded: connections, heads, bodies, and the time to send them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};

/// The longest request head that is read, and the longest body.
const MAX_HEAD: usize = 16 << 10;
const MAX_BODY: usize = 64 << 10;
/// How many clients are connected at once; whoever comes then waits.
const MAX_CLIENTS: usize = 64;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many pieces of an answer that flows may wait for a slow client.
const AHEAD: usize = 16;

/// What somebody asks.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// The value of `Accept`, and of `Content-Type`.
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// What is answered.
pub(crate) enum Answer {
    /// Status code, media type, body.
    Whole(u16, &'static str, String),
    /// Media type, and who writes until all is said or nobody listens.
    Flow(&'static str, Box<dyn FnOnce(&Sink) + Send>),
}

/// Where an answer flows to.
pub(crate) struct Sink(mpsc::Sender<Bytes>);

impl Sink {
    /// Sends a piece; says whether somebody listens.
    pub(crate) fn send(&self, piece: impl Into<Bytes>) -> bool {
        self.0.blocking_send(piece.into()).is_ok()
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}

type Answerer = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// The listening server. Dropping it closes it, with all that flows.
pub(crate) struct Server {
    at: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves at an address; `answer` is called on threads that may block.
    pub(crate) fn start(
        address: SocketAddr,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("http")
            .max_blocking_threads(2 * MAX_CLIENTS)
            .build()?;
        let (end, ended) = oneshot::channel();
        let answerer: Answerer = Arc::new(answer);
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || serve(runtime, listener, answerer, ended))?;
        Ok(Self { at, end: Some(end), thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    runtime: Runtime,
    listener: std::net::TcpListener,
    answerer: Answerer,
    ended: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept(listener, answerer, &mut connections) => {}
            _ = ended => {}
        }
        // Whoever writes into an answer sees that nobody listens, and ends.
        connections.shutdown().await;
    });
    runtime.shutdown_timeout(PATIENCE);
}

/// Takes clients, each in a task of its own.
async fn accept(listener: TcpListener, answerer: Answerer, connections: &mut JoinSet<()>) {
    let room = Arc::new(Semaphore::new(MAX_CLIENTS));
    let service = TowerToHyperService::new(Router::new().fallback(handle).with_state(answerer));
    loop {
        let permit: Result<OwnedSemaphorePermit, _> = Arc::clone(&room).acquire_owned().await;
        let Ok((client, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give others the time to close some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(client), service.clone());
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            let _ = connection.await;
            drop(permit);
        });
    }
}

async fn handle(State(answerer): State<Answerer>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await;
    let body = body.ok().and_then(Result::ok).map(Vec::from).map(String::from_utf8);
    let Some(Ok(body)) = body else {
        let why = "the body is too long, too slow, cut off, or no text";
        return (StatusCode::PAYLOAD_TOO_LARGE, why).into_response();
    };
    let text = |name: HeaderName| {
        let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",")
    };
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        body,
    };
    match spawn_blocking(move || answerer(&request)).await {
        Ok(Answer::Whole(status, media_type, body)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, media_type)], body).into_response()
        }
        Ok(Answer::Flow(media_type, write)) => {
            let (sender, receiver) = mpsc::channel(AHEAD);
            spawn_blocking(move || write(&Sink(sender)));
            let pieces = stream::unfold(receiver, async |mut receiver| {
                receiver.recv().await.map(|piece| (Ok::<_, Infallible>(piece), receiver))
            });
            ([(header::CONTENT_TYPE, media_type)], Body::from_stream(pieces)).into_response()
        }
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::mpsc as plain;

    use super::*;

    fn server() -> Server {
        let any = "127.0.0.1:0".parse().unwrap();
        Server::start(any, |it| {
            let said = format!("{} {}?{} {}", it.method, it.path, it.query, it.body);
            Answer::Whole(200, "text/plain", said)
        })
        .unwrap()
    }

    fn said(server: &Server, request: &str) -> String {
        let mut client = TcpStream::connect(server.at).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn requests_are_bounded() {
        let server = server();
        let whole = said(&server, "GET /a?b=c HTTP/1.1\r\nconnection: close\r\n\r\n");
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n"), "{whole}");
        assert!(whole.ends_with("GET /a?b=c "), "{whole}");
        let patch =
            said(&server, "PATCH /a HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
        assert!(patch.ends_with("PATCH /a? {}"), "{patch}");
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEAD));
        assert!(said(&server, &long).starts_with("HTTP/1.1 431 "));
        let length = MAX_BODY + 1;
        let body = "y".repeat(length);
        let big = format!(
            "PATCH / HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        assert!(said(&server, &big).starts_with("HTTP/1.1 413 "));
        assert!(said(&server, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn what_flows_ends_when_the_client_leaves_or_the_server() {
        let (ended, ends) = plain::channel();
        let any = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(any, move |_| {
            let ended = ended.clone();
            let write = move |sink: &Sink| {
                while sink.send("tick\n") {}
                ended.send(sink.is_open()).unwrap();
            };
            Answer::Flow("text/plain", Box::new(write))
        })
        .unwrap();
        let listen = || {
            let mut client = TcpStream::connect(server.at).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            // More than the head: who writes has begun.
            let mut begin = [0; 512];
            client.read_exact(&mut begin).unwrap();
            client
        };
        drop(listen());
        assert!(!ends.recv().unwrap());
        let client = listen();
        drop(server);
        assert!(!ends.recv().unwrap());
        drop(client);
    }
}

//! The accept loop over real sockets.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kit_serve::ServeOptions;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{FirstNumber, ready, until};

const PREDICT: &str = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"text\":\"1\"}";

struct Running {
    predictor: FirstNumber,
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

async fn running(options: ServeOptions) -> Running {
    let (predictor, router, handle) = ready(options).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, asked) = oneshot::channel::<()>();
    let ended = tokio::spawn(kit_serve::run(listener, router, handle, async { drop(asked.await) }));
    Running { predictor, address, shutdown, ended }
}

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one request and reads its answer: the status line and whether the connection ends.
    fn ask(&mut self, request: &str) -> io::Result<(String, bool)> {
        self.0.get_mut().write_all(request.as_bytes())?;
        self.read()
    }

    fn read(&mut self) -> io::Result<(String, bool)> {
        let (mut status, mut length, mut closes) = (String::new(), 0, false);
        for n in 0.. {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().to_ascii_lowercase() {
                line if line.is_empty() => break,
                line if n == 0 => status = line,
                line => match line.split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(("connection", "close")) => closes = true,
                    _ => {}
                },
            }
        }
        self.0.read_exact(&mut vec![0; length])?;
        Ok((status, closes))
    }
}

/// Asks until connections are refused; every request that could be sent must be answered. Returns
/// how many were.
fn hammer(address: SocketAddr, n_answers: &AtomicUsize) {
    loop {
        let mut client = match Client::connect(address) {
            Ok(client) => client,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                return;
            }
        };
        loop {
            let (status, closes) =
                client.ask(PREDICT).expect("a request that was sent is answered");
            assert_eq!(status, "http/1.1 200 ok");
            n_answers.fetch_add(1, Ordering::Relaxed);
            if closes {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_under_load_loses_no_request() {
    let options = ServeOptions {
        drain_delay: Duration::from_millis(100),
        drain_linger: Duration::from_secs(10),
        ..Default::default()
    };
    let Running { address, shutdown, ended, .. } = running(options).await;
    let n_answers = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let n_answers = Arc::clone(&n_answers);
            std::thread::spawn(move || hammer(address, &n_answers))
        })
        .collect();
    until(async || n_answers.load(Ordering::Relaxed) > 200).await;
    let mut probe = Client::connect(address).unwrap();
    shutdown.send(()).unwrap();
    let asked = n_answers.load(Ordering::Relaxed);
    until(async || {
        probe
            .ask("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
            .is_ok_and(|(status, _)| status.contains("503"))
    })
    .await;
    drop(probe);
    ended.await.unwrap().unwrap();
    for client in clients {
        client.join().expect("no client lost a request");
    }
    assert!(n_answers.load(Ordering::Relaxed) > asked, "answers went on during the drain delay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_server_ends_at_once() {
    let Running { address, shutdown, ended, .. } = running(ServeOptions::default()).await;
    let mut idle = Client::connect(address).unwrap();
    assert_eq!(idle.ask(PREDICT).unwrap().0, "http/1.1 200 ok");
    let started = Instant::now();
    shutdown.send(()).unwrap();
    ended.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(idle.0.read(&mut [0]).unwrap(), 0, "the idle connection was closed");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let Running { predictor, address, shutdown, ended } = running(ServeOptions::default()).await;
    predictor.gate.close();
    let mut client = Client::connect(address).unwrap();
    client.0.get_mut().write_all(PREDICT.as_bytes()).unwrap();
    until(async || predictor.gate.holds()).await;
    shutdown.send(()).unwrap();
    until(async || TcpStream::connect(address).is_err()).await;
    predictor.gate.open();
    let answer = tokio::task::spawn_blocking(move || client.read()).await.unwrap().unwrap();
    assert_eq!(answer, ("http/1.1 200 ok".to_owned(), true));
    ended.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_is_told_so_before_the_deadline() {
    let options = ServeOptions { drain_timeout: Duration::from_millis(300), ..Default::default() };
    let Running { predictor, address, shutdown, ended } = running(options).await;
    predictor.gate.close();
    let mut client = Client::connect(address).unwrap();
    client.0.get_mut().write_all(PREDICT.as_bytes()).unwrap();
    until(async || predictor.gate.holds()).await;
    let started = Instant::now();
    shutdown.send(()).unwrap();
    ended.await.unwrap().unwrap();
    assert!(
        (Duration::from_millis(220)..Duration::from_secs(10)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(client.read().unwrap(), ("http/1.1 503 service unavailable".to_owned(), true));
    predictor.gate.open();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_ends_its_head_is_cut_off() {
    let Running { address, shutdown: _running, .. } =
        running(ServeOptions { head_timeout: Duration::from_millis(50), ..Default::default() })
            .await;
    let mut slow = Client::connect(address).unwrap();
    slow.0.get_mut().write_all(b"POST /predict HTTP/1.1\r\nhost: ").unwrap();
    let rest =
        tokio::task::spawn_blocking(move || slow.0.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(rest.is_ok_and(|n_bytes| n_bytes < 300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_is_not_computed_for() {
    let Running { predictor, address, shutdown: _running, .. } =
        running(ServeOptions::default()).await;
    predictor.gate.close();
    let [mut first, mut gone] = [(); 2].map(|()| Client::connect(address).unwrap());
    first.0.get_mut().write_all(PREDICT.as_bytes()).unwrap();
    until(async || predictor.gate.holds()).await;
    gone.0.get_mut().write_all(PREDICT.as_bytes()).unwrap();
    until(async || metrics(address).contains("kit_rs_serve_queue_depth{unit=\"texts\"} 1\n")).await;
    drop(gone);
    until(async || metrics(address).contains("kit_rs_serve_in_flight 1\n")).await;
    predictor.gate.open();
    let answer = tokio::task::spawn_blocking(move || first.ask(PREDICT)).await.unwrap().unwrap();
    assert_eq!(answer.0, "http/1.1 200 ok");
    assert!(
        predictor.batches.lock().unwrap().iter().sum::<usize>() <= 2,
        "only the first client's requests were computed"
    );
}

fn metrics(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

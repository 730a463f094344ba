//! A closed-loop load over kept-alive connections, and what came of it.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One kept-alive connection.
pub(crate) struct Client(BufReader<TcpStream>);

/// An answer, as far as it is looked at.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether the connection ends with it.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").eq_ignore_ascii_case("close")
    }
}

/// A whole request with a JSON body.
pub(crate) fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.0.get_mut().write_all(request)?;
        self.read(!request.starts_with(b"HEAD "))
    }

    fn read(&mut self, has_body: bool) -> io::Result<Answer> {
        let mut line = String::new();
        let bad = || io::Error::new(ErrorKind::InvalidData, "not an answer of HTTP/1.1");
        if self.0.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(bad)?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length =
            headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0usize);
        let mut body = vec![0; if has_body { length.min(64 << 20) } else { 0 }];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, headers, body })
    }
}

/// What a load measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Answers with status 200 per second.
    pub(crate) rate: f64,
    /// Their latencies, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// Answers with another status, and requests without an answer.
    pub(crate) failures: usize,
}

impl Measured {
    /// A latency that so many of a hundred do not exceed, in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place =
            (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Lets `n_clients` ask without a pause for a time; `body` gets a number that differs between
/// requests.
pub(crate) fn closed_loop(
    address: SocketAddr,
    n_clients: usize,
    duration: Duration,
    body: &(dyn Fn(usize) -> String + Sync),
) -> Measured {
    let measured = Mutex::new(Measured::default());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for first in 0..n_clients {
            let measured = &measured;
            scope.spawn(move || {
                let (mut latencies, mut failures) = (Vec::new(), 0);
                let mut client = Client::connect(address).ok();
                for n in 0.. {
                    if started.elapsed() >= duration {
                        break;
                    }
                    let question = request("POST", "/predict", &body(first + n * n_clients));
                    let asked = Instant::now();
                    match client.as_mut().map(|client| client.ask(&question)) {
                        Some(Ok(answer)) if answer.status == 200 => latencies.push(asked.elapsed()),
                        Some(Ok(_)) => failures += 1,
                        _ => {
                            failures += 1;
                            std::thread::sleep(Duration::from_millis(10));
                            client = Client::connect(address).ok();
                        }
                    }
                }
                let mut measured = measured.lock().expect("no holder panics");
                measured.latencies.append(&mut latencies);
                measured.failures += failures;
            });
        }
    });
    let mut measured = measured.into_inner().expect("no holder panics");
    measured.latencies.sort_unstable();
    measured.rate = measured.latencies.len() as f64 / started.elapsed().as_secs_f64();
    measured
}

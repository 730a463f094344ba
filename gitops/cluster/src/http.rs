//! A small HTTP/1.1 responder: one GET, DELETE or PATCH a connection, everything bounded.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest request head that is read, and the longest body.
const MAX_HEAD: u64 = 16 << 10;
const MAX_BODY: u64 = 64 << 10;
/// How many clients are served at once; whoever comes then is dropped.
const MAX_CLIENTS: usize = 64;
/// How long a client may take to ask and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Status code, media type, body.
pub(crate) type Answer = (u16, &'static str, String);

/// The listening server. Dropping it closes it.
pub(crate) struct Server {
    at: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves at an address; `answer` gets the method, the target of each request, `/path?query`, and
    /// its body.
    pub(crate) fn start(
        address: SocketAddr,
        answer: impl Fn(&str, &str, &str) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let at = listener.local_addr()?;
        let closed = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&closed);
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || accept(&listener, &end, &answer))?;
        Ok(Self { at, closed, thread: Some(thread) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        // Nothing but a connection wakes a thread out of accept.
        if TcpStream::connect_timeout(&self.at, PATIENCE).is_ok() {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

/// Takes clients, each in a thread of its own, until `closed`.
fn accept(
    listener: &TcpListener,
    closed: &AtomicBool,
    answer: &(impl Fn(&str, &str, &str) -> Answer + Sync),
) {
    let clients = &AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in listener.incoming() {
            if closed.load(Ordering::Acquire) {
                return;
            }
            match client {
                Ok(client) if clients.load(Ordering::Acquire) < MAX_CLIENTS => {
                    clients.fetch_add(1, Ordering::AcqRel);
                    scope.spawn(move || {
                        let _ = serve(answer, client);
                        clients.fetch_sub(1, Ordering::AcqRel);
                    });
                }
                Ok(_) => {}
                // Out of file descriptors, most likely: give others the time to close some.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    });
}

/// Reads one request head and answers it.
fn serve(answer: &impl Fn(&str, &str, &str) -> Answer, mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut input = BufReader::new((&client).take(MAX_HEAD + MAX_BODY));
    let request = request_head((&mut input).take(MAX_HEAD))?;
    let (line, length) = request.unwrap_or_default();
    let words: Vec<_> = line.split_whitespace().collect();
    let (status, media_type, body) = match words[..] {
        [] => (431, "text/plain", "the request head is too long or cut off".to_owned()),
        [method @ ("GET" | "DELETE"), target, "HTTP/1.0" | "HTTP/1.1"] => {
            answer(method, target, "")
        }
        ["PATCH", target, "HTTP/1.0" | "HTTP/1.1"] => match read_body(&mut input, length)? {
            Some(body) => answer("PATCH", target, &body),
            None => (413, "text/plain", "the body is too long, cut off, or no text".to_owned()),
        },
        [_, _, "HTTP/1.0" | "HTTP/1.1"] => {
            (405, "text/plain", "what runs is said in Git, and not here".to_owned())
        }
        _ => (400, "text/plain", "this is no HTTP/1.1 request".to_owned()),
    };
    let (phrase, length) = (phrase(status), body.len());
    let head = format!(
        "HTTP/1.1 {status} {phrase}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n"
    );
    write!(client, "{head}connection: close\r\n\r\n{body}")?;
    // A client that is still sending would lose the answer if the connection were closed on it now.
    client.shutdown(Shutdown::Write)?;
    io::copy(&mut client.take(MAX_HEAD), &mut io::sink()).map(drop)
}

/// The first line of a request head and the length of the body, once the whole head is there.
fn request_head(head: impl BufRead) -> io::Result<Option<(String, u64)>> {
    let (mut first, mut length) = (None, 0);
    for line in head.lines() {
        match line? {
            line if line.is_empty() => return Ok(first.map(|first| (first, length))),
            line => {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap_or(u64::MAX);
                }
                first.get_or_insert(line);
            }
        }
    }
    Ok(None)
}

/// A body of that length; none where it is too long or something is missing.
fn read_body(input: &mut impl Read, length: u64) -> io::Result<Option<String>> {
    if length > MAX_BODY {
        return Ok(None);
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    let is_whole = body.len() as u64 == length;
    Ok(String::from_utf8(body).ok().filter(|_| is_whole))
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        _ => "Request Header Fields Too Large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, expected: &str) {
        let any = "127.0.0.1:0".parse().unwrap();
        let server =
            Server::start(any, |_, target, body| (200, "text/plain", format!("{target}{body}")))
                .unwrap();
        let mut client = TcpStream::connect(server.at).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
    }

    #[test]
    fn only_a_complete_request_is_answered() {
        check(
            "GET /a?b=c HTTP/1.1\r\nhost: x\r\n\r\n",
            "200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n",
        );
        check("POST /a HTTP/1.1\r\n\r\n", "405 ");
        check(
            "PATCH /a HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
            "200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n",
        );
        check("PATCH /a HTTP/1.1\r\ncontent-length: 3\r\n\r\n{}", "413 ");
        check("PATCH /a HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n{}", "413 ");
        check("GET /a HTTP/1.1\r\nhost: x\r\n", "431 ");
        check("nonsense\r\n\r\n", "400 ");
        check("", "431 ");
    }

    #[test]
    fn a_head_without_end_is_cut_off() {
        check(&format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(MAX_HEAD as usize)), "431 ");
    }
}

//! Bare repositories over smart HTTP, as a forge serves them: `git http-backend` behind a server of
//! a few lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};

/// The most that a request may send.
const MAX_BODY: u64 = 64 << 20;

/// Serves the repositories below a folder until it is dropped.
pub(crate) struct GitServer {
    address: String,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GitServer {
    /// Listens on a free port of loopback.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let over = Arc::new(AtomicBool::new(false));
        let (root, end) = (root.to_owned(), Arc::clone(&over));
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Acquire) {
                    return;
                }
                let root = root.clone();
                std::thread::spawn(move || drop(answer(stream, &root)));
            }
        };
        let thread = std::thread::Builder::new().name("git".into()).spawn(accept)?;
        Ok(Self { address, over, thread: Some(thread) })
    }

    /// The URL of a repository.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // The last connection is ours, and wakes it.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request for each connection.
fn answer(stream: TcpStream, root: &PathBuf) -> anyhow::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().context("no method")?.to_owned();
    let target = words.next().context("no path")?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = Command::new("git");
    backend.args(["-c", "safe.directory=*", "-c", "http.receivepack=true", "http-backend"]);
    backend.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", &method);
    backend.env("REMOTE_USER", "git").env("REMOTE_ADDR", "127.0.0.1");
    let (mut length, mut is_chunked, mut continues) = (0, false, false);
    loop {
        let mut header = String::new();
        input.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "content-type" => drop(backend.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(backend.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(backend.env("GIT_PROTOCOL", value)),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            "expect" => continues = true,
            _ => {}
        }
    }
    if continues {
        (&stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    ensure!(length <= MAX_BODY, "a body of {length} bytes");
    let mut body = Vec::new();
    match is_chunked {
        true => read_chunks(&mut input, &mut body)?,
        false => drop(input.take(length).read_to_end(&mut body)?),
    }
    backend.env("CONTENT_LENGTH", body.len().to_string());
    let mut child =
        backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut to_git = child.stdin.take().context("stdin is a pipe")?;
    let feed = std::thread::spawn(move || drop(to_git.write_all(&body)));
    let output = child.wait_with_output()?;
    let _ = feed.join();
    reply(&stream, &output.stdout)
}

fn read_chunks(input: &mut impl std::io::BufRead, body: &mut Vec<u8>) -> anyhow::Result<()> {
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).context("no size of a chunk")?;
        ensure!(body.len() as u64 + size <= MAX_BODY, "too large a body");
        input.take(size).read_to_end(body)?;
        input.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// What a CGI program says, as HTTP.
fn reply(mut stream: &TcpStream, said: &[u8]) -> anyhow::Result<()> {
    let end = said.windows(4).position(|window| window == b"\r\n\r\n").context("no headers")?;
    let (mut status, mut headers) = ("200 OK".to_owned(), String::new());
    for line in String::from_utf8_lossy(&said[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", value)) => status = value.to_owned(),
            _ => headers += &format!("{line}\r\n"),
        }
    }
    let content = &said[end + 4..];
    let length = content.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(content)?;
    Ok(())
}

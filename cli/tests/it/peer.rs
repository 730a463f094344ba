//! Another side that answers as a test wants it to: one answer for each request.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// What it says to a request, of which the head is given: the status line's end, further header
/// lines, and the body.
pub(crate) type Answer = (&'static str, String, String);

/// Listens on a free port, and answers for as long as the test runs. Returns HOST:PORT.
pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // A client may keep one open and ask over another.
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&connection, &*answer));
        }
    });
    address
}

fn serve(connection: &TcpStream, answer: &dyn Fn(&str) -> Answer) {
    let mut reader = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(n) if n > 0 => (),
                _ => return,
            }
        }
        let (status, headers, body) = answer(&head);
        let body = if head.starts_with("HEAD ") { "" } else { &body };
        let said =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
        let mut connection = connection;
        if connection.write_all(said.as_bytes()).is_err() {
            return;
        }
    }
}

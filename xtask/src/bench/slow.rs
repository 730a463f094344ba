//! Slow connections, and many of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::ensure;

/// How long what a server sends is on its way.
const LATENCY: Duration = Duration::from_millis(50);
/// How much of one connection can be on its way, in bytes.
const WINDOW: usize = 256 * 1024;

/// Stands before a server: each connection brings 256 KiB every 50 ms at most. Returns its address.
pub(super) fn before(server: &str) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&server) else { continue };
            let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
                continue;
            };
            std::thread::spawn(move || pass(from_client, to_server, Duration::ZERO));
            std::thread::spawn(move || pass(server, client, LATENCY));
        }
    });
    Ok(address)
}

fn pass(mut from: TcpStream, mut to: TcpStream, latency: Duration) {
    let mut window = vec![0; WINDOW];
    while let Ok(n) = from.read(&mut window) {
        std::thread::sleep(if n == 0 { Duration::ZERO } else { latency });
        if n == 0 || to.write_all(&window[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Reads every address to its end; the last answer must have so many bytes.
pub(super) fn read_all(urls: &[String], size: usize) -> anyhow::Result<()> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .new_agent();
    let mut last = 0;
    for url in urls {
        let mut response = agent.get(url).call()?;
        let mut reader = response.body_mut().with_config().limit(size as u64 + 1).reader();
        last = usize::try_from(std::io::copy(&mut reader, &mut std::io::sink())?)?;
    }
    ensure!(last == size, "{last} bytes instead of {size}");
    Ok(())
}

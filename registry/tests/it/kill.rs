//! `kill -9` of the client or of the registry in the midst of a push or a pull, and then again: the
//! transfer goes on where it was.
//!
//! The victim is killed when so many bytes have gone through a proxy; the number is drawn, and the
//! seed is printed. The same with fifty points and the real program is `cargo xtask interop --only
//! kill`.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kit_registry::server::{ListenOptions, Registry, ServerOptions, run};
use kit_registry::{Client, ClientOptions, Descriptor, Layout, pull, push};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{deaf, reference};
use crate::layout::{new_layout, put_image};

const SIZE: usize = 40 * 1024 * 1024;
/// What may be lost: blocks that were not whole, and what lay in the buffers of the sockets, of the
/// victim and of the proxy.
const SLACK: u64 = 16 * 1024 * 1024;
const N_ROUNDS: u64 = 5;

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the seed draws the same points again")]
async fn what_was_killed_goes_on() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    for round in 0..N_ROUNDS {
        let (kills_server, is_push) = (round % 2 == 1, round % 4 < 2);
        let at = 1 + random.below(SIZE as u64);
        println!("round {round}: server {kills_server}, push {is_push}, at {at}");
        Round::new(at, kills_server).await.play(is_push).await;
    }
}

/// A registry in its own process, with a proxy before it that kills.
struct Round {
    at: u64,
    kills_server: bool,
    root: tempfile::TempDir,
    server: Option<Process>,
    address: SocketAddr,
    proxy: SocketAddr,
    victim: Arc<Victim>,
}

/// Who is killed when so many bytes have passed.
struct Victim {
    left: AtomicU64,
    process: Mutex<Option<Process>>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Victim {
    /// Counts bytes that pass; at the last of them the victim dies.
    fn count(&self, n: u64) {
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(n))
        });
        if before.is_ok_and(|before| before > 0 && before <= n) {
            drop(self.process.lock().unwrap().take());
        }
    }
}

impl Round {
    async fn new(at: u64, kills_server: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (server, address) = start_server(root.path(), "127.0.0.1:0").await;
        let victim = Arc::new(Victim { left: AtomicU64::new(u64::MAX), process: Mutex::new(None) });
        let proxy = counting(address, victim.clone()).await;
        Self { at, kills_server, root, server: Some(server), address, proxy, victim }
    }

    async fn play(mut self, is_push: bool) {
        let (from, layout) = new_layout();
        let (to, other) = new_layout();
        let image = put_image(&layout, &[&"0123456789abcdef".repeat(SIZE / 16)]);
        let tag = reference(self.proxy, "demo/kit:v1");
        layout.tag(&image, &tag).unwrap();
        if !is_push {
            push(&layout, &image, &tag, &client(), &deaf).await.unwrap();
        }
        let order = if is_push { from.path() } else { to.path() };
        self.kill_in(if is_push { "push" } else { "pull" }, order, &tag.to_string(), &image);
        if self.kills_server {
            self.server = Some(start_server(self.root.path(), &self.address.to_string()).await.0);
        }
        let moved = match is_push {
            true => push(&layout, &image, &tag, &client(), &deaf).await.unwrap().uploaded_bytes,
            false => pull(&client(), &tag, &other, &deaf).await.unwrap().downloaded_bytes,
        };
        // The registry may still be taking what the dead have sent when it is asked how far it is:
        // that much is sent in vain.
        let most = SIZE as u64 + SLACK / 2 - self.at.saturating_sub(SLACK);
        assert!(moved <= most, "{moved} bytes moved again after {} had", self.at);
        if is_push {
            pull(&client(), &tag, &other, &deaf).await.unwrap();
        }
        assert!(other.verify(&image).unwrap().problems.is_empty());
        drop(self.server.take());
        let kept = Layout::init(self.root.path()).unwrap();
        assert!(kept.verify(&image).unwrap().problems.is_empty());
    }

    /// Runs a client until it ends, or the victim is killed.
    fn kill_in(&mut self, verb: &str, layout: &Path, tag: &str, image: &Descriptor) {
        let client = start(&format!("{verb} {tag} {} {}", image.digest(), layout.display()));
        let (victim, mut bystander) = match self.kills_server {
            true => (self.server.take().unwrap(), Some(client)),
            false => (client, None),
        };
        *self.victim.process.lock().unwrap() = Some(victim);
        self.victim.left.store(self.at, Ordering::Relaxed);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let is_over = match (&mut bystander, &mut *self.victim.process.lock().unwrap()) {
                // The client whose registry was killed ends by itself.
                (Some(client), _) => client.0.try_wait().unwrap().is_some(),
                (None, Some(victim)) => victim.0.try_wait().unwrap().is_some(),
                (None, None) => true,
            };
            if is_over {
                break;
            }
            assert!(Instant::now() < deadline, "nobody ends");
            std::thread::yield_now();
        }
        self.victim.left.store(u64::MAX, Ordering::Relaxed);
        drop(self.victim.process.lock().unwrap().take());
    }
}

fn client() -> Client {
    Client::new(ClientOptions {
        backoff: Duration::from_millis(1),
        retries: 3,
        ..ClientOptions::default()
    })
    .unwrap()
}

/// Passes connections on, and counts what goes through.
async fn counting(server: SocketAddr, victim: Arc<Victim>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let victim = victim.clone();
            tokio::spawn(async move {
                let Ok(server) = TcpStream::connect(server).await else { return };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                // What one side has sent before it died still reaches the other.
                tokio::join!(
                    copy(from_client, to_server, &victim),
                    copy(from_server, to_client, &victim)
                );
            });
        }
    });
    address
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    victim: &Victim,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut buffer).await {
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
        victim.count(n as u64);
    }
}

async fn start_server(root: &Path, address: &str) -> (Process, SocketAddr) {
    let note = root.join("address");
    let _ = std::fs::remove_file(&note);
    let server = start(&format!("serve {address} - {}", root.display()));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(address) =
            std::fs::read_to_string(&note).ok().and_then(|it| it.strip_suffix('\n')?.parse().ok())
        {
            return (server, address);
        }
        assert!(Instant::now() < deadline, "the registry does not start");
        tokio::task::yield_now().await;
    }
}

/// Runs [`in_its_own_process`], and tells it what to do on its standard input.
fn start(order: &str) -> Process {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::in_its_own_process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
    Process(child)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests run it, as a process"]
async fn in_its_own_process() {
    let mut order = String::new();
    std::io::stdin().read_to_string(&mut order).unwrap();
    let words: Vec<&str> = order.splitn(4, ' ').collect();
    let [verb, place, digest, root] = words[..] else { return };
    let layout = Layout::init(root.as_ref()).unwrap();
    match verb {
        "serve" => {
            let listener = TcpListener::bind(place).await.unwrap();
            let address = listener.local_addr().unwrap();
            std::fs::write(Path::new(root).join("address"), format!("{address}\n")).unwrap();
            let router = Registry::new(layout, ServerOptions::default()).router();
            run(listener, router, ListenOptions::default(), std::future::pending()).await;
        }
        "push" => {
            let image = layout.resolve(&place.parse().unwrap()).unwrap();
            assert_eq!(image.digest().as_ref(), digest);
            push(&layout, &image, &place.parse().unwrap(), &client(), &deaf).await.unwrap();
        }
        _ => {
            pull(&client(), &place.parse().unwrap(), &layout, &deaf).await.unwrap();
        }
    }
}

//! `kill -9` at more than a hundred drawn points: of the client or of the registry, in the midst of a push or
//! of a pull, and of what writes into a folder. Then the same again, which has to come to its end;
//! a transfer by going on, not by beginning anew.

mod folders;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use fs_err as fs;
use serde_json::Value;

use crate::e2e::say;
use crate::registries::{Registry, Shop, digest_of};
use crate::report::Report;

const N_ROUNDS: u64 = 50;
const SIZE: usize = 64 << 20;
/// What may move again: what lay in the buffers of sockets and processes, and blocks that were not
/// whole.
const SLACK: u64 = 16 << 20;

/// Plays all rounds.
pub(super) fn run(
    program: &Path,
    seed: Option<u64>,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let shop = Shop::open(dir.to_owned(), program.to_owned())?;
    let seed = seed.map_or_else(
        || Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
        Ok::<_, anyhow::Error>,
    )?;
    say(&format!("seed {seed}"));
    let mut random = Random(seed);
    let mut spared = [0u64; 2];
    for kind in [
        "push, client killed",
        "push, registry killed",
        "pull, client killed",
        "pull, registry killed",
    ] {
        let n_rounds = N_ROUNDS / 4 + u64::from(kind.starts_with("push"));
        report.claim("kill -9", &format!("{kind}: {n_rounds} points, seed {seed}"), || {
            for round in 0..n_rounds {
                let at = 1 + random.below(SIZE as u64);
                let moved = play(&shop, kind, at)
                    .map_err(|error| error.context(format!("round {round}, at byte {at}")))?;
                spared[usize::from(kind.starts_with("pull"))] +=
                    (SIZE as u64).saturating_sub(moved);
            }
            Ok(())
        });
    }
    say(&format!(
        "bytes that did not move again: push {} MiB, pull {} MiB",
        spared[0] >> 20,
        spared[1] >> 20
    ));
    folders::run(program, &mut random, dir, report)
}

/// One round; returns how many bytes the second attempt moved.
fn play(shop: &Shop, kind: &str, at: u64) -> anyhow::Result<u64> {
    let (is_push, kills_client) = (kind.starts_with("push"), kind.contains("client"));
    for folder in ["registry", "to"] {
        if shop.dir.join(folder).exists() {
            fs::remove_dir_all(shop.dir.join(folder))?;
        }
    }
    let root = shop.dir.join("registry");
    let mut registry = Registry::ours(&shop.kit, &root, "127.0.0.1:0", &[])?;
    let killer = Killer::before(&registry.address)?;
    let tag = format!("{}/demo/kit:v1", killer.address);
    let packed = shop.pack("home", "localhost", SIZE)?;
    shop.kit("home", &format!("tag localhost/demo/kit:v1 {tag}"))?;
    if !is_push {
        shop.kit("home", &format!("push {tag}"))?;
    }
    let (home, verb) = if is_push { ("home", "push") } else { ("to", "pull") };
    let mut client = shop.kit_command(home, &format!("{verb} {tag}"));
    let client = client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let victim = if kills_client { client.id() } else { registry.id() };
    killer.aim(victim, at);
    end(client)?;
    killer.aim(0, u64::MAX >> 1);
    if !kills_client {
        let address = registry.address.clone();
        registry.kill()?;
        registry = Registry::ours(&shop.kit, &root, &address, &[])?;
    }
    let again: Value =
        serde_json::from_str(&shop.kit(home, &format!("{verb} {tag} --format json"))?)?;
    let moved = again[if is_push { "uploaded_bytes" } else { "downloaded_bytes" }]
        .as_u64()
        .unwrap_or(u64::MAX);
    // The registry may still be taking what the dead have sent when it is asked how far it is: that
    // much is sent in vain.
    let most = SIZE as u64 + SLACK / 2 - at.saturating_sub(SLACK).min(SIZE as u64);
    ensure!(moved <= most, "{moved} bytes moved again");
    if is_push {
        shop.kit("to", &format!("pull {tag}"))?;
    }
    let pulled = digest_of(&shop.kit("to", &format!("pull {tag}"))?)?;
    ensure!(pulled == packed, "{pulled} came instead of {packed}");
    shop.check_blobs("to/storage")?;
    shop.check_blobs("registry")?;
    drop(registry);
    Ok(moved)
}

/// Waits for a process, with an end to the patience.
fn end(mut child: Child) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("the client hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Passes connections on, and kills a process when so many bytes have gone through.
struct Killer {
    address: String,
    left: Arc<AtomicI64>,
    victim: Arc<AtomicU32>,
}

impl Killer {
    fn before(registry: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let killer = Self {
            address: listener.local_addr()?.to_string(),
            left: Arc::new(AtomicI64::new(i64::MAX)),
            victim: Arc::default(),
        };
        let (registry, left, victim) =
            (registry.to_owned(), killer.left.clone(), killer.victim.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&registry) else { continue };
                for (from, to) in [
                    (client.try_clone(), server.try_clone()),
                    (server.try_clone(), client.try_clone()),
                ] {
                    let (Ok(from), Ok(to)) = (from, to) else { continue };
                    let (left, victim) = (left.clone(), victim.clone());
                    std::thread::spawn(move || pass(from, to, &left, &victim));
                }
            }
        });
        Ok(killer)
    }

    fn aim(&self, victim: u32, at: u64) {
        self.victim.store(victim, Ordering::SeqCst);
        self.left.store(i64::try_from(at).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: &AtomicI64, victim: &AtomicU32) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
        let n = i64::try_from(n).unwrap_or(0);
        let before = left.fetch_sub(n, Ordering::SeqCst);
        let victim = victim.load(Ordering::SeqCst);
        if before > 0 && before <= n && victim != 0 {
            // One that has just ended is none.
            let _ = crate::process::kill(victim);
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

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

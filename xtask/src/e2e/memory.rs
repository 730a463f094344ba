//! How much memory the story takes: this process and everything that it started, added up while it
//! runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fs_err as fs;

/// How often is looked.
const PERIOD: Duration = Duration::from_millis(50);

/// Looks every few milliseconds until it is read.
pub(crate) struct Meter {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Meter {
    /// Begins to look.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (stop, peak) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (asked, highest) = (stop.clone(), peak.clone());
        let look = move || {
            while !asked.load(Ordering::Relaxed) {
                highest.fetch_max(resident_together(std::process::id()), Ordering::Relaxed);
                std::thread::sleep(PERIOD);
            }
        };
        let thread = std::thread::Builder::new().name("memory".into()).spawn(look)?;
        Ok(Self { stop, peak, thread })
    }

    /// The highest sum that was seen, in MiB.
    pub(crate) fn peak(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed) / 1024
    }
}

/// Resident memory of a process and its descendants, in KiB. Pages that several share count for
/// each.
fn resident_together(root: u32) -> u64 {
    let processes: BTreeMap<u32, (u32, u64)> = running().collect();
    let is_ours = |mut pid: u32| loop {
        match processes.get(&pid) {
            _ if pid == root => break true,
            Some((parent, _)) if *parent != 0 => pid = *parent,
            _ => break false,
        }
    };
    processes.iter().filter(|(pid, _)| is_ours(**pid)).map(|(_, (_, resident))| resident).sum()
}

/// Every process: its id, its parent's, and its resident memory in KiB (proc(5),
/// `/proc/pid/status`).
fn running() -> impl Iterator<Item = (u32, (u32, u64))> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some((pid, (u32::try_from(field("PPid:")?).ok()?, field("VmRSS:").unwrap_or(0))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(resident_together(std::process::id()) > 100);
        assert_eq!(resident_together(u32::MAX), 0);
    }
}

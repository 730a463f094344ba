//! The folder that a run works in: it says how much it needs, is refused where that is not free,
//! begins empty, and is taken away at the end, however the run ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::e2e::say;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// What is to be taken back, by number, for Ctrl-C, which asks nobody's `Drop`.
static OPEN: Mutex<BTreeMap<u64, Box<dyn FnOnce() + Send>>> = Mutex::new(BTreeMap::new());
static INTERRUPT: Once = Once::new();
/// Held by whoever takes something back: at Ctrl-C nobody else gets to the end of the process.
static TAKING_BACK: Mutex<()> = Mutex::new(());

/// Takes back what a run has made when it is dropped, or at Ctrl-C; what was made last goes first.
#[derive(Debug)]
#[must_use]
pub(crate) struct Undo(u64);

impl Undo {
    pub(crate) fn with(undo: impl FnOnce() + Send + 'static) -> Self {
        INTERRUPT.call_once(|| {
            // Who waits for Ctrl-C elsewhere makes nothing of the kind.
            let _ = ctrlc::set_handler(|| {
                let _all = TAKING_BACK.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some((_, undo)) = { open().pop_last() } {
                    undo();
                }
                std::process::exit(130);
            });
        });
        let mut open = open();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, Box::new(undo));
        Self(number)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _one = TAKING_BACK.lock().unwrap_or_else(PoisonError::into_inner);
        let undo = open().remove(&self.0);
        if let Some(undo) = undo {
            undo();
        }
    }
}

/// A folder for one run.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _undo: Undo,
}

impl Scratch {
    /// Makes the folder, or empties it; `bytes` is the most that will lie in it at a time.
    pub(crate) fn new(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::create_dir_all(path)?;
        // From here on, whatever fails takes it away.
        let root = fs::canonicalize(path)?;
        let gone = root.clone();
        let undo = Undo::with(move || drop(fs::remove_dir_all(gone)));
        let scratch = Self { path: root, _undo: undo };
        let there = rustix::fs::statvfs(&scratch.path).context("how much is free is unknown")?;
        let free = there.f_bavail.saturating_mul(there.f_frsize);
        let (wanted, free_gib) = (gib(bytes), gib(free));
        let shown = path.display();
        ensure!(
            free >= bytes,
            "{shown} needs {wanted} GiB, and {free_gib} GiB are free: make room, choose another \
             folder, or smaller sizes where the command has them"
        );
        say(&format!(
            "{shown}: needs up to {wanted} GiB of {free_gib} free; taken away at the end"
        ));
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn open() -> std::sync::MutexGuard<'static, BTreeMap<u64, Box<dyn FnOnce() + Send>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// With one digit behind the point, rounded up.
fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(GIB));
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_begins_empty_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("left"), "by one that was killed").unwrap();
        let scratch = Scratch::new(&path, 1).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        fs::write(scratch.path().join("made"), "now").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let refused = Scratch::new(&path, u64::MAX).unwrap_err().to_string();
        assert!(refused.contains("needs 17179869184.0 GiB, and "), "{refused}");
        assert!(!path.exists());
    }
}

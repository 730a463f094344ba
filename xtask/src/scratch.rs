//! The folder that a run works in: it says how much it needs, is refused where that is not free,
//! begins empty, and is taken away at the end, however the run ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::e2e::say;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The folders of this process, for Ctrl-C, which asks nobody's `Drop`.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static INTERRUPT: Once = Once::new();

/// A folder for one run.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder, or empties it; `bytes` is the most that will lie in it at a time.
    pub(crate) fn new(path: &Path, bytes: u64) -> anyhow::Result<Self> {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
        fs::create_dir_all(path)?;
        // From here on, whatever fails takes it away.
        let scratch = Self { path: fs::canonicalize(path)? };
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
        open().push(scratch.path.clone());
        INTERRUPT.call_once(|| {
            // Who waits for Ctrl-C elsewhere works in no such folder.
            let _ = ctrlc::set_handler(|| {
                for path in open().drain(..) {
                    let _ = fs::remove_dir_all(path);
                }
                std::process::exit(130);
            });
        });
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        open().retain(|path| *path != self.path);
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn open() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
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

//! The two locks of a layout.
//!
//! Whoever adds content shares the content lock until the index names what was added; garbage
//! collection holds it alone, and so meets no content that is about to be named. The index lock is
//! held alone for the moment in which `index.json` is replaced. The order is always: first the
//! content lock, then the index lock. Both end with the process that holds them.

use fs_err as fs;

use super::Layout;
use crate::{LayoutError, Result};

/// Keeps garbage collection away from the layout while it lives.
#[derive(Debug)]
pub struct Hold {
    _lock: fs::File,
}

impl Layout {
    /// Keeps content that nothing names yet from being collected: hold the layout from the first
    /// blob to the tag. Waits while a collection runs.
    pub fn hold(&self) -> Result<Hold> {
        let lock = self.lock_file(".content.lock")?;
        lock.lock_shared()?;
        Ok(Hold { _lock: lock })
    }

    /// Holds the layout alone, or says that it is in use.
    pub(super) fn hold_alone(&self) -> Result<Hold> {
        let lock = self.lock_file(".content.lock")?;
        match lock.try_lock() {
            Ok(()) => Ok(Hold { _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(LayoutError::InUse { root: self.root.clone() }.into())
            }
            Err(std::fs::TryLockError::Error(source)) => Err(source.into()),
        }
    }

    /// Locks the index for a change.
    pub(super) fn lock_index(&self) -> Result<Hold> {
        let lock = self.lock_file(".index.lock")?;
        lock.lock()?;
        Ok(Hold { _lock: lock })
    }

    fn lock_file(&self, name: &str) -> Result<fs::File> {
        let path = self.root.join(name);
        Ok(fs::OpenOptions::new().create(true).append(true).open(path)?)
    }
}

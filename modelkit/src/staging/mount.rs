//! Which file system a folder lies in: nothing is renamed from one to another.

use std::io;

use crate::archive::Folder;

/// A file system at its place: one that is mounted at two places counts as two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mount {
    device: u64,
    /// Of Linux since 5.8.
    id: Option<u64>,
}

impl Mount {
    pub(super) fn of(folder: &Folder) -> io::Result<Self> {
        let (device, _) = folder.identity(".")?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { device, id: mount_id(folder) })
    }
}

#[cfg(target_os = "linux")]
fn mount_id(folder: &Folder) -> Option<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let found = statx(folder.fd(), "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
fn mount_id(_: &Folder) -> Option<u64> {
    None
}

//! What an import has brought.

use super::folder::Folder;
use super::large::Large;

/// Files that were brought, and where they are from.
pub(super) struct Brought {
    /// Taken away when the ModelKit is packed.
    pub(super) folder: Folder,
    /// `org/name`.
    pub(super) name: String,
    pub(super) commit: String,
    /// Files of which only the beginning is in the folder yet.
    pub(super) large: Option<Large>,
}

//! What a layout on disk refuses.

use std::path::PathBuf;

use crate::Reference;
use crate::content::Digest;

/// What a layout on disk refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A blob is not in the layout.
    #[error("blob {digest} is missing: there is no {}", path.display())]
    MissingBlob {
        /// The blob that is missing.
        digest: Digest,
        /// Where it would lie.
        path: PathBuf,
    },

    /// Nothing is known under a reference.
    #[error("{reference} is not in the layout {}", root.display())]
    UnknownReference {
        /// The reference asked for.
        reference: Box<Reference>,
        /// The layout's folder.
        root: PathBuf,
    },

    /// A reference names no tag where one is needed.
    #[error("{reference} names no tag")]
    NoTag {
        /// The reference as given.
        reference: Box<Reference>,
    },

    /// A folder holds another version of the image layout.
    #[error("{} is an image layout of version {found}, not 1.0.0", root.display())]
    Version {
        /// The layout's folder.
        root: PathBuf,
        /// The version it says.
        found: String,
    },

    /// A layout is being added to, so nothing can be collected now.
    #[error("the layout {} is being added to by another task", root.display())]
    InUse {
        /// The layout's folder.
        root: PathBuf,
    },
}

//! How to pack.

use std::path::PathBuf;

use kitfile::ContextPath;
use registry::content::Digest;

use crate::archive::Entry;
use crate::media_type::{Compression, Family, Format};

/// How to pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackOptions {
    /// How layers are compressed.
    pub compression: Compression,
    /// Whether layers are archives or single files; MCP bundles are always single files.
    pub format: Format,
    /// Whose media types the ModelKit has. With [`Family::ModelPack`] and [`Format::Raw`] every
    /// file becomes a layer of its own.
    pub family: Family,
    /// When it was packed, in seconds since 1970, up to the year 9999; without it the same files
    /// always give the same ModelKit.
    pub created: Option<u64>,
    /// Takes a layer from the layout without reading its files again, if none of them has changed
    /// since it was packed: by path, size, times and inode, which the layout remembers.
    pub index: bool,
    /// Symbolic links that end in this folder are packed as what they lead to; without it they are
    /// left out.
    pub follow: Option<PathBuf>,
    /// Layers that are in the layout before they are packed; the content of their files is not
    /// read.
    pub ready: Vec<ReadyLayer>,
    /// The manifests by which the ModelKit is deployed: a layer that no Kitfile names, as Flux
    /// packs a folder; none: no such layer.
    pub manifests: Vec<Entry>,
}

/// An uncompressed archive of one file that is in the layout already: what
/// [`archive::around`](crate::archive::around) says, around the file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLayer {
    /// The layer's path, which is the file's.
    pub path: ContextPath,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
}

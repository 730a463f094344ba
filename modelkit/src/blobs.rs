//! Where the blobs of a ModelKit come from.

use std::io::Read;

use registry::Layout;
use registry::content::Descriptor;

/// Opens blobs: a layout does, and so can a registry that they are streamed from.
pub trait Blobs: Sync {
    /// Opens a blob at its first byte. Whoever reads it holds it to its size and digest.
    fn open(&self, descriptor: &Descriptor) -> registry::Result<Box<dyn Read + Send + '_>>;
}

impl Blobs for Layout {
    fn open(&self, descriptor: &Descriptor) -> registry::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Self::open(self, descriptor)?))
    }
}

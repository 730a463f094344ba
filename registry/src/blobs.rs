//! Where blobs are read from: a layout, or a registry that they are streamed from.

use std::io::Read;

use crate::content::Descriptor;
use crate::{Layout, Result};

/// Opens blobs: a [`Layout`] does, and so does a repository of a registry (`Client::blobs`).
///
/// ```
/// use std::io::Read;
///
/// use kit_registry::{Blobs, Descriptor, Layout};
///
/// fn text(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<String, Box<dyn std::error::Error>> {
///     let mut text = String::new();
///     blobs.open(descriptor)?.read_to_string(&mut text)?;
///     Ok(text)
/// }
///
/// let dir = tempfile::tempdir()?;
/// let layout = Layout::init(dir.path())?;
/// let greeting = layout.put("text/plain", b"hello")?;
/// assert_eq!(text(&layout, &greeting)?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Blobs: Sync {
    /// Opens a blob at its first byte. Whoever reads it holds it to its size and digest.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;
}

impl Blobs for Layout {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Self::open(self, descriptor)?))
    }
}

//! The manifests by which a ModelKit is deployed, as a layer of its own beside those of the Kitfile:
//! one digest covers the weights and how they run.

use registry::Layout;
use registry::content::{Descriptor, Hasher};

use crate::archive::Entry;
use crate::artifact::archived;
use crate::compress::{Sink, WrittenBlob};
use crate::error::Result;
use crate::media_type::FLUX_CONTENT;

/// Packs them as Flux packs a folder, so that its source-controller takes this layer of the
/// ModelKit, and no other one; without a layout they are only hashed. None where there are none.
pub(super) fn layer(entries: &[Entry], layout: Option<&Layout>) -> Result<Option<Descriptor>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let sink = match layout {
        Some(layout) => Sink::Blob(layout.writer()?),
        None => Sink::Nowhere(Hasher::default(), 0),
    };
    let WrittenBlob { digest, size, .. } = archived(entries, sink)?;
    Ok(Some(Descriptor::new(FLUX_CONTENT.into(), size, digest)))
}

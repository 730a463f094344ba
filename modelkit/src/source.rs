//! A ModelKit whose layers can be read, wherever they lie.

use std::borrow::Borrow;

use registry::Blobs;

use crate::kit::ModelKit;

/// A ModelKit, and what opens its blobs.
pub struct Source<'a> {
    /// The ModelKit.
    pub kit: ModelKit,
    /// Where its blobs lie.
    pub blobs: Box<dyn Blobs + 'a>,
}

impl Borrow<ModelKit> for Source<'_> {
    fn borrow(&self) -> &ModelKit {
        &self.kit
    }
}

//! What a manifest reaches.

use std::collections::HashSet;

use super::Layout;
use crate::content::{Descriptor, Digest, Document, MediaType, is_manifest};
use crate::{ContentError, Error, LayoutError, Result};

impl Layout {
    /// Everything that a manifest or an index reaches, each digest once: content before what names
    /// it, so itself last.
    ///
    /// Every document on the way is read and verified; blobs are only named. This is the order in
    /// which a push may go.
    pub fn graph(&self, root: &Descriptor) -> Result<Vec<Descriptor>> {
        let mut graph = Graph { layout: self, seen: HashSet::new(), order: Vec::new() };
        graph.visit(root)?;
        Ok(graph.order)
    }

    /// Checks that all content which a manifest reaches is here, with the size that its descriptor
    /// says.
    pub(super) fn check_complete(&self, root: &Descriptor) -> Result<()> {
        let graph = self.graph(root)?;
        graph.iter().try_for_each(|descriptor| self.check_present(descriptor))
    }

    /// Checks that what a manifest names itself is here.
    pub(super) fn check_children(&self, document: &Document) -> Result<()> {
        document.children().try_for_each(|descriptor| self.check_present(descriptor))
    }

    fn check_present(&self, descriptor: &Descriptor) -> Result<()> {
        match self.check_size(descriptor) {
            Err(Error::Layout(LayoutError::MissingBlob { .. })) if is_elsewhere(descriptor) => {
                Ok(())
            }
            found => found.map(drop),
        }
    }
}

/// Says whether content may be missing, because it is never handed on (image-spec,
/// "Non-Distributable Layers").
pub(crate) fn is_elsewhere(descriptor: &Descriptor) -> bool {
    match descriptor.media_type() {
        MediaType::ImageLayerNonDistributable
        | MediaType::ImageLayerNonDistributableGzip
        | MediaType::ImageLayerNonDistributableZstd => true,
        other => other.as_ref() == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
}

struct Graph<'a> {
    layout: &'a Layout,
    seen: HashSet<Digest>,
    order: Vec<Descriptor>,
}

/// How deep indexes may lie in indexes; nobody goes deeper than two.
const MAX_DEPTH: usize = 16;

impl Graph<'_> {
    fn visit(&mut self, root: &Descriptor) -> Result<()> {
        self.visit_at(root, 0)
    }

    fn visit_at(&mut self, descriptor: &Descriptor, depth: usize) -> Result<()> {
        if !self.seen.insert(descriptor.digest().clone()) {
            return Ok(());
        }
        if is_manifest(descriptor.media_type()) {
            if depth > MAX_DEPTH {
                let what = format!("manifest {}", descriptor.digest());
                return Err(ContentError::AmbiguousManifest {
                    what,
                    reason: "indexes nested too deeply".into(),
                }
                .into());
            }
            let document = self.layout.document(descriptor)?;
            document.children().try_for_each(|child| self.visit_at(child, depth + 1))?;
        }
        self.order.push(descriptor.clone());
        Ok(())
    }
}

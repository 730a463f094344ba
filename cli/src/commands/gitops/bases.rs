//! Bases of kustomizations out of registries, as every artifact comes: from the local layout, else
//! pulled into it; held to its digest, and signed where a policy asks for it.

use std::path::Path;
use std::sync::Arc;

use gitops::{Bases, BoxError, OciArtifact, Tree};
use registry::Reference;

use crate::network::Network;
use crate::steps::found::here_or_pulled;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// Reads a folder, whose kustomizations may name artifacts by their digests.
pub(super) fn read(dir: &Path, network: &Network, ui: &Ui) -> anyhow::Result<Tree> {
    Ok(with_bases(Tree::read(dir)?, network, ui))
}

/// The tree, whose kustomizations may name artifacts by their digests from now on.
pub(super) fn with_bases(tree: Tree, network: &Network, ui: &Ui) -> Tree {
    tree.with_bases(of_registries(network, ui))
}

/// Who fetches artifacts; asks nobody anything before one is named.
pub(super) fn of_registries(network: &Network, ui: &Ui) -> Arc<dyn Bases> {
    Arc::new(Registries { network: network.clone(), ui: ui.clone() })
}

struct Registries {
    network: Network,
    ui: Ui,
}

impl Bases for Registries {
    fn fetch(&self, artifact: &OciArtifact) -> Result<Tree, BoxError> {
        Ok(self.tree(artifact)?)
    }
}

impl Registries {
    fn tree(&self, artifact: &OciArtifact) -> anyhow::Result<Tree> {
        let name = format!("{}@{}", artifact.repository, artifact.digest);
        let (reference, ui) = (name.parse::<Reference>()?, &self.ui);
        let (layout, trusted) = (ui.layout()?, Trusted::ambient(ui)?);
        let descriptor = here_or_pulled(&reference, &layout, &trusted, &self.network, ui)?;
        let mut tree = Tree::new();
        for (path, bytes) in modelkit::files(&layout, &descriptor)? {
            tree.insert_bytes(&path, bytes)?;
        }
        Ok(tree)
    }
}

//! ModelKits wherever they are: in the local layout, else in their registry, whose layers are
//! streamed when they are wanted.

use anyhow::Context as _;
use modelkit::{Filter, ModelKit, Role, Source};
use registry::{Blobs, Layout, Reference, RepositoryBlobs};

use crate::network::Network;
use crate::ui::Ui;

/// Where a command looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the local layout, then in the registry.
    Anywhere,
    /// In the local layout only.
    Local,
    /// In the registry only.
    Remote,
}

/// A ModelKit, and what opens its blobs.
pub(super) struct Found {
    pub(super) kit: ModelKit,
    blobs: Opener,
}

enum Opener {
    Local(Layout),
    Remote(RepositoryBlobs),
}

impl Found {
    pub(super) fn blobs(&self) -> &dyn Blobs {
        match &self.blobs {
            Opener::Local(layout) => layout,
            Opener::Remote(remote) => remote,
        }
    }

    fn source(&self, role: Role) -> Source<'_> {
        Source { kit: &self.kit, blobs: self.blobs(), role }
    }

    /// The reference that it was found under in a registry; none when it is local.
    pub(super) fn remote(&self) -> Option<&Reference> {
        match &self.blobs {
            Opener::Local(_) => None,
            Opener::Remote(remote) => Some(remote.reference()),
        }
    }
}

/// Finds a ModelKit: its documents are read and verified, its layers not looked at.
pub(super) fn find(
    reference: &Reference,
    place: Place,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Found> {
    let layout = ui.layout()?;
    if place != Place::Remote {
        match layout.resolve(reference) {
            Ok(descriptor) => {
                return Ok(Found {
                    kit: ModelKit::read(&layout, &descriptor)?,
                    blobs: Opener::Local(layout),
                });
            }
            Err(missing) if place == Place::Local || reference.is_local() => {
                return Err(missing.into());
            }
            Err(registry::Error::Layout(registry::LayoutError::UnknownReference { .. })) => (),
            Err(error) => return Err(error.into()),
        }
    }
    let client = network.client(ui)?;
    let kit = ui
        .block_on(async {
            let (descriptor, manifest) = client.manifest(reference).await?;
            let config = modelkit::config_descriptor(&manifest)?;
            let config = client.read_blob(reference, &config).await?;
            Ok(ModelKit::parse(descriptor, manifest, &config)?)
        })
        .with_context(|| format!("cannot read {reference}"))?;
    // Resolved once: its blobs are those of the digest, whatever becomes of the tag.
    let reference = reference.with_digest(kit.descriptor.digest().clone());
    Ok(Found { kit, blobs: Opener::Remote(client.blobs(&reference, ui.handle())) })
}

/// A ModelKit, and those that its model and its datasets come from.
pub(super) struct Together {
    pub(super) itself: Found,
    parents: Vec<Found>,
    datasets: Vec<(kitfile::ContextPath, Found)>,
}

impl Together {
    /// Finds all that the filters need; other ModelKits with datasets only when they are asked for.
    pub(super) fn find(
        itself: Found,
        filters: &[Filter],
        include_remote: bool,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<Self> {
        let mut parents = Vec::new();
        if modelkit::any_matches_model(filters) {
            modelkit::parents_with(&itself.kit.kitfile, |reference| -> anyhow::Result<ModelKit> {
                let parent = find(reference, Place::Anywhere, network, ui)?;
                let kit = parent.kit.clone();
                parents.push(parent);
                Ok(kit)
            })?;
        }
        let remote = if include_remote {
            modelkit::remote_datasets(&itself.kit, filters)?
        } else {
            Vec::new()
        };
        let datasets = remote
            .into_iter()
            .map(|(path, reference)| Ok((path, find(&reference, Place::Anywhere, network, ui)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { itself, parents, datasets })
    }

    pub(super) fn sources(&self) -> Vec<Source<'_>> {
        let mut sources = vec![self.itself.source(Role::Itself)];
        sources.extend(self.parents.iter().map(|parent| parent.source(Role::Parent)));
        sources.extend(
            self.datasets.iter().map(|(path, found)| found.source(Role::Dataset(path.clone()))),
        );
        sources
    }
}

//! What a reference names, wherever it is: in the local layout, else in its registry.
//!
//! Only what the layout does not know is looked for elsewhere: a layout that cannot be read is an
//! error, and none is made only to look into it.

use anyhow::Context as _;
use modelkit::{Filter, ModelKit, Role, Source};
use registry::content::Descriptor;
use registry::{Blobs, Error, Layout, LayoutError, Pulled, Reference, RepositoryBlobs};

use super::bars::BlobBars;
use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::ui::Ui;

/// Where a command looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the local layout, then in the registry.
    Anywhere,
    /// In the local layout only.
    Local,
    /// In the registry only.
    Remote,
}

/// A ModelKit, and what opens its blobs.
pub(crate) struct Found {
    pub(crate) kit: ModelKit,
    blobs: Opener,
}

enum Opener {
    Local(Layout),
    Remote(RepositoryBlobs),
}

impl Found {
    pub(crate) fn blobs(&self) -> &dyn Blobs {
        match &self.blobs {
            Opener::Local(layout) => layout,
            Opener::Remote(remote) => remote,
        }
    }

    fn source(&self, role: Role) -> Source<'_> {
        Source { kit: &self.kit, blobs: self.blobs(), role }
    }

    /// The reference that it was found under in a registry; none when it is local.
    pub(crate) fn remote(&self) -> Option<&Reference> {
        match &self.blobs {
            Opener::Local(_) => None,
            Opener::Remote(remote) => Some(remote.reference()),
        }
    }
}

/// What the local layout has under a reference; only one that names a registry may be elsewhere.
pub(crate) fn here(reference: &Reference, ui: &Ui) -> anyhow::Result<Option<(Layout, Descriptor)>> {
    if reference.is_local() {
        return local(reference, ui).map(Some);
    }
    let Some(layout) = ui.layout_if_there()? else { return Ok(None) };
    match layout.resolve(reference) {
        Ok(descriptor) => Ok(Some((layout, descriptor))),
        Err(Error::Layout(LayoutError::UnknownReference { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn local(reference: &Reference, ui: &Ui) -> anyhow::Result<(Layout, Descriptor)> {
    let layout = ui.layout()?;
    let descriptor = layout.resolve(reference)?;
    Ok((layout, descriptor))
}

/// What a reference names in the layout, where it is pulled to when it is not there.
pub(crate) fn here_or_pulled(
    reference: &Reference,
    layout: &Layout,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Descriptor> {
    match layout.resolve(reference) {
        Err(Error::Layout(LayoutError::UnknownReference { .. })) if !reference.is_local() => {
            Ok(pull(reference, layout, network, ui)?.descriptor)
        }
        found => Ok(found?),
    }
}

/// Downloads what a reference names into the layout.
pub(crate) fn pull(
    reference: &Reference,
    layout: &Layout,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Pulled> {
    if reference.is_local() {
        return Err(asked_wrongly(format!(
            "`{reference}` names no registry to pull from: write HOST/{reference}"
        )));
    }
    let client = network.client(ui)?;
    let bars = BlobBars::new(ui);
    ui.block_on(async {
        Ok(registry::pull(&client, reference, layout, &|event| bars.show(event)).await?)
    })
    .with_context(|| format!("cannot pull {reference}"))
}

/// Finds a ModelKit: its documents are read and verified, its layers not looked at.
pub(crate) fn find(
    reference: &Reference,
    place: Place,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Found> {
    let is_here = match place {
        Place::Anywhere => here(reference, ui)?,
        Place::Local => Some(local(reference, ui)?),
        Place::Remote => None,
    };
    if let Some((layout, descriptor)) = is_here {
        let kit = ModelKit::read(&layout, &descriptor)?;
        return Ok(Found { kit, blobs: Opener::Local(layout) });
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
pub(crate) struct Together {
    pub(crate) itself: Found,
    parents: Vec<Found>,
    datasets: Vec<(kitfile::ContextPath, Found)>,
}

impl Together {
    /// Finds all that the filters need; other ModelKits with datasets only when they are asked for.
    pub(crate) fn find(
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

    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        let mut sources = vec![self.itself.source(Role::Itself)];
        sources.extend(self.parents.iter().map(|parent| parent.source(Role::Parent)));
        sources.extend(
            self.datasets.iter().map(|(path, found)| found.source(Role::Dataset(path.clone()))),
        );
        sources
    }
}

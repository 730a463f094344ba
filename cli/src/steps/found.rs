//! What a reference names, wherever it is: in the local layout, else in its registry.
//!
//! Only what the layout does not know is looked for elsewhere: a layout that cannot be read is an
//! error, and none is made only to look into it.

use anyhow::Context as _;
use modelkit::{ModelKit, Selection, Source, Sources};
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
    /// The ModelKit with what opens its blobs.
    pub(crate) fn into_source(self) -> Source<'static> {
        let blobs: Box<dyn Blobs> = match self.blobs {
            Opener::Local(layout) => Box::new(layout),
            Opener::Remote(remote) => Box::new(remote),
        };
        Source { kit: self.kit, blobs }
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
        Place::Remote if reference.is_local() => {
            return Err(asked_wrongly(format!(
                "`{reference}` names no registry to ask: write HOST/{reference}"
            )));
        }
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
    let reference = reference.with_digest(kit.digest().clone());
    Ok(Found { kit, blobs: Opener::Remote(client.blobs(&reference, ui.handle())) })
}

/// Finds all that is needed for what is meant of a ModelKit.
pub(crate) fn together(
    itself: Found,
    selection: Selection,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Sources<'static>> {
    Sources::find(itself.into_source(), selection, |reference| {
        Ok(find(reference, Place::Anywhere, network, ui)?.into_source())
    })
}

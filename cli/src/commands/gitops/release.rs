//! What an image says about itself: its digest, and the ModelKit that is in it.

use anyhow::Context as _;
use gitops::ImageRef;
use modelkit::image::Runtime;
use registry::{Descriptor, Reference};

use crate::network::Network;
use crate::steps::found::here;
use crate::ui::Ui;

/// An image, pinned, with the ModelKit that it serves.
pub(super) struct Described {
    pub(super) image: ImageRef,
    pub(super) runtime: Runtime,
}

/// Reads an image's documents: from the local layout, else from its registry, whose layers stay
/// where they are.
pub(super) fn describe(
    reference: &Reference,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Described> {
    let reference = reference.clone().or_latest();
    let (descriptor, runtime) = read(&reference, network, ui)
        .with_context(|| format!("cannot read the image {reference}"))?;
    let image = ImageRef {
        name: format!("{}/{}", reference.registry(), reference.repository()),
        tag: reference.tag().map(str::to_owned),
        digest: Some(descriptor.digest().to_string()),
    };
    Ok(Described { image, runtime })
}

fn read(
    reference: &Reference,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Descriptor, Runtime)> {
    if let Some((layout, descriptor)) = here(reference, ui)? {
        let manifest = layout.read(&descriptor)?;
        let config = layout.read(&modelkit::config_descriptor(&manifest)?)?;
        return Ok((descriptor, Runtime::parse(&manifest, &config)?));
    }
    let client = network.client(ui)?;
    ui.block_on(async {
        let (descriptor, manifest) = client.manifest(reference).await?;
        let config = client.read_blob(reference, &modelkit::config_descriptor(&manifest)?).await?;
        Ok((descriptor, Runtime::parse(&manifest, &config)?))
    })
}

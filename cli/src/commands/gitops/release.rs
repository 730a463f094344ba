//! What an image says about itself: its digest, and the ModelKit that is in it.

use anyhow::Context as _;
use gitops::ImageRef;
use modelkit::image::Runtime;
use registry::{Descriptor, Layout, Reference};

use crate::failure::WithHint as _;
use crate::network::Network;
use crate::steps::found::here;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// An image, pinned, with the ModelKit that it serves.
pub(super) struct Described {
    pub(super) image: ImageRef,
    pub(super) runtime: Runtime,
}

/// Reads an image's documents: from the local layout, else from its registry, whose layers stay
/// where they are. What is deployed has to be signed as the policy says.
pub(super) fn describe(
    reference: &Reference,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Described> {
    let reference = reference.clone().or_latest();
    let read = read(&reference, network, ui);
    let is_kit = read.as_ref().is_err_and(|error| {
        error.chain().any(|cause| {
            matches!(cause.downcast_ref(), Some(modelkit::Error::NotAnImage { problem, .. }) if problem.ends_with("a ModelKit"))
        })
    });
    let read = read.with_context(|| format!("cannot read the image {reference}"));
    let (descriptor, runtime) = match is_kit {
        true => read.hint(format!(
            "make an image of it, and name that: kit-rs image build {reference} -t IMAGE"
        ))?,
        false => read?,
    };
    trusted.require(&reference, descriptor.digest(), network, ui)?;
    if runtime.modelkit_digest.is_some() && !runtime.serves {
        return Err(anyhow::anyhow!(
            "{reference} is there to be mounted: it has no program to start"
        ))
        .hint("name the image that serves: kit-rs image build MODELKIT -t IMAGE");
    }
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
        let runtime = documents(&layout, &descriptor)?;
        return Ok((descriptor, runtime));
    }
    let client = network.client(ui)?;
    ui.block_on(async {
        let (descriptor, manifest) = client.manifest(reference).await?;
        let config = client.read_blob(reference, &modelkit::config_descriptor(&manifest)?).await?;
        Ok((descriptor, Runtime::parse(&manifest, &config)?))
    })
}

/// How many bytes of weights an image loads, where the local layout has it.
pub(super) fn weights_here(image: &str, ui: &Ui) -> Option<u64> {
    let reference: Reference = image.parse().ok()?;
    let (layout, descriptor) = here(&reference, ui).ok()??;
    let runtime = documents(&layout, &descriptor).ok()?;
    (runtime.serves && runtime.modelkit_digest.is_some()).then_some(runtime.model_bytes)
}

/// Reads an image's documents in the local layout.
fn documents(layout: &Layout, descriptor: &Descriptor) -> anyhow::Result<Runtime> {
    let manifest = layout.read(descriptor)?;
    let config = layout.read(&modelkit::config_descriptor(&manifest)?)?;
    Ok(Runtime::parse(&manifest, &config)?)
}

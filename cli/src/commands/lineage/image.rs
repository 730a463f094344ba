//! A runtime image, and the ModelKit that is in it.

use std::collections::HashSet;

use anyhow::Context as _;
use kitfile::Section;
use modelkit::image::Runtime;
use modelkit::{Layer, ModelKit};
use registry::content::Document;
use registry::{Descriptor, Digest, Reference};

use super::Way;
use super::fact::{Fact, Standing};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::output::{n_of, pinned};
use crate::steps::found::here;

impl Way<'_> {
    /// What a reference names: a ModelKit, or an image of one.
    pub(super) fn named(&self, reference: &Reference) -> anyhow::Result<Fact> {
        let (descriptor, manifest, config) =
            self.documents(reference).with_context(|| format!("cannot read {reference}"))?;
        // Resolved once: from here on it is the digest that is asked about.
        let reference = &reference.with_digest(descriptor.digest().clone());
        match ModelKit::parse(descriptor.clone(), manifest.clone(), &config) {
            Ok(kit) => self.kit(reference, &kit),
            Err(modelkit::Error::NotAModelKit { .. }) => {
                let runtime = Runtime::parse(&manifest, &config)?;
                self.image(reference, &descriptor, &manifest, &runtime)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Manifest and config, from the layout, else from the registry.
    pub(super) fn documents(
        &self,
        reference: &Reference,
    ) -> anyhow::Result<(Descriptor, Vec<u8>, Vec<u8>)> {
        if let Some((layout, descriptor)) = here(reference, self.ui)? {
            let manifest = layout.read(&descriptor)?;
            let config = layout.read(&modelkit::config_descriptor(&manifest)?)?;
            return Ok((descriptor, manifest, config));
        }
        let client = self.network.client(self.ui)?;
        self.ui.block_on(async {
            let (descriptor, manifest) = client.manifest(reference).await?;
            let config = modelkit::config_descriptor(&manifest)?;
            let config = client.read_blob(reference, &config).await?;
            Ok((descriptor, manifest, config))
        })
    }

    fn image(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        manifest: &[u8],
        runtime: &Runtime,
    ) -> anyhow::Result<Fact> {
        let name = pinned(reference, descriptor.digest());
        let signatures = self.signatures(reference, descriptor.digest())?;
        let declared = |why: &str| (Standing::Declared, why.to_owned());
        let Some(digest) = &runtime.modelkit_digest else {
            let lacks = format!("the image {reference} says of no ModelKit that it serves it");
            return Err(failure(Kind::NotFound, lacks))
                .hint("kit-rs image build makes one that does");
        };
        let named = runtime.modelkit.as_deref().and_then(|text| text.parse::<Reference>().ok());
        let named = named.zip(digest.parse().ok()).map(|(kit, digest)| kit.with_digest(digest));
        let found = match &named {
            Some(kit) => self.found(kit, self.documents(kit))?,
            None => None,
        };
        let Some((of_kit, bytes, config)) = found else {
            let kit =
                Fact::new("ModelKit", digest, declared("the image names it; it was not found"));
            let image = Fact::new("image", name, declared("its label names the ModelKit"));
            return Ok(image.from(signatures).from([kit]));
        };
        let kit = ModelKit::parse(of_kit, bytes, &config)?;
        let standing = match holds(&Document::parse(descriptor.media_type(), manifest)?, &kit) {
            Some(n) => (
                Standing::Proven,
                format!(
                    "it holds all of the ModelKit's model, {} by digest",
                    n_of(n as u64, "layer")
                ),
            ),
            None => declared("its label names the ModelKit; its layers are not only those of it"),
        };
        let beneath = self.kit(named.as_ref().context("it was found by its name")?, &kit)?;
        Ok(Fact::new("image", name, standing).from(signatures).from([beneath]))
    }
}

/// How many layers a ModelKit's model has, where an image holds all of them, and nothing above them
/// that is not the ModelKit's: it could put other files in their place.
fn holds(image: &Document, kit: &ModelKit) -> Option<usize> {
    let of_kit: HashSet<&Digest> = kit.layers().map(|layer| layer.descriptor.digest()).collect();
    let is_of_model =
        |layer: &Layer<'_>| matches!(layer.section, Section::Model | Section::ModelPart);
    let of_model: HashSet<&Digest> =
        kit.layers().filter(is_of_model).map(|layer| layer.descriptor.digest()).collect();
    let layers: Vec<&Digest> = image.layers.iter().map(Descriptor::digest).collect();
    let first = layers.iter().position(|digest| of_model.contains(digest))?;
    let above = &layers[first..];
    let is_whole = of_model.iter().all(|digest| above.contains(digest));
    let is_pure = above.iter().all(|digest| of_kit.contains(digest));
    (is_whole && is_pure).then_some(of_model.len())
}

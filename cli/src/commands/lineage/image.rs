//! A runtime image, and the ModelKit that is in it.

use std::collections::HashSet;

use anyhow::Context as _;
use modelkit::ModelKit;
use modelkit::image::Runtime;
use registry::content::Document;
use registry::{Descriptor, Reference};

use super::Way;
use super::fact::{Fact, Standing};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::output::pinned;
use crate::steps::found::here;

impl Way<'_> {
    /// What a reference names: a ModelKit, or an image of one.
    pub(super) fn named(&self, reference: &Reference) -> anyhow::Result<Fact> {
        let (descriptor, manifest, config) =
            self.documents(reference).with_context(|| format!("cannot read {reference}"))?;
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
        let kit = runtime.modelkit.as_deref().and_then(|text| text.parse::<Reference>().ok());
        let kit = kit.zip(digest.parse().ok()).map(|(kit, digest)| kit.with_digest(digest));
        let documents = kit.as_ref().map(|kit| self.documents(kit));
        let (standing, beneath) = match (kit, documents) {
            (Some(kit), Some(Ok((_, of_kit, _)))) => {
                let layers = |bytes: &[u8]| -> anyhow::Result<HashSet<String>> {
                    let document = Document::parse(descriptor.media_type(), bytes)?;
                    Ok(document.layers.iter().map(|it| it.digest().to_string()).collect())
                };
                let in_image = layers(manifest)?;
                let n_shared = layers(&of_kit)?.iter().filter(|it| in_image.contains(*it)).count();
                let standing = match n_shared {
                    0 => declared("its label names the ModelKit; none of its layers is one of it"),
                    n => (
                        Standing::Proven,
                        format!("it holds {n} of the ModelKit's layers, by digest"),
                    ),
                };
                (standing, self.named(&kit)?)
            }
            _ => {
                let why = "the image names it; it was not found";
                (
                    declared("its label names the ModelKit"),
                    Fact::new("ModelKit", digest, declared(why)),
                )
            }
        };
        Ok(Fact::new("image", name, standing).from(signatures).from([beneath]))
    }
}

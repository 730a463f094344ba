//! Mount faces: where the one of a ModelKit is.

use anyhow::Context as _;
use modelkit::ModelKit;
use modelkit::image::{MOUNT_FACE, is_face_of};
use registry::{Digest, Reference};

use super::found::here;
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// What the tag of a mount face ends with, after that of its ModelKit.
pub(crate) const SUFFIX: &str = "-mount";
/// So many are looked at.
const MAX_FACES: usize = 20;

/// The ModelKit whose mount face is meant.
pub(crate) struct Of<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) kit: &'a ModelKit,
    /// The layers of its model.
    pub(crate) model: &'a [Digest],
}

impl Of<'_> {
    fn is_its(&self, manifest: &[u8], ui: &Ui) -> anyhow::Result<bool> {
        Ok(is_face_of(manifest, self.kit, self.model, &ui.layout()?)?)
    }

    /// The mount face: the tag that it has by default, else what the registry says refers to the
    /// ModelKit. Returns its digest, and its tag where it was found by that.
    pub(crate) fn find(
        &self,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<(Digest, Option<String>)> {
        let (named, digest) = (self.reference, self.kit.digest());
        let tag = named.tag().map(|tag| format!("{tag}{SUFFIX}"));
        // Of the longest tags none can be made.
        let tagged = tag.as_ref().and_then(|tag| named.with_tag(tag).ok());
        if let Some(tagged) = tagged
            && let Some((layout, descriptor)) = here(&tagged, ui)?
            && self.is_its(&layout.read(&descriptor)?, ui)?
        {
            return Ok((descriptor.digest().clone(), tag));
        }
        let hint = format!("make it: kit-rs image mount-face {named} --push");
        let none = || failure(Kind::NotFound, format!("{named} ({digest}) has no mount face"));
        if named.is_local() {
            return Err(none()).hint(hint);
        }
        let client = network.client(ui)?;
        let pinned = named.with_digest(digest.clone());
        let says = |of: &registry::Descriptor| {
            let annotations = of.annotations().as_ref();
            annotations.and_then(|it| it.get(MOUNT_FACE)).is_some_and(|of| of == digest.as_ref())
        };
        let manifests = ui
            .block_on(async {
                let all = client.referrers(&pinned, None).await?;
                let mut manifests = Vec::new();
                for face in all.iter().filter(|it| says(it)).take(MAX_FACES) {
                    manifests
                        .push(client.manifest(&named.with_digest(face.digest().clone())).await?);
                }
                Ok(manifests)
            })
            .with_context(|| format!("cannot ask what refers to {pinned}"))?;
        let mut found: Vec<Digest> = Vec::new();
        for (descriptor, manifest) in manifests {
            if self.is_its(&manifest, ui)? && !found.contains(descriptor.digest()) {
                found.push(descriptor.digest().clone());
            }
        }
        match found.as_slice() {
            [] => Err(none()).hint(hint),
            [one] => Ok((one.clone(), None)),
            several => {
                let names: Vec<String> = several.iter().map(ToString::to_string).collect();
                let message = format!("{named} has several mount faces: {}", names.join(", "));
                Err(failure(Kind::Invalid, message)).hint("name one of them with --face")
            }
        }
    }

    /// Refuses what is not its mount face.
    pub(crate) fn require(
        &self,
        face: &Reference,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<Digest> {
        let (digest, manifest) = match here(face, ui)? {
            Some((layout, descriptor)) => (descriptor.digest().clone(), layout.read(&descriptor)?),
            None => {
                let client = network.client(ui)?;
                let read = ui.block_on(async { Ok(client.manifest(face).await?) })?;
                (read.0.digest().clone(), read.1)
            }
        };
        if self.is_its(&manifest, ui)? {
            return Ok(digest);
        }
        let message = format!("{face} is not the mount face of {}", self.kit.digest());
        Err(failure(Kind::Invalid, message)).hint("without --face it is looked for")
    }
}

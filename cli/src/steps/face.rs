//! Mount faces: where the one of a ModelKit is.

use anyhow::Context as _;
use modelkit::image::{MOUNT_FACE, is_mount_face};
use registry::{Digest, Reference};

use super::found::here;
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// What the tag of a mount face ends with, after that of its ModelKit.
pub(crate) const SUFFIX: &str = "-mount";

/// The mount face of a ModelKit: the tag that it has by default, else what its registry says refers
/// to the ModelKit. Returns its digest, and its tag where it was found by that.
pub(crate) fn find(
    kit: &Reference,
    digest: &Digest,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Digest, Option<String>)> {
    let tag = kit.tag().map(|tag| format!("{tag}{SUFFIX}"));
    if let Some(tag) = &tag
        && let Some((layout, descriptor)) = here(&kit.with_tag(tag)?, ui).ok().flatten()
        && is_of(&layout.read(&descriptor)?, digest)
    {
        return Ok((descriptor.digest().clone(), Some(tag.clone())));
    }
    let hint = format!("make it: kit-rs image mount-face {kit} --push");
    let none = || failure(Kind::NotFound, format!("{kit} ({digest}) has no mount face"));
    if kit.is_local() {
        return Err(none()).hint(hint);
    }
    let client = network.client(ui)?;
    let pinned = kit.with_digest(digest.clone());
    let faces = ui
        .block_on(async { Ok(client.referrers(&pinned, None).await?) })
        .with_context(|| format!("cannot ask what refers to {pinned}"))?;
    let says = |of: &registry::Descriptor| {
        let annotations = of.annotations().as_ref();
        annotations.and_then(|it| it.get(MOUNT_FACE)).is_some_and(|of| of == digest.as_ref())
    };
    let mut found: Vec<Digest> =
        faces.iter().filter(|it| says(it)).map(|it| it.digest().clone()).collect();
    found.dedup();
    match found.as_slice() {
        [] => Err(none()).hint(hint),
        [one] => Ok((one.clone(), None)),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            let message = format!("{kit} has several mount faces: {}", names.join(", "));
            Err(failure(Kind::Invalid, message)).hint("name one of them with --face")
        }
    }
}

/// Whether this manifest is the mount face of that ModelKit.
fn is_of(manifest: &[u8], kit: &Digest) -> bool {
    is_mount_face(manifest).is_ok_and(|of| of.is_some_and(|of| of == kit.as_ref()))
}

/// Refuses what is not the mount face of that ModelKit.
pub(crate) fn require(
    face: &Reference,
    kit: &Digest,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Digest> {
    let (digest, manifest) = match here(face, ui)? {
        Some((layout, descriptor)) => (descriptor.digest().clone(), layout.read(&descriptor)?),
        None => {
            let client = network.client(ui)?;
            let (descriptor, manifest) = ui.block_on(async { Ok(client.manifest(face).await?) })?;
            (descriptor.digest().clone(), manifest)
        }
    };
    if is_of(&manifest, kit) {
        return Ok(digest);
    }
    Err(failure(Kind::Invalid, format!("{face} is not the mount face of {kit}")))
        .hint("without --face it is looked for")
}

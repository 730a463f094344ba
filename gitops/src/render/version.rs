//! The version label: the tag of what is deployed.

use super::beside::marker;
use super::deployment::quoted;
use crate::{Delivery, ImageRef, Release, rules};

/// The version label.
pub(super) fn version(release: &Release, indent: usize) -> String {
    let version = match &release.delivery {
        Delivery::Baked => version_of(&release.image),
        _ => version_of_kit(release.modelkit.as_deref(), release.modelkit_digest.as_deref()),
    };
    match version {
        Some(version) => {
            let pad = " ".repeat(indent);
            let marker = marker(release, ":tag");
            format!("{pad}app.kubernetes.io/version: {}{marker}\n", quoted(&version))
        }
        None => String::new(),
    }
}

/// What the version label says of an image: its tag where that can be a label's value, else the
/// beginning of its digest.
pub(crate) fn version_of(image: &ImageRef) -> Option<String> {
    let tag = image.tag.clone().filter(|tag| rules::label_value(tag).is_ok());
    let digest = image.digest.as_deref().and_then(|digest| digest.split_once(':'));
    tag.or_else(|| digest.map(|(_, hex)| hex.chars().take(12).collect()))
}

/// The same of a ModelKit that is not in the image.
pub(crate) fn version_of_kit(modelkit: Option<&str>, digest: Option<&str>) -> Option<String> {
    let kit: ImageRef = modelkit?.parse().ok()?;
    version_of(&ImageRef { digest: kit.digest.clone().or(digest.map(str::to_owned)), ..kit })
}

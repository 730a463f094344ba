//! How a model reaches the pods that serve it.

use std::time::Duration;

use crate::image::split_tag;
use crate::rules::Rule;
use crate::{ImageRef, Release};

/// How long KServe lets a Deployment go without progress; it takes no other time.
pub(crate) const KSERVE_PROGRESS: Duration = Duration::from_secs(600);

/// How the model reaches the pods. All but [`Delivery::Baked`] run the image of the server alone, and
/// need [`Release::modelkit`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It lies in the image.
    #[default]
    Baked,
    /// The node mounts it, as an image volume (Kubernetes 1.35, or the feature gate `ImageVolume`).
    ImageVolume {
        /// The ModelKit's mount face, by digest.
        face: ImageRef,
    },
    /// An init container brings it, verified, before the server starts.
    Init {
        /// Whether the registry speaks plain HTTP.
        plain_http: bool,
    },
    /// The server itself brings what a tag names, and follows the tag.
    Runtime {
        /// Whether the registry speaks plain HTTP.
        plain_http: bool,
        /// How often the tag is looked at.
        watch: Duration,
    },
    /// KServe runs the server, with the mount face as a volume.
    KServe {
        /// The ModelKit's mount face, by digest.
        face: ImageRef,
    },
}

impl Delivery {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Baked => "baked",
            Self::ImageVolume { .. } => "image-volume",
            Self::Init { .. } => "init",
            Self::Runtime { .. } => "runtime",
            Self::KServe { .. } => "kserve",
        }
    }

    /// The mount face, where one is mounted.
    pub fn face(&self) -> Option<&ImageRef> {
        match self {
            Self::ImageVolume { face } | Self::KServe { face } => Some(face),
            Self::Baked | Self::Init { .. } | Self::Runtime { .. } => None,
        }
    }

    /// Whether the pod itself asks a registry, and how: whether by plain HTTP.
    pub(crate) fn asks_registry(&self) -> Option<bool> {
        match self {
            Self::Init { plain_http } | Self::Runtime { plain_http, .. } => Some(*plain_http),
            Self::Baked | Self::ImageVolume { .. } | Self::KServe { .. } => None,
        }
    }

    /// How often the model is in memory at most: a new one is tried beside the one that serves.
    pub(crate) fn n_loaded(&self) -> u64 {
        if matches!(self, Self::Runtime { .. }) { 2 } else { 1 }
    }

    /// How often the model is on the pod's own disk at most, in MiB of this many bytes. What
    /// follows a tag has the archive and the files, of the old one and of the new one.
    pub(crate) fn disk(&self, bytes: u64) -> u64 {
        // The documents beside the model, and the blocks that files end in.
        let once = bytes.div_ceil(1 << 20).saturating_add(16);
        match self {
            Self::Init { .. } => once,
            Self::Runtime { .. } => once.saturating_mul(4),
            Self::Baked | Self::ImageVolume { .. } | Self::KServe { .. } => 0,
        }
    }
}

/// Whether a release can be delivered as it says.
pub(crate) fn rule(release: &Release) -> Rule {
    if release.delivery == Delivery::Baked {
        return Ok(());
    }
    if release.chart.is_some() {
        return Err("a chart has its own way to the model, and takes the image with it");
    }
    if release.beside.image_policy.is_some() {
        return Err("image automation moves the image, and the model is not in it");
    }
    let Some(modelkit) = &release.modelkit else {
        return Err("it needs to know the ModelKit");
    };
    if release.delivery.face().is_some_and(|face| face.digest.is_none()) {
        return Err("a mount face is named by its digest, or what is mounted could change");
    }
    match &release.delivery {
        Delivery::Runtime { .. } if split_tag(modelkit).1.is_none() => {
            Err("it follows a tag of the ModelKit, and there is none")
        }
        Delivery::Runtime { watch, .. } if watch.as_secs() == 0 => {
            Err("a tag is looked at once a second at most")
        }
        Delivery::Runtime { .. } => Ok(()),
        _ if release.modelkit_digest.is_none() => Err("it needs the ModelKit's digest"),
        Delivery::KServe { .. } if !release.components.is_empty() => {
            Err("KServe makes the Deployment itself: it takes no components")
        }
        Delivery::KServe { .. } if release.replicas == 0 => {
            Err("without Knative, KServe runs at least one pod")
        }
        Delivery::KServe { .. } if release.trust.checks_model => {
            Err("KServe makes the Deployment itself: it takes no check of the model")
        }
        _ => Ok(()),
    }
}

/// The port of the registry that has this ModelKit.
pub(crate) fn registry_port(modelkit: &str, plain_http: bool) -> u16 {
    let host = modelkit.split('/').next().unwrap_or_default();
    let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or(if plain_http { 80 } else { 443 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_port_is_its_own_or_that_of_its_protocol() {
        assert_eq!(registry_port("127.0.0.1:5000/demo/kit:1", true), 5000);
        assert_eq!(registry_port("ghcr.io/acme/kit:1", false), 443);
        assert_eq!(registry_port("registry.local/kit", true), 80);
    }

    #[test]
    fn what_cannot_be_delivered_so_is_refused() {
        let mut release = Release::new("a".parse().unwrap(), "i".parse().unwrap());
        let init = Delivery::Init { plain_http: false };
        let runtime = Delivery::Runtime { plain_http: false, watch: Duration::from_secs(30) };
        release.delivery = init;
        assert_eq!(rule(&release), Err("it needs to know the ModelKit"));
        release.modelkit = Some("h/kit".to_owned());
        assert_eq!(rule(&release), Err("it needs the ModelKit's digest"));
        release.modelkit_digest = Some(format!("sha256:{}", "a".repeat(64)));
        assert_eq!(rule(&release), Ok(()));
        release.delivery = runtime;
        assert_eq!(rule(&release), Err("it follows a tag of the ModelKit, and there is none"));
        release.modelkit = Some("h/kit:1".to_owned());
        assert_eq!(rule(&release), Ok(()));
        release.delivery = Delivery::ImageVolume { face: "h/kit:1-mount".parse().unwrap() };
        assert!(rule(&release).unwrap_err().contains("named by its digest"));
        let face = format!("h/kit:1-mount@sha256:{}", "b".repeat(64)).parse().unwrap();
        release.delivery = Delivery::KServe { face };
        assert_eq!(rule(&release), Ok(()));
        release.replicas = 0;
        assert_eq!(rule(&release), Err("without Knative, KServe runs at least one pod"));
    }
}

//! What a bump sets besides where the model is not in the image: the mount face, and the version.

use serde_json::Value;

use super::bump::{Bump, NO_MODELKIT, bytes, too_small};
use super::splice::Edits;
use super::{descend, not_editable};
use crate::render::version::{version_of, version_of_kit};
use crate::render::{DELIVERY_ANNOTATION, kserve};
use crate::yaml::Node;
use crate::{Name, Result, Tree};

/// The kind by which KServe runs a server.
pub(crate) const INFERENCE_SERVICE: &str = "InferenceService";

/// The kind by which Flux runs a chart.
pub(crate) const HELM_RELEASE: &str = "HelmRelease";

/// Where the annotations and the version label of what runs stand.
pub(super) fn metadata(document: &Node) -> &'static [&'static str] {
    if is_of_kserve(document) { &["metadata"] } else { &["spec", "template", "metadata"] }
}

/// The values of a chart, where this is what runs one.
pub(super) fn values(document: &Node) -> Option<&Node> {
    let is_release = document.entry("kind").and_then(Node::text) == Some(HELM_RELEASE);
    descend(document, &["spec", "values"]).filter(|_| is_release)
}

fn is_of_kserve(document: &Node) -> bool {
    document.entry("kind").and_then(Node::text) == Some(INFERENCE_SERVICE)
}

/// Where the mount face is named.
pub(super) fn face(document: &Node) -> Option<&Node> {
    let pod: &[&str] =
        if is_of_kserve(document) { &["spec", "predictor"] } else { &["spec", "template", "spec"] };
    descend(descend(document, pod)?, &["volumes", "name=model", "image", "reference"])
}

/// Where an InferenceService says which release its pods are of, or a disruption budget which of them
/// it counts.
pub(super) fn release(document: &Node) -> Option<&Node> {
    let labels = match document.entry("kind")?.text()? {
        INFERENCE_SERVICE => ["spec", "predictor", "labels"],
        "PodDisruptionBudget" => ["spec", "selector", "matchLabels"],
        _ => return None,
    };
    descend(descend(document, &labels)?, &[kserve::RELEASE_LABEL])
}

/// Brings that up to date.
pub(super) fn set_release(document: &Node, bump: &Bump, edits: &mut Edits<'_>) -> Result<()> {
    const WHAT: &str = "the label of the release";
    let Some(node) = release(document) else { return Ok(()) };
    match &bump.modelkit_digest {
        Some(digest) => edits.set(node, &kserve::release_of(&bump.image, digest), WHAT),
        None => Err(not_editable(node, WHAT, NO_MODELKIT)),
    }
}

/// Whether it says that its model is not in its image.
fn is_delivered(document: &Node) -> bool {
    let path = [metadata(document), &["annotations", DELIVERY_ANNOTATION]].concat();
    descend(document, &path).is_some()
}

/// Sets the mount face. What is mounted and what is said of it change together, or not at all.
pub(super) fn set_face(document: &Node, bump: &Bump, edits: &mut Edits<'_>) -> Result<()> {
    match (face(document), &bump.face) {
        (Some(node), Some(face)) => edits.set(node, &face.to_string(), "the mount face"),
        (Some(node), None) => {
            Err(not_editable(node, "the mount face", "the new release is not one that is mounted"))
        }
        (None, Some(_)) if is_delivered(document) => {
            Err(not_editable(document, "the mount face", "this app mounts none"))
        }
        (None, _) => Ok(()),
    }
}

/// The version of what is deployed: the image's, or the ModelKit's where it is not in there.
pub(super) fn version(document: &Node, bump: &Bump) -> Option<String> {
    match is_delivered(document) {
        true => version_of_kit(bump.modelkit.as_deref(), bump.modelkit_digest.as_deref()),
        false => version_of(&bump.image),
    }
}

/// The volumes of an application that a model does not fit into, with their limits in bytes: a bump
/// leaves them as they are.
pub fn small_volumes(
    tree: &Tree,
    app: &Name,
    env: Option<&Name>,
    weight_bytes: u64,
) -> Vec<(String, u64)> {
    let limit = |volume: &Value| match volume["name"].as_str() {
        Some("model" | "layout" | "tmp") => bytes(volume.pointer("/emptyDir/sizeLimit")?.as_str()?),
        _ => None,
    };
    too_small(tree, app, env, weight_bytes, "/spec/template/spec/volumes", limit)
}

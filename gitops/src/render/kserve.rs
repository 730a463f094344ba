//! The InferenceService by which KServe runs the server, with the model as a volume, and by what Flux
//! knows that it does.

use sha2::{Digest as _, Sha256};

use super::{deployment, head, objects, version};
use crate::yaml::scalar;
use crate::{ImageRef, Layout, Release};

/// The label of the pods of one release.
pub(crate) const RELEASE_LABEL: &str = "kitops.ml/release";

/// The whole InferenceService: of a kind that kustomize does not know, lists cannot be merged, so each
/// environment has it as a file of its own.
pub(super) fn inference_service(release: &Release) -> String {
    let whole = Release { layout: Layout::Flat, ..release.clone() };
    let (head, name) = (head(&whole), scalar(release.name.as_str()));
    let version = version::version(&whole, 4);
    // What a Deployment has of its pods stands deeper.
    let up = |text: String, by: &str| -> String {
        text.split_inclusive('\n').map(|line| line.strip_prefix(by).unwrap_or(line)).collect()
    };
    let annotations = up(deployment::annotations(&whole), "    ");
    let spec = up(deployment::pod_spec(&whole), "  ");
    let (replicas, of) = (release.replicas, label(release, 6));
    format!(
        "apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
{head}{version}{annotations}    # A Deployment, not a service of Knative, which allows no such volume.
    serving.kserve.io/deploymentMode: RawDeployment
spec:
  predictor:
    labels:
      # What the other objects here select.
      app.kubernetes.io/name: {name}
{of}    minReplicas: {replicas}
    maxReplicas: {replicas}
    deploymentStrategy:
      type: RollingUpdate
      rollingUpdate:
        # The new pod is ready before an old one goes.
        maxSurge: 1
        maxUnavailable: 0
{spec}"
    )
}

/// How Flux tells whether what a commit asks for serves.
///
/// Not by the InferenceService: Flux takes nothing for serving that has not observed its own
/// generation, and an InferenceService says its Deployment's in the place of its own
/// (`kserve:pkg/apis/serving/v1beta1/inference_service_status.go`), so that Flux would wait for good for
/// one whose Deployment has had another number of changes. Nor by the Deployment alone, which is that of
/// the former release until KServe has touched it. But by pods of this very release that are ready, whom
/// the disruption budget counts; it and what it counts come by the same commit.
pub(super) fn health(release: &Release) -> String {
    let (name, namespace) = (release.name.as_str(), scalar(release.namespace.as_str()));
    let (budget, deployment) = (scalar(name), scalar(&format!("{name}-predictor")));
    format!(
        "  # Ready means that the pods serve. The InferenceService says so of the former rollout, too; the pods
  # of this one are counted by the disruption budget, and whether more come, the Deployment tells that
  # KServe makes.
  healthChecks:
    - apiVersion: policy/v1
      kind: PodDisruptionBudget
      name: {budget}
      namespace: {namespace}
    - apiVersion: apps/v1
      kind: Deployment
      name: {deployment}
      namespace: {namespace}
  healthCheckExprs:
    - apiVersion: policy/v1
      kind: PodDisruptionBudget
      current: >-
        has(status.currentHealthy) && has(status.desiredHealthy) &&
        status.currentHealthy > status.desiredHealthy
"
    )
}

/// The disruption budget of the pods of this release: it wants all but one, so that where more are
/// healthy all are.
pub(super) fn disruption_budget(release: &Release) -> String {
    format!(
        "{budget}      # The pods of this release, by which Flux knows that they serve; `gitops bump` keeps it.
{of}",
        budget = objects::disruption_budget(
            release,
            &format!("minAvailable: {}", release.replicas.saturating_sub(1))
        ),
        of = label(release, 6)
    )
}

fn label(release: &Release, indent: usize) -> String {
    let digest = release.modelkit_digest.as_deref().unwrap_or_default();
    let value = deployment::quoted(&release_of(&release.image, digest));
    format!("{:indent$}{RELEASE_LABEL}: {value}\n", "")
}

/// What it says: another word for each pair of image and ModelKit.
pub(crate) fn release_of(image: &ImageRef, modelkit_digest: &str) -> String {
    let hash = Sha256::digest(format!("{image}\n{modelkit_digest}"));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

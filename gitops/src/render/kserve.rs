//! The InferenceService by which KServe runs the server, with the model as a volume.

use super::{deployment, head, version};
use crate::yaml::scalar;
use crate::{Layout, Release};

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
    let replicas = release.replicas;
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
    minReplicas: {replicas}
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

/// How Flux tells whether what a commit asks for serves. Of an InferenceService kstatus knows no more
/// than `Ready`, which stays false while a model cannot be loaded at all, and is true as long as a pod
/// of the former rollout serves: the rollout is told by the Deployment that KServe makes.
pub(super) fn health(release: &Release) -> String {
    let (name, namespace) = (release.name.as_str(), scalar(release.namespace.as_str()));
    let (service, deployment) = (scalar(name), scalar(&format!("{name}-predictor")));
    format!(
        "  # Ready means that the pods serve. The InferenceService says so as long as an old one does; how
  # far a rollout is, the Deployment tells that KServe makes.
  healthChecks:
    - apiVersion: serving.kserve.io/v1beta1
      kind: InferenceService
      name: {service}
      namespace: {namespace}
    - apiVersion: apps/v1
      kind: Deployment
      name: {deployment}
      namespace: {namespace}
  # What kstatus does not know of this kind: that it serves, and that it never will.
  healthCheckExprs:
    - apiVersion: serving.kserve.io/v1beta1
      kind: InferenceService
      current: >-
        has(status.conditions) && status.conditions.exists(e, e.type == 'Ready' && e.status == 'True')
      failed: >-
        has(status.modelStatus) && has(status.modelStatus.transitionStatus) &&
        status.modelStatus.transitionStatus in ['InvalidSpec', 'BlockedByFailedLoad']
"
    )
}

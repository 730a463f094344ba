//! The InferenceService by which KServe runs the server, with the model as a volume.

use super::{MODELKIT_DIGEST_ANNOTATION, deployment, head, version};
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

/// How Flux tells whether what a commit asks for serves: by the Deployment that KServe makes.
///
/// Flux takes nothing for serving that has not observed its own generation, and an InferenceService
/// says the Deployment's in its place (`kserve:pkg/apis/serving/v1beta1/inference_service_status.go`):
/// Flux would wait for good for one whose Deployment has had another number of changes, such as those of
/// an autoscaler, and call one ready whose Deployment KServe has not touched yet. So which release the
/// Deployment is of is told by the image and the ModelKit.
pub(super) fn health(release: &Release) -> String {
    let (name, namespace) = (release.name.as_str(), scalar(release.namespace.as_str()));
    let deployment = scalar(&format!("{name}-predictor"));
    let digest = release.modelkit_digest.as_deref().unwrap_or_default();
    let former = is_former(&release.image.to_string(), digest);
    format!(
        "  # Ready means that the pods serve. How far a rollout is, the Deployment tells that KServe makes; what
  # the InferenceService says may be of the former one, and has the generation of the Deployment.
  healthChecks:
    - apiVersion: apps/v1
      kind: Deployment
      name: {deployment}
      namespace: {namespace}
  healthCheckExprs:
    - apiVersion: apps/v1
      kind: Deployment
      # It is that of another release. `gitops bump` keeps this.
      inProgress: '{former}'
      failed: >-
        has(status.conditions) &&
        status.conditions.exists(e, e.type == 'Progressing' && e.reason == 'ProgressDeadlineExceeded')
      current: >-
        has(status.updatedReplicas) && status.updatedReplicas == spec.replicas &&
        has(status.availableReplicas) && status.availableReplicas == spec.replicas &&
        status.replicas == spec.replicas
"
    )
}

/// Where a Kustomization says by what the Deployment of a former release is known.
pub(crate) const FORMER: [&str; 4] = ["spec", "healthCheckExprs", "kind=Deployment", "inProgress"];

/// Whether an expression is one of [`is_former`].
pub(crate) fn is_ours(expression: &str) -> bool {
    expression.starts_with('!') && expression.contains(MODELKIT_DIGEST_ANNOTATION)
}

/// Whether a Deployment is of another release than this one, in CEL.
pub(crate) fn is_former(image: &str, modelkit_digest: &str) -> String {
    let annotations = "spec.template.metadata.annotations";
    format!(
        "!spec.template.spec.containers.exists(e, e.image == \"{image}\") || !has({annotations}) || \
         !(\"{MODELKIT_DIGEST_ANNOTATION}\" in {annotations}) || \
         {annotations}[\"{MODELKIT_DIGEST_ANNOTATION}\"] != \"{modelkit_digest}\""
    )
}

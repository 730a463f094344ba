//! Which kinds an API server knows: those of Kubernetes 1.36 and of Flux 2.10, with the
//! Flux Operator (as `kubectl
//! api-resources` lists them), and those that definitions in the cluster add.

use gitops::{Object, ObjectId};
use serde_json::Value;

use crate::store::Store;

/// Kinds whose objects live in namespaces, by `apiVersion`.
const NAMESPACED: [(&str, &[&str]); 20] = [
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    ("helm.toolkit.fluxcd.io/v2", &["HelmRelease"]),
    ("image.toolkit.fluxcd.io/v1", &["ImagePolicy", "ImageRepository", "ImageUpdateAutomation"]),
    ("kustomize.toolkit.fluxcd.io/v1", &["Kustomization"]),
    ("networking.k8s.io/v1", &["Ingress", "NetworkPolicy"]),
    ("fluxcd.controlplane.io/v1", &["FluxInstance"]),
    ("notification.toolkit.fluxcd.io/v1", &["Alert", "Provider", "Receiver"]),
    ("notification.toolkit.fluxcd.io/v1beta3", &["Alert", "Provider"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding"]),
    ("resource.k8s.io/v1", &["ResourceClaim", "ResourceClaimTemplate"]),
    (
        "source.toolkit.fluxcd.io/v1",
        &[
            "Bucket",
            "ExternalArtifact",
            "GitRepository",
            "HelmChart",
            "HelmRepository",
            "OCIRepository",
        ],
    ),
    ("storage.k8s.io/v1", &["CSIStorageCapacity"]),
    (
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
    ),
];

/// Kinds of the whole cluster.
const OF_THE_CLUSTER: [(&str, &[&str]); 12] = [
    (
        "admissionregistration.k8s.io/v1",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &["APIService"]),
    ("certificates.k8s.io/v1", &["CertificateSigningRequest"]),
    ("flowcontrol.apiserver.k8s.io/v1", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io/v1", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io/v1", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io/v1", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io/v1", &["DeviceClass", "ResourceSlice"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    (
        "storage.k8s.io/v1",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("v1", &["Namespace", "Node", "PersistentVolume"]),
];

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Namespaced,
    Cluster,
}

/// The scope of an object's kind, if the kind is known.
pub(super) fn scope(id: &ObjectId, store: &Store) -> Option<Scope> {
    let version = id.api_version();
    let has = |table: &[(&str, &[&str])]| {
        table.iter().any(|(known, kinds)| *known == version && kinds.contains(&id.kind.as_str()))
    };
    if has(&NAMESPACED) {
        return Some(Scope::Namespaced);
    }
    if has(&OF_THE_CLUSTER) {
        return Some(Scope::Cluster);
    }
    let definitions = store.list("apiextensions.k8s.io", "CustomResourceDefinition");
    let definition = definitions.iter().find(|it| defines(it, id))?;
    Some(match definition.at("/spec/scope").and_then(Value::as_str) {
        Some("Namespaced") => Scope::Namespaced,
        _ => Scope::Cluster,
    })
}

fn defines(definition: &Object, id: &ObjectId) -> bool {
    let is = |pointer: &str, text: &str| definition.at(pointer).is_some_and(|it| it == text);
    let versions = definition.at("/spec/versions").and_then(Value::as_array);
    is("/spec/group", &id.group)
        && is("/spec/names/kind", &id.kind)
        && versions
            .into_iter()
            .flatten()
            .any(|it| it["name"] == id.version.as_str() && it["served"] == true)
}

//! Which kinds live outside of namespaces.

/// Whether a kind lives outside of namespaces, as far as kustomize knows: it has the API of
/// Kubernetes 1.21.2, and takes what it does not know for a kind that lives within
/// (`kyaml/openapi/openapi.go`, `precomputedIsNamespaceScoped`).
pub(super) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let beta = ["v1", "v1beta1"];
    let (versions, kinds): (&[&str], &[&str]) = match group {
        "" => (
            &["v1"],
            &["ComponentStatus", "Namespace", "Node", "NodeProxyOptions", "PersistentVolume"],
        ),
        "admissionregistration.k8s.io" => {
            (&beta, &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"])
        }
        "apiextensions.k8s.io" => (&beta, &["CustomResourceDefinition"]),
        "apiregistration.k8s.io" => (&beta, &["APIService"]),
        "certificates.k8s.io" => (&beta, &["CertificateSigningRequest"]),
        "flowcontrol.apiserver.k8s.io" => {
            (&["v1beta1"], &["FlowSchema", "PriorityLevelConfiguration"])
        }
        "networking.k8s.io" => (&beta, &["IngressClass"]),
        "node.k8s.io" => (&beta, &["RuntimeClass"]),
        "policy" => (&["v1beta1"], &["PodSecurityPolicy"]),
        "rbac.authorization.k8s.io" => (&beta, &["ClusterRole", "ClusterRoleBinding"]),
        "scheduling.k8s.io" => (&beta, &["PriorityClass"]),
        "storage.k8s.io" => (&beta, &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
        _ => return false,
    };
    versions.contains(&version) && kinds.contains(&kind)
}

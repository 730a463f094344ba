//! An object on its way through a build, with the names that it has had.

use crate::{Object, ObjectId};

/// An object on its way through a build, with what it was called before.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) object: Object,
    /// Identities from before each change of name or namespace, oldest first.
    pub(super) previous: Vec<ObjectId>,
    /// Prefixes and suffixes that were added, innermost first.
    pub(super) prefixes: Vec<String>,
    pub(super) suffixes: Vec<String>,
    /// Whether its name gets a hash of its content.
    pub(super) needs_hash: bool,
}

impl Resource {
    pub(super) fn new(object: Object) -> Self {
        Self {
            object,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            needs_hash: false,
        }
    }

    pub(super) fn id(&self) -> ObjectId {
        self.object.id()
    }

    /// What it was called at first.
    pub(super) fn original_id(&self) -> ObjectId {
        self.previous.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Keeps the present identity before it changes.
    pub(super) fn remember(&mut self) {
        self.previous.push(self.id());
    }

    /// Whether it is, or ever was, the object with that identity.
    pub(super) fn was(&self, id: &ObjectId) -> bool {
        self.previous.iter().chain([&self.id()]).any(|other| equal(other, id))
    }

    pub(super) fn set_name(&mut self, name: &str) {
        self.object.value_mut()["metadata"]["name"] = name.into();
    }

    /// Whether it is meant for tools on this machine only.
    pub(super) fn is_local(&self) -> bool {
        self.object
            .annotation("config.kubernetes.io/local-config")
            .is_some_and(|value| value != "false")
    }

    pub(super) fn into_object(self) -> Object {
        self.object
    }
}

/// Whether two identities are the same for kustomize: version included, no namespace meaning
/// `default`.
pub(super) fn equal(a: &ObjectId, b: &ObjectId) -> bool {
    (&a.group, &a.version, &a.kind, &a.name) == (&b.group, &b.version, &b.kind, &b.name)
        && namespace(a) == namespace(b)
}

/// The namespace that an object is in: `default` where it names none, a mark of its own for objects
/// of the whole cluster.
pub(super) fn namespace(id: &ObjectId) -> &str {
    match id.namespace.as_str() {
        _ if is_cluster_scoped(id) => "(cluster)",
        "" => "default",
        namespace => namespace,
    }
}

/// Whether Kubernetes' own kind lives outside of namespaces; kinds that it does not know live in
/// one.
pub(super) fn is_cluster_scoped(id: &ObjectId) -> bool {
    const KINDS: [&str; 27] = [
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "ComponentStatus",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "SelfSubjectAccessReview",
        "SelfSubjectRulesReview",
        "StorageClass",
        "SubjectAccessReview",
        "TokenReview",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    ];
    is_builtin(&id.group) && KINDS.contains(&id.kind.as_str())
}

/// Whether an API group is Kubernetes' own, so that its lists have merge keys.
pub(super) fn is_builtin(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

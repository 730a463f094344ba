//! References from object to object follow a name or namespace that changed.

use serde_json::Value;

use super::fields;
use super::resource::{Resource, is_cluster_scoped, namespace};
use crate::{Error, ObjectId, Result};

/// Kinds with pods, and where their pod's spec stands.
const WORKLOADS: [(&str, &str); 9] = [
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];

/// Which kind is referred to, from which fields of a pod's spec, and from which fields of other
/// kinds.
struct Rule {
    kind: &'static str,
    group: &'static str,
    in_pods: &'static [&'static str],
    /// Workloads whose pods are not looked at.
    not_in: &'static [&'static str],
    elsewhere: &'static [(&'static str, &'static str)],
}

const RULES: [Rule; 14] = [
    scale_target("Deployment"),
    scale_target("ReplicationController"),
    scale_target("ReplicaSet"),
    scale_target("StatefulSet"),
    Rule {
        kind: "ConfigMap",
        group: "",
        in_pods: &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
        not_in: &["ReplicationController"],
        elsewhere: &[("Role", "rules/resourceNames"), ("ClusterRole", "rules/resourceNames")],
    },
    Rule {
        kind: "Secret",
        group: "",
        in_pods: &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
        not_in: &["ReplicationController"],
        elsewhere: &[
            ("Ingress", "spec/tls/secretName"),
            ("ServiceAccount", "imagePullSecrets/name"),
            ("Role", "rules/resourceNames"),
            ("ClusterRole", "rules/resourceNames"),
        ],
    },
    Rule {
        kind: "Service",
        group: "",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[
            ("StatefulSet", "spec/serviceName"),
            ("Ingress", "spec/rules/http/paths/backend/serviceName"),
            ("Ingress", "spec/backend/serviceName"),
            ("Ingress", "spec/rules/http/paths/backend/service/name"),
            ("Ingress", "spec/defaultBackend/service/name"),
            ("APIService", "spec/service/name"),
            ("ValidatingWebhookConfiguration", "webhooks/clientConfig/service"),
            ("MutatingWebhookConfiguration", "webhooks/clientConfig/service"),
            ("HTTPRoute", "spec/rules/backendRefs/name"),
        ],
    },
    Rule {
        kind: "Role",
        group: "rbac.authorization.k8s.io",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[("RoleBinding", "roleRef/name")],
    },
    Rule {
        kind: "ClusterRole",
        group: "rbac.authorization.k8s.io",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[("RoleBinding", "roleRef/name"), ("ClusterRoleBinding", "roleRef/name")],
    },
    Rule {
        kind: "ServiceAccount",
        group: "",
        in_pods: &["serviceAccountName"],
        not_in: &["ReplicaSet", "PodTemplate"],
        elsewhere: &[("RoleBinding", "subjects"), ("ClusterRoleBinding", "subjects")],
    },
    Rule {
        kind: "PersistentVolumeClaim",
        group: "",
        in_pods: &["volumes/persistentVolumeClaim/claimName"],
        not_in: &["ReplicaSet", "PodTemplate"],
        elsewhere: &[],
    },
    Rule {
        kind: "PersistentVolume",
        group: "",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[
            ("PersistentVolumeClaim", "spec/volumeName"),
            ("ClusterRole", "rules/resourceNames"),
        ],
    },
    Rule {
        kind: "StorageClass",
        group: "storage.k8s.io",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[
            ("PersistentVolume", "spec/storageClassName"),
            ("PersistentVolumeClaim", "spec/storageClassName"),
            ("StatefulSet", "spec/volumeClaimTemplates/spec/storageClassName"),
        ],
    },
    Rule {
        kind: "PriorityClass",
        group: "scheduling.k8s.io",
        in_pods: &["priorityClassName"],
        not_in: &["ReplicaSet", "PodTemplate"],
        elsewhere: &[],
    },
];

const fn scale_target(kind: &'static str) -> Rule {
    Rule {
        kind,
        group: "",
        in_pods: &[],
        not_in: &[],
        elsewhere: &[("HorizontalPodAutoscaler", "spec/scaleTargetRef/name")],
    }
}

/// Renames references to objects whose name or namespace changed during the build.
pub(super) fn fix(resources: &mut [Resource]) -> Result<()> {
    let targets = resources.to_vec();
    for resource in resources {
        let referrer = Referrer {
            id: resource.id(),
            prefixes: resource.prefixes.clone(),
            suffixes: resource.suffixes.clone(),
            role: role_of(resource),
        };
        for rule in &RULES {
            for path in paths(rule, &referrer.id.kind) {
                let search = Search { targets: &targets, referrer: &referrer, rule, path: &path };
                let keys: Vec<&str> = path.split('/').collect();
                let mut outcome = Ok(());
                fields::each(resource.object.value_mut(), &keys, false, &mut |found| {
                    if outcome.is_ok() {
                        outcome = search.set(found);
                    }
                });
                outcome?;
            }
        }
    }
    Ok(())
}

fn paths(rule: &Rule, kind: &str) -> Vec<String> {
    let elsewhere = rule
        .elsewhere
        .iter()
        .filter(|(referrer, _)| *referrer == kind)
        .map(|(_, path)| (*path).to_owned());
    let pods = WORKLOADS
        .iter()
        .filter(|(workload, _)| *workload == kind && !rule.not_in.contains(workload));
    pods.flat_map(|(_, spec)| rule.in_pods.iter().map(move |path| format!("{spec}/{path}")))
        .chain(elsewhere)
        .collect()
}

/// Group and kind of a binding's role.
fn role_of(resource: &Resource) -> Option<(String, String)> {
    let text = |pointer| resource.object.at(pointer).and_then(Value::as_str).map(str::to_owned);
    Some((text("/roleRef/apiGroup")?, text("/roleRef/kind")?))
}

struct Referrer {
    id: ObjectId,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    role: Option<(String, String)>,
}

struct Search<'a> {
    targets: &'a [Resource],
    referrer: &'a Referrer,
    rule: &'a Rule,
    path: &'a str,
}

impl Search<'_> {
    fn set(&self, found: &mut Value) -> Result<()> {
        match found {
            Value::String(name) => {
                if let Some(target) = self.target(name, None)? {
                    *name = target.object.name().to_owned();
                }
                Ok(())
            }
            Value::Array(elements) => elements.iter_mut().try_for_each(|element| self.set(element)),
            Value::Object(_) => self.set_mapping(found),
            _ => Ok(()),
        }
    }

    /// A mapping with `name` and `namespace`: both follow the target.
    fn set_mapping(&self, found: &mut Value) -> Result<()> {
        let Some(name) = found["name"].as_str().map(str::to_owned) else { return Ok(()) };
        let within = found.get("namespace").and_then(Value::as_str).map(str::to_owned);
        let Some(target) = self.target(&name, within.as_deref())? else { return Ok(()) };
        found["name"] = target.object.name().into();
        if !target.object.namespace().is_empty() {
            found["namespace"] = target.object.namespace().into();
        }
        Ok(())
    }

    /// The object that was called so; none when nothing that changed was.
    fn target(&self, name: &str, within: Option<&str>) -> Result<Option<&Resource>> {
        let mut candidates: Vec<&Resource> =
            self.targets.iter().filter(|target| self.fits(target, name)).collect();
        if let Some(within) = within {
            let original = |target: &&Resource| namespace(&target.original_id()) == within;
            match candidates.iter().any(original) {
                true => candidates.retain(original),
                false => candidates.retain(|target| namespace(&target.id()) == within),
            }
        }
        if candidates.len() > 1 {
            candidates.retain(|target| self.same_affixes(target));
        }
        match candidates.as_slice() {
            [] => Ok(None),
            [first, rest @ ..] => match rest.iter().find(|other| {
                other.object.name() != first.object.name()
                    || other.object.namespace() != first.object.namespace()
            }) {
                None => Ok(Some(first)),
                Some(other) => {
                    let message = format!(
                        "{} of {} could mean {} or {}",
                        self.path,
                        self.referrer.id,
                        first.id(),
                        other.id()
                    );
                    Err(Error::Kustomize { field: "nameReference", message })
                }
            },
        }
    }

    fn fits(&self, target: &Resource, name: &str) -> bool {
        let is_kind = |id: &ObjectId| {
            id.kind == self.rule.kind && (self.rule.group.is_empty() || id.group == self.rule.group)
        };
        let is_role = |id: &ObjectId| match &self.referrer.role {
            Some((group, kind)) if self.path.ends_with("roleRef/name") => {
                id.group == *group && id.kind == *kind
            }
            _ => true,
        };
        let previous = &target.previous;
        previous.iter().any(|id| id.name == name)
            && previous.iter().any(is_kind)
            && previous.iter().any(is_role)
            && self.same_namespace(target)
    }

    fn same_namespace(&self, target: &Resource) -> bool {
        let id = target.id();
        let anywhere = is_cluster_scoped(&self.referrer.id)
            || is_cluster_scoped(&id)
            || (id.kind == "ServiceAccount" && self.referrer.id.kind == "RoleBinding");
        anywhere || namespace(&id) == namespace(&self.referrer.id)
    }

    /// Whether both went through the same kustomizations: the shorter list of affixes ends the
    /// longer.
    fn same_affixes(&self, target: &Resource) -> bool {
        let ends = |a: &[String], b: &[String]| {
            a.is_empty() || b.is_empty() || a.ends_with(b) || b.ends_with(a)
        };
        ends(&target.prefixes, &self.referrer.prefixes)
            && ends(&target.suffixes, &self.referrer.suffixes)
    }
}

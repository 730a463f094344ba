//! What an account may apply, as far as a repository says it: the roles and bindings in it.

use serde_json::Value;

use crate::reconcile::Refusal;
use crate::{Object, ObjectId};

/// An account by which Flux applies, with the rights that a cluster's objects give it.
pub(crate) struct Access {
    namespace: String,
    name: String,
    /// For each binding its namespace, or none for the whole cluster, and the rules of its role.
    granted: Vec<(Option<String>, Vec<Value>)>,
}

impl Access {
    /// The account, if these objects have it and all roles that it is bound to.
    pub(crate) fn of(namespace: &str, name: &str, objects: &[&Object]) -> Option<Self> {
        let is_named = |it: &Object, kind: &str, namespace: &str, name: &str| {
            it.kind() == kind && it.namespace() == namespace && it.name() == name
        };
        objects.iter().find(|it| is_named(it, "ServiceAccount", namespace, name))?;
        let mut granted = Vec::new();
        for binding in objects.iter().filter(|it| it.kind().ends_with("RoleBinding")) {
            let is_subject = |subject: &Value| {
                subject["kind"] == "ServiceAccount"
                    && subject["name"] == name
                    && subject["namespace"].as_str().unwrap_or(binding.namespace()) == namespace
            };
            let subjects = binding.at("/subjects").and_then(Value::as_array);
            if !subjects.into_iter().flatten().any(is_subject) {
                continue;
            }
            let text = |pointer| binding.at(pointer).and_then(Value::as_str).unwrap_or_default();
            let kind = text("/roleRef/kind");
            let within = if kind == "Role" { binding.namespace() } else { "" };
            let role =
                objects.iter().find(|it| is_named(it, kind, within, text("/roleRef/name")))?;
            let rules = role.at("/rules").and_then(Value::as_array).cloned().unwrap_or_default();
            let of = (binding.kind() == "RoleBinding").then(|| binding.namespace().to_owned());
            granted.push((of, rules));
        }
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), granted })
    }

    /// What the API server would say of applying an object.
    pub(crate) fn refusal(&self, object: &ObjectId) -> Option<Refusal> {
        let resource = plural(&object.kind);
        let covers = |list: &Value, wanted: &str| {
            let listed = list.as_array().into_iter().flatten();
            listed.filter_map(Value::as_str).any(|it| it == "*" || it == wanted)
        };
        let allows = |(of, rules): &(Option<String>, Vec<Value>)| {
            of.as_ref().is_none_or(|namespace| *namespace == object.namespace)
                && rules.iter().any(|rule| {
                    covers(&rule["apiGroups"], &object.group)
                        && covers(&rule["resources"], &resource)
                        && covers(&rule["verbs"], "patch")
                        && rule["resourceNames"].as_array().is_none_or(|names| {
                            names.iter().any(|name| *name == object.name.as_str())
                        })
                })
        };
        if self.granted.iter().any(allows) {
            return None;
        }
        let ObjectId { group, name, namespace, .. } = object;
        let full = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let place = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let (of, account) = (&self.namespace, &self.name);
        Some(Refusal::new(
            "Forbidden",
            format!(
                "{full} \"{name}\" is forbidden: User \"system:serviceaccount:{of}:{account}\" cannot patch resource \"{resource}\" in API group \"{group}\" {place}"
            ),
        ))
    }
}

/// The name of a kind's objects in the API, as it is made for all kinds that have a regular one.
fn plural(kind: &str) -> String {
    let name = kind.to_lowercase();
    match name.strip_suffix('y') {
        Some(stem) if !name.ends_with("ay") && !name.ends_with("ey") => format!("{stem}ies"),
        _ if name.ends_with(['s', 'x']) => format!("{name}es"),
        _ => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_names_in_the_api() {
        for (kind, name) in [
            ("Deployment", "deployments"),
            ("NetworkPolicy", "networkpolicies"),
            ("Ingress", "ingresses"),
            ("Gateway", "gateways"),
        ] {
            assert_eq!(plural(kind), name);
        }
    }

    #[test]
    fn a_role_that_nobody_knows_says_nothing() {
        let text = "\
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, namespace: n}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: a, namespace: n}
roleRef: {kind: ClusterRole, name: edit, apiGroup: rbac.authorization.k8s.io}
subjects: [{kind: ServiceAccount, name: a, namespace: n}]
";
        let objects = Object::parse_all(text).unwrap();
        let objects: Vec<&Object> = objects.iter().collect();
        assert!(Access::of("n", "a", &objects).is_none());
        let access = Access::of("n", "a", &objects[..1]).unwrap();
        assert!(access.refusal(&objects[0].id()).is_some());
        assert!(Access::of("n", "b", &objects).is_none());
    }
}

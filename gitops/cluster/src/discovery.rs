//! Which resources the API has: the documents from which kubectl learns paths, kinds and short
//! names.

use gitops::Object;
use serde_json::{Value, json};

/// A kind and the path segment under which its objects are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    group: String,
    version: String,
    plural: String,
    pub(crate) kind: String,
    is_namespaced: bool,
    short: &'static str,
}

/// Kinds whose lists are there even while they are empty: group, version, kind, short name; all but
/// those of [`OF_THE_CLUSTER`] live in namespaces.
const KNOWN: [(&str, &str, &str, &str); 14] = [
    ("", "v1", "ConfigMap", "cm"),
    ("", "v1", "Event", "ev"),
    ("", "v1", "Namespace", "ns"),
    ("", "v1", "Node", "no"),
    ("", "v1", "Pod", "po"),
    ("", "v1", "Secret", ""),
    ("", "v1", "Service", "svc"),
    ("", "v1", "ServiceAccount", "sa"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "crd"),
    ("apps", "v1", "Deployment", "deploy"),
    ("apps", "v1", "ReplicaSet", "rs"),
    ("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepo"),
    ("source.toolkit.fluxcd.io", "v1", "OCIRepository", "ocirepo"),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "ks"),
];
const OF_THE_CLUSTER: [&str; 3] = ["CustomResourceDefinition", "Namespace", "Node"];
/// What `kubectl get all` shows.
const ALL: [&str; 4] = ["Deployment", "Pod", "ReplicaSet", "Service"];

/// The known kinds, and those of all objects that are there.
pub(crate) fn resources(objects: &[Object]) -> Vec<Resource> {
    let known = KNOWN.iter().map(|(group, version, kind, short)| Resource {
        group: (*group).to_owned(),
        version: (*version).to_owned(),
        plural: pluralised(kind),
        kind: (*kind).to_owned(),
        is_namespaced: !OF_THE_CLUSTER.contains(kind),
        short,
    });
    let mut resources: Vec<Resource> = known.collect();
    for id in objects.iter().map(Object::id) {
        let plural = pluralised(&id.kind);
        if !resources.iter().any(|known| known.is(&id.group, &id.version, &plural)) {
            let is_namespaced = !id.namespace.is_empty();
            resources.push(Resource {
                group: id.group,
                version: id.version,
                plural,
                kind: id.kind,
                is_namespaced,
                short: "",
            });
        }
    }
    resources
}

impl Resource {
    pub(crate) fn is(&self, group: &str, version: &str, plural: &str) -> bool {
        self.group == group && self.version == version && self.plural == plural
    }

    /// Whether the object is one of them.
    pub(crate) fn has(&self, object: &Value) -> bool {
        object["apiVersion"] == self.api_version() && object["kind"] == self.kind
    }

    /// The plural and its group, as errors name it: `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    pub(crate) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    fn document(&self) -> Value {
        json!({
            "name": self.plural,
            "singularName": self.kind.to_lowercase(),
            "namespaced": self.is_namespaced,
            "kind": self.kind,
            "verbs": ["delete", "get", "list", "patch", "watch"],
            "shortNames": if self.short.is_empty() { vec![] } else { vec![self.short] },
            "categories": if ALL.contains(&self.kind.as_str()) { vec!["all"] } else { vec![] },
        })
    }
}

/// `GET /api`.
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"]})
}

/// `GET /apis`: one version for each group.
pub(crate) fn groups(resources: &[Resource]) -> Value {
    let mut groups: Vec<Value> = Vec::new();
    for resource in resources.iter().filter(|resource| !resource.group.is_empty()) {
        if !groups.iter().any(|group| group["name"] == resource.group) {
            let version =
                json!({"groupVersion": resource.api_version(), "version": resource.version});
            groups.push(
                json!({"name": resource.group, "versions": [version], "preferredVersion": version}),
            );
        }
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /api/v1` and `GET /apis/<group>/<version>`.
pub(crate) fn list(resources: &[Resource], group: &str, version: &str) -> Value {
    let of_group =
        resources.iter().filter(|resource| resource.group == group && resource.version == version);
    let mut documents: Vec<Value> = of_group.map(Resource::document).collect();
    if group.is_empty() {
        documents
            .push(json!({"name": "pods/log", "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["get"]}));
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": documents})
}

/// The path segment of a kind: `NetworkPolicy` → `networkpolicies`, `Ingress` → `ingresses`.
fn pluralised(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_path_segments() {
        for (kind, plural) in [
            ("Deployment", "deployments"),
            ("NetworkPolicy", "networkpolicies"),
            ("Ingress", "ingresses"),
            ("GitRepository", "gitrepositories"),
            ("Gateway", "gateways"),
        ] {
            assert_eq!(pluralised(kind), plural);
        }
    }

    #[test]
    fn a_kind_that_is_only_stored_is_found_too() {
        let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "a", "namespace": "b"}});
        let resources = resources(&[Object::from_value(policy).unwrap()]);
        let list = list(&resources, "networking.k8s.io", "v1");
        assert_eq!(list["resources"][0]["name"], "networkpolicies");
        let groups = groups(&resources);
        let names: Vec<_> =
            groups["groups"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
        assert_eq!(
            names,
            [
                "apiextensions.k8s.io",
                "apps",
                "source.toolkit.fluxcd.io",
                "kustomize.toolkit.fluxcd.io",
                "networking.k8s.io"
            ]
        );
    }
}

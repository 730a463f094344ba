//! Flux as the objects by which others find it: the definitions of the kinds that are reconciled
//! here, and its controllers, which are threads of this program and no pods.
//!
//! `flux check` looks for them (`flux2:cmd/flux/check.go`); what Git brings of the same names takes
//! their place.

use gitops::Object;
use serde_json::{Value, json};

use crate::Result;
use crate::store::Store;

/// The Flux whose behaviour this is.
const VERSION: &str = "v2.10.0";
/// Group, kind, plural and short name of what is reconciled.
const KINDS: [(&str, &str, &str, &str); 3] = [
    ("source.toolkit.fluxcd.io", "GitRepository", "gitrepositories", "gitrepo"),
    ("source.toolkit.fluxcd.io", "OCIRepository", "ocirepositories", "ocirepo"),
    ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations", "ks"),
];
const CONTROLLERS: [&str; 2] = ["source-controller", "kustomize-controller"];

/// Adds them to the store.
pub(crate) fn register(store: &Store) -> Result<()> {
    let kinds = KINDS.iter().map(definition);
    for (object, status) in kinds.chain(CONTROLLERS.iter().map(|name| controller(name))) {
        let object = Object::from_value(object)?;
        store.apply(&object)?;
        store.set_status(&object.id(), status)?;
    }
    Ok(())
}

fn labels() -> Value {
    json!({
        "app.kubernetes.io/instance": "flux-system",
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/version": VERSION,
        "app.kubernetes.io/managed-by": "kit-rs",
    })
}

fn definition((group, kind, plural, short): &(&str, &str, &str, &str)) -> (Value, Value) {
    let names = json!({
        "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
        "singular": kind.to_lowercase(), "shortNames": [short],
    });
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
    });
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}"), "labels": labels()},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    });
    let holds =
        |kind: &str| json!({"type": kind, "status": "True", "reason": "BuiltIn", "message": ""});
    let status = json!({
        "conditions": [holds("NamesAccepted"), holds("Established")],
        "acceptedNames": names,
        "storedVersions": ["v1"],
    });
    (object, status)
}

fn controller(name: &str) -> (Value, Value) {
    let image = format!("kit-rs.built-in/{name}:v{}", env!("CARGO_PKG_VERSION"));
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "flux-system", "labels": labels()},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "manager", "image": image}]},
            },
        },
    });
    let condition = |kind: &str, reason: &str| {
        let message = "it is part of `kit-rs gitops up` and has no pod";
        json!({"type": kind, "status": "True", "reason": reason, "message": message})
    };
    // Of no generation: it stays true where Git brings the controller's own Deployment.
    let status = json!({
        "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "conditions": [
            condition("Available", "MinimumReplicasAvailable"),
            condition("Progressing", "NewReplicaSetAvailable"),
        ],
    });
    (object, status)
}

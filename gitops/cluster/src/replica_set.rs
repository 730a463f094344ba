//! ReplicaSets: the templates that a Deployment has had, as the objects by which kubectl and
//! whoever judges health know them. The pods are kept by the Deployment's controller itself.
//!
//! Source: `kubernetes:pkg/controller/deployment/sync.go`.

use gitops::{Object, ObjectId};
use serde_json::{Value, json};

use crate::Result;
use crate::rollout::Counts;
use crate::store::Store;

/// How often the template changed until this one.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// How many without pods are kept, where the Deployment does not say.
const KEPT: u64 = 10;

/// Shows the template of now, by its hash and labels, and those of before, with the pods that each
/// has; returns name and uid of the first.
pub(crate) fn show(
    store: &Store,
    deployment: &Object,
    (label, hash): (&str, &str),
    wanted: usize,
    count: impl Fn(&str) -> Counts,
) -> Result<(String, String)> {
    let others = of(store, deployment);
    let name = format!("{}-{hash}", deployment.name());
    let newest = others.iter().map(revision).max().unwrap_or(0);
    let known = others.iter().find(|set| set.name() == name);
    let revision = known.map(revision).filter(|it| *it == newest).unwrap_or(newest + 1);
    let set = Object::from_value(template_of(deployment, &name, (label, hash), revision, wanted))?;
    store.apply(&set)?;
    note(store, &set.id(), None, count(hash))?;
    for other in others.iter().filter(|set| set.name() != name) {
        let pods = count(other.label(label).unwrap_or_default());
        note(store, &other.id(), Some(pods.total), pods)?;
    }
    forget(store, deployment, others, &name, count, label);
    let uid =
        store.find(&set.id()).and_then(|set| Some(set.at("/metadata/uid")?.as_str()?.to_owned()));
    Ok((name, uid.unwrap_or_default()))
}

/// Removes those of Deployments that are gone.
pub(crate) fn sweep(store: &Store, deployments: &[String]) {
    for set in store.list("apps", "ReplicaSet") {
        let owner = set.at("/metadata/ownerReferences/0").cloned().unwrap_or_default();
        let is_there =
            owner["uid"].as_str().is_some_and(|uid| deployments.iter().any(|it| it == uid));
        if owner["kind"] == "Deployment" && !is_there {
            store.delete(&set.id());
        }
    }
}

/// The oldest without pods go.
fn forget(
    store: &Store,
    deployment: &Object,
    mut others: Vec<Object>,
    name: &str,
    count: impl Fn(&str) -> Counts,
    label: &str,
) {
    let limit = deployment.at("/spec/revisionHistoryLimit").and_then(Value::as_u64);
    let kept = usize::try_from(limit.unwrap_or(KEPT)).unwrap_or(usize::MAX);
    others
        .retain(|set| set.name() != name && count(set.label(label).unwrap_or_default()).total == 0);
    others.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    for old in others.iter().skip(kept) {
        store.delete(&old.id());
    }
}

fn of(store: &Store, deployment: &Object) -> Vec<Object> {
    let uid = deployment.at("/metadata/uid");
    let mut sets = store.list("apps", "ReplicaSet");
    sets.retain(|set| set.at("/metadata/ownerReferences/0/uid") == uid);
    sets
}

fn revision(set: &Object) -> u64 {
    let text = set.value()["metadata"]["annotations"][REVISION].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn template_of(
    deployment: &Object,
    name: &str,
    (label, hash): (&str, &str),
    revision: u64,
    wanted: usize,
) -> Value {
    let ObjectId { namespace, name: owner, .. } = deployment.id();
    let mut template = deployment.value()["spec"]["template"].clone();
    template["metadata"]["labels"][label] = hash.into();
    let mut selector = deployment.value()["spec"]["selector"].clone();
    selector["matchLabels"][label] = hash.into();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name, "namespace": namespace, "labels": template["metadata"]["labels"],
            "annotations": {
                REVISION: revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": wanted.to_string(),
            },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "controller": true,
                "blockOwnerDeletion": true, "name": owner,
                "uid": deployment.value()["metadata"]["uid"],
            }],
        },
        "spec": {"replicas": wanted, "selector": selector, "template": template},
    })
}

/// Notes how many pods there are, and are wanted where that is told.
fn note(store: &Store, id: &ObjectId, wanted: Option<usize>, pods: Counts) -> Result<()> {
    store.change(id, |set| {
        if let Some(wanted) = wanted {
            set["spec"]["replicas"] = wanted.into();
        }
        set["status"] = json!({
            "observedGeneration": set["metadata"]["generation"], "replicas": pods.total,
            "fullyLabeledReplicas": pods.total, "readyReplicas": pods.ready,
            "availableReplicas": pods.available,
        });
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn templates_are_numbered_and_the_oldest_without_pods_go() {
        let store = Store::new(Arc::default()).unwrap();
        let web = Object::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "revisionHistoryLimit": 1, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}},
            },
        }))
        .unwrap();
        store.apply(&web).unwrap();
        let live = store.find(&web.id()).unwrap();
        let pods = |mine: &'static str| {
            move |hash: &str| Counts { total: usize::from(hash == mine), ..Counts::default() }
        };
        let told = || -> Vec<String> {
            let sets = store.list("apps", "ReplicaSet");
            let line = |set: &Object| {
                let replicas = set.at("/spec/replicas").cloned().unwrap_or_default();
                format!("{} {} x{replicas}", set.name(), revision(set))
            };
            sets.iter().map(line).collect()
        };
        let show_of = |hash: &'static str| show(&store, &live, ("h", hash), 1, pods(hash)).unwrap();
        let (name, uid) = show_of("a");
        assert_eq!((&*name, uid.is_empty()), ("web-a", false));
        assert_eq!(told(), ["web-a 1 x1"]);
        show_of("b");
        assert_eq!(told(), ["web-a 1 x0", "web-b 2 x1"]);
        // A template that comes back is the newest again.
        show_of("a");
        assert_eq!(told(), ["web-a 3 x1", "web-b 2 x0"]);
        show_of("c");
        assert_eq!(told(), ["web-a 3 x0", "web-c 4 x1"]);
        sweep(&store, &[]);
        assert_eq!(told(), [""; 0]);
    }
}

//! What has to happen so that what is live becomes what is desired.

use serde_json::Value;

use super::order;
use crate::{Object, ObjectId};

/// What has to happen so that the cluster is as desired, in the order in which it has to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Objects that are not there.
    pub create: Vec<Object>,
    /// Objects that are there and differ.
    pub update: Vec<Object>,
    /// Objects that are there as desired.
    pub unchanged: Vec<ObjectId>,
    /// Objects that are there and no longer desired, in the order of deletion.
    pub prune: Vec<ObjectId>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.prune.is_empty()
    }

    /// What is created or updated, in one order.
    pub fn apply(&self) -> Vec<&Object> {
        let mut objects: Vec<_> = self.create.iter().chain(&self.update).collect();
        objects.sort_by(|a, b| order::compare(&a.id(), &b.id()));
        objects
    }
}

/// Compares what is desired with what is live.
///
/// `live` is the inventory: the objects that belong to the same owner, as they were applied last.
/// What only the cluster writes (status, and `metadata` such as `uid`, `resourceVersion` or
/// `generation`) is not compared. These annotations of Flux are heeded:
/// `kustomize.toolkit.fluxcd.io/prune: disabled`, `…/reconcile: disabled` and `…/ssa: IfNotPresent`
/// or `Ignore`.
pub fn plan(desired: &[Object], live: &[Object]) -> Plan {
    let mut plan = Plan::default();
    for object in desired {
        let id = object.id();
        match live.iter().find(|other| other.id().is_same(&id)) {
            _ if flux(object, "ssa") == Some("Ignore") => plan.unchanged.push(id),
            None => plan.create.push(object.clone()),
            Some(other) if is_left_alone(object, other) || stripped(object) == stripped(other) => {
                plan.unchanged.push(id)
            }
            Some(_) => plan.update.push(object.clone()),
        }
    }
    let gone = |object: &&Object| {
        !desired.iter().any(|other| other.id().is_same(&object.id()))
            && flux(object, "prune") != Some("disabled")
    };
    plan.prune = live.iter().filter(gone).map(Object::id).collect();
    for list in [&mut plan.create, &mut plan.update] {
        list.sort_by(|a, b| order::compare(&a.id(), &b.id()));
    }
    plan.unchanged.sort_by(order::compare);
    plan.prune.sort_by(|a, b| order::compare(b, a));
    plan
}

fn is_left_alone(desired: &Object, live: &Object) -> bool {
    flux(desired, "ssa") == Some("IfNotPresent")
        || flux(desired, "reconcile") == Some("disabled")
        || flux(live, "reconcile") == Some("disabled")
}

fn flux<'a>(object: &'a Object, setting: &str) -> Option<&'a str> {
    object.annotation(&format!("kustomize.toolkit.fluxcd.io/{setting}"))
}

/// The object without what only the cluster writes.
fn stripped(object: &Object) -> Value {
    const SERVER: [&str; 7] = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "uid",
    ];
    let mut value = object.value().clone();
    let Some(map) = value.as_object_mut() else { return value };
    map.remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| !SERVER.contains(&key.as_str()));
    }
    value
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn objects(texts: &[&str]) -> Vec<Object> {
        let text = |entry: &&str| {
            let (kind, rest) = entry.split_once('/').unwrap();
            let (name, extra) = rest.split_once(' ').unwrap_or((rest, ""));
            format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}, uid: '1', annotations: {{{extra}}}}}\ndata: {{x: '{extra}'}}\nstatus: {{}}\n").parse().unwrap()
        };
        texts.iter().map(text).collect()
    }

    fn check(desired: &[&str], live: &[&str], expected: Expect) {
        let plan = plan(&objects(desired), &objects(live));
        let names =
            |ids: Vec<ObjectId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let of = |objects: &[Object]| names(objects.iter().map(Object::id).collect());
        expected.assert_eq(&format!(
            "create {}; update {}; unchanged {}; prune {}",
            of(&plan.create),
            of(&plan.update),
            names(plan.unchanged),
            names(plan.prune)
        ));
    }

    #[test]
    fn each_object_is_created_updated_left_or_pruned() {
        check(
            &["ConfigMap/a", "ConfigMap/b y: z", "ConfigMap/c"],
            &["ConfigMap/b", "ConfigMap/c", "ConfigMap/d"],
            expect![
                "create ConfigMap/a; update ConfigMap/b; unchanged ConfigMap/c; prune ConfigMap/d"
            ],
        );
    }

    #[test]
    fn objects_are_applied_after_what_they_need_and_deleted_before_it() {
        let some = [
            "Deployment/a",
            "Thing/t",
            "Namespace/n",
            "ValidatingWebhookConfiguration/v",
            "ConfigMap/c",
            "ServiceAccount/s",
        ];
        check(
            &some,
            &[],
            expect![
                "create Namespace/n ServiceAccount/s ConfigMap/c Deployment/a Thing/t ValidatingWebhookConfiguration/v; update ; unchanged ; prune "
            ],
        );
        check(
            &[],
            &some,
            expect![
                "create ; update ; unchanged ; prune ValidatingWebhookConfiguration/v Thing/t Deployment/a ConfigMap/c ServiceAccount/s Namespace/n"
            ],
        );
    }

    #[test]
    fn annotations_of_flux_are_heeded() {
        let set = |setting: &str| format!("ConfigMap/a kustomize.toolkit.fluxcd.io/{setting}");
        check(&[], &[&set("prune: disabled")], expect!["create ; update ; unchanged ; prune "]);
        check(
            &[&set("ssa: IfNotPresent")],
            &["ConfigMap/a"],
            expect!["create ; update ; unchanged ConfigMap/a; prune "],
        );
        check(
            &[&set("ssa: IfNotPresent")],
            &[],
            expect!["create ConfigMap/a; update ; unchanged ; prune "],
        );
        check(
            &["ConfigMap/a"],
            &[&set("reconcile: disabled")],
            expect!["create ; update ; unchanged ConfigMap/a; prune "],
        );
    }
}

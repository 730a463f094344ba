//! What has to happen so that what is live becomes what is desired.

use serde_json::{Map, Value};

use super::order;
use crate::{Object, ObjectId};

/// As whom Flux applies.
const MANAGER: &str = "kustomize-controller";

/// What has to happen so that the cluster is as desired, in the order in which it has to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Objects that are not there.
    pub create: Vec<Object>,
    /// Objects that are there and differ.
    pub update: Vec<Object>,
    /// Objects that are there as desired.
    pub unchanged: Vec<ObjectId>,
    /// Objects that Flux was told to leave alone.
    pub skipped: Vec<ObjectId>,
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
/// `live`: the objects at the places of the desired ones, whoever made them, and those of the
/// inventory that still belong to its owner, all as they were applied last.
/// What only the cluster writes (status, and `metadata` such as `uid`, `resourceVersion` or
/// `generation`) is not compared, nor are labels and annotations that, as `managedFields` has it,
/// somebody else has set. These annotations or labels of Flux are heeded, in any case of
/// letters, on the desired object as on the live one: `kustomize.toolkit.fluxcd.io/reconcile:
/// disabled` and `…/ssa: Ignore`, with which nothing happens to an object; `…/prune: disabled`,
/// which keeps the live one, and `…/ssa: IfNotPresent` of the desired one.
pub fn plan(desired: &[Object], live: &[Object]) -> Plan {
    let mut plan = Plan::default();
    for object in desired {
        let id = object.id();
        let other = live.iter().find(|other| other.id().is_same(&id));
        if is_skipped(object, other) {
            plan.skipped.push(other.map_or(id, Object::id));
            continue;
        }
        match other {
            None => plan.create.push(object.clone()),
            Some(other) if stripped(object) == stripped(other) => plan.unchanged.push(id),
            Some(_) => plan.update.push(object.clone()),
        }
    }
    let gone = |object: &&Object| !desired.iter().any(|other| other.id().is_same(&object.id()));
    plan.prune = live.iter().filter(gone).filter(|it| !is_kept(it)).map(Object::id).collect();
    for list in [&mut plan.create, &mut plan.update] {
        list.sort_by(|a, b| order::compare(&a.id(), &b.id()));
    }
    for list in [&mut plan.unchanged, &mut plan.skipped] {
        list.sort_by(order::compare);
    }
    plan.prune.sort_by(|a, b| order::compare(b, a));
    plan
}

fn is_skipped(desired: &Object, live: Option<&Object>) -> bool {
    is_left_alone(desired)
        || live.is_some_and(|live| is_left_alone(live) || flux(desired, "ssa", "IfNotPresent"))
}

fn is_left_alone(object: &Object) -> bool {
    flux(object, "reconcile", "disabled") || flux(object, "ssa", "Ignore")
}

/// Whether an object stays when it has left the source.
fn is_kept(live: &Object) -> bool {
    flux(live, "prune", "disabled") || is_left_alone(live)
}

/// Whether a label or annotation of Flux has that value.
fn flux(object: &Object, setting: &str, value: &str) -> bool {
    let key = format!("kustomize.toolkit.fluxcd.io/{setting}");
    [object.label(&key), object.annotation(&key)]
        .into_iter()
        .flatten()
        .any(|text| text.eq_ignore_ascii_case(value))
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
        remove_foreign(metadata);
        metadata.retain(|key, _| !SERVER.contains(&key.as_str()));
    }
    value
}

/// Takes away the labels and annotations that belong to others than Flux; none are as good as no
/// map.
fn remove_foreign(metadata: &mut Map<String, Value>) {
    let managed = metadata.get("managedFields").and_then(Value::as_array).cloned();
    let others = managed.into_iter().flatten().filter(|it| it["manager"] != MANAGER);
    for fields in others {
        for name in ["labels", "annotations"] {
            let owned = fields["fieldsV1"]["f:metadata"][format!("f:{name}")].as_object();
            let Some(map) = metadata.get_mut(name).and_then(Value::as_object_mut) else { continue };
            let keys = owned.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("f:"));
            keys.for_each(|key| drop(map.remove(key)));
        }
    }
    metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
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
            "create {}; update {}; unchanged {}; skipped {}; prune {}",
            of(&plan.create),
            of(&plan.update),
            names(plan.unchanged),
            names(plan.skipped),
            names(plan.prune)
        ));
    }

    #[test]
    fn each_object_is_created_updated_left_or_pruned() {
        check(
            &["ConfigMap/a", "ConfigMap/b y: z", "ConfigMap/c"],
            &["ConfigMap/b", "ConfigMap/c", "ConfigMap/d"],
            expect![
                "create ConfigMap/a; update ConfigMap/b; unchanged ConfigMap/c; skipped ; prune ConfigMap/d"
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
                "create Namespace/n ServiceAccount/s ConfigMap/c Deployment/a Thing/t ValidatingWebhookConfiguration/v; update ; unchanged ; skipped ; prune "
            ],
        );
        check(
            &[],
            &some,
            expect![
                "create ; update ; unchanged ; skipped ; prune ValidatingWebhookConfiguration/v Thing/t Deployment/a ConfigMap/c ServiceAccount/s Namespace/n"
            ],
        );
    }

    #[test]
    fn annotations_of_flux_are_heeded_on_both_sides_and_in_any_spelling() {
        let set = |setting: &str| format!("ConfigMap/a kustomize.toolkit.fluxcd.io/{setting}");
        let skipped = "create ; update ; unchanged ; skipped ConfigMap/a; prune ";
        let is = |desired: &[&str], live: &[&str], expected: &str| {
            let plan = plan(&objects(desired), &objects(live));
            let of = |objects: &[Object]| {
                objects.iter().map(|it| it.id().to_string()).collect::<String>()
            };
            let names = |ids: &[ObjectId]| ids.iter().map(ToString::to_string).collect::<String>();
            let told = format!(
                "create {}; update {}; unchanged {}; skipped {}; prune {}",
                of(&plan.create),
                of(&plan.update),
                names(&plan.unchanged),
                names(&plan.skipped),
                names(&plan.prune)
            );
            assert_eq!(told, expected, "{desired:?} {live:?}");
        };
        for setting in ["reconcile: disabled", "reconcile: Disabled", "ssa: Ignore", "ssa: ignore"]
        {
            is(&[&set(setting)], &[], skipped);
            is(&[&set(setting)], &["ConfigMap/a"], skipped);
            is(&["ConfigMap/a"], &[&set(setting)], skipped);
            is(&[], &[&set(setting)], "create ; update ; unchanged ; skipped ; prune ");
        }
        for setting in ["prune: disabled", "prune: DISABLED"] {
            is(&[], &[&set(setting)], "create ; update ; unchanged ; skipped ; prune ");
            is(
                &["ConfigMap/a"],
                &[&set(setting)],
                "create ; update ConfigMap/a; unchanged ; skipped ; prune ",
            );
        }
        is(&[&set("ssa: IfNotPresent")], &["ConfigMap/a"], skipped);
        is(
            &[&set("ssa: ifnotpresent")],
            &[],
            "create ConfigMap/a; update ; unchanged ; skipped ; prune ",
        );
        is(
            &["ConfigMap/a"],
            &[&set("ssa: IfNotPresent")],
            "create ; update ConfigMap/a; unchanged ; skipped ; prune ",
        );
        is(
            &[],
            &[&set("prune: enabled")],
            "create ; update ; unchanged ; skipped ; prune ConfigMap/a",
        );
    }

    #[test]
    fn what_others_have_set_is_heeded_and_is_no_difference() {
        let desired = objects(&["ConfigMap/a"]);
        let live = |setting: &str| -> Object {
            let key = format!("kustomize.toolkit.fluxcd.io/{}", setting.split(':').next().unwrap());
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, annotations: {{kustomize.toolkit.fluxcd.io/{setting}}}, managedFields: [{{manager: kubectl, fieldsV1: {{f:metadata: {{f:annotations: {{'f:{key}': {{}}}}}}}}}}]}}\ndata: {{x: ''}}\n").parse().unwrap()
        };
        let of = |setting: &str| plan(&desired, &[live(setting)]);
        assert_eq!(of("prune: disabled").unchanged.len(), 1, "{:?}", of("prune: disabled"));
        assert_eq!(of("reconcile: disabled").skipped.len(), 1);
        assert!(plan(&[], &[live("prune: disabled")]).prune.is_empty());
    }
}

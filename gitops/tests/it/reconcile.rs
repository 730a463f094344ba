use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};
use kit_gitops::reconcile::{
    Artifact, Cluster, Dependency, Event, Outcome, Refusal, blocked, reconcile, waits_for,
};
use kit_gitops::status::Health;
use kit_gitops::{BoxError, Object, ObjectId, Tree, flux};
use serde_json::{Value, json};

/// A cluster in memory, whose Deployments become healthy after some looks.
#[derive(Default)]
struct Memory {
    objects: Vec<Object>,
    inventory: Vec<ObjectId>,
    log: Vec<String>,
    /// What the looks at the Deployment see.
    seen: Option<Health>,
    /// The kind that is not taken, and the reason.
    refuse: Option<(&'static str, &'static str)>,
}

impl Cluster for Memory {
    fn inventory(&self, _: &flux::Kustomization) -> Result<Vec<ObjectId>, BoxError> {
        Ok(self.inventory.clone())
    }

    fn find(&self, id: &ObjectId) -> Result<Option<Object>, BoxError> {
        Ok(self.objects.iter().find(|object| object.id().is_same(id)).cloned())
    }

    fn check(&self, object: &Object) -> Result<(), Refusal> {
        match self.refuse {
            Some((kind, reason)) if kind == object.kind() => {
                Err(Refusal::new(reason, "the API server says no"))
            }
            _ => Ok(()),
        }
    }

    fn apply(&mut self, object: &Object) -> Result<(), BoxError> {
        self.log.push(format!("apply {}", object.id()));
        self.objects.retain(|other| !other.id().is_same(&object.id()));
        self.objects.push(object.clone());
        Ok(())
    }

    fn delete(&mut self, id: &ObjectId) -> Result<(), BoxError> {
        if self.refuse.is_some_and(|(kind, _)| kind == "delete") {
            return Err("a finalizer is in the way".into());
        }
        self.log.push(format!("delete {id}"));
        self.objects.retain(|other| !other.id().is_same(id));
        Ok(())
    }

    fn health(&self, id: &ObjectId) -> Health {
        match &self.seen {
            Some(health) if id.kind == "Deployment" => health.clone(),
            _ => Health::Current,
        }
    }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::from_files(files.iter().copied()).unwrap()
}

fn app(extra: &str) -> flux::Kustomization {
    let text = format!(
        "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: app, namespace: flux-system}}
spec: {{interval: 5m, path: ./apps/a, prune: true, wait: true, sourceRef: {{kind: GitRepository, name: flux-system}}, {extra}}}
"
    );
    flux::Kustomization::read(&text.parse().unwrap()).unwrap().unwrap()
}

const OBJECTS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: d, namespace: a}
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: a}
data: {x: '1'}
";

fn turn(cluster: &mut Memory, app: &flux::Kustomization, tree: &Tree) -> Outcome {
    cluster.log.clear();
    let artifact = Artifact { revision: "main@sha1:0123", tree };
    let outcome = reconcile(app, artifact, cluster, &mut |_| ControlFlow::Continue(()));
    if let Some(inventory) = &outcome.inventory {
        cluster.inventory.clone_from(inventory);
    }
    outcome
}

fn says(cluster: &Memory, outcome: &Outcome, expected: Expect) {
    let changes: Vec<_> = outcome
        .changes
        .iter()
        .map(|change| format!("{} {}", change.id, change.action.word()))
        .collect();
    let inventory: Vec<_> = cluster.inventory.iter().map(ObjectId::inventory_id).collect();
    let ready = &outcome.ready;
    expected.assert_eq(&format!(
        "{}\nlog: {}\nchanges: {}\ninventory: {}\n",
        format_args!("{} {}: {}", ready.status.as_str(), ready.reason, ready.message),
        cluster.log.join(", "),
        changes.join(", "),
        inventory.join(", ")
    ));
}

#[test]
fn a_first_reconciliation_applies_all_in_order_and_a_second_nothing() {
    let (mut cluster, tree) = (Memory::default(), tree(&[("apps/a/all.yaml", OBJECTS)]));
    let outcome = turn(&mut cluster, &app(""), &tree);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: apply Namespace/a, apply ConfigMap/a/c, apply Deployment/a/d
        changes: Namespace/a created, ConfigMap/a/c created, Deployment/a/d created
        inventory: _a__Namespace, a_c__ConfigMap, a_d_apps_Deployment
    "#]],
    );
    let outcome = turn(&mut cluster, &app(""), &tree);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: 
        changes: 
        inventory: _a__Namespace, a_c__ConfigMap, a_d_apps_Deployment
    "#]],
    );
}

#[test]
fn drift_is_repaired_and_what_left_the_source_is_pruned() {
    let (mut cluster, full) = (Memory::default(), tree(&[("apps/a/all.yaml", OBJECTS)]));
    turn(&mut cluster, &app(""), &full);
    cluster.objects.retain(|object| object.kind() != "ConfigMap");
    let outcome = turn(&mut cluster, &app(""), &full);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: apply ConfigMap/a/c
        changes: ConfigMap/a/c created
        inventory: _a__Namespace, a_c__ConfigMap, a_d_apps_Deployment
    "#]],
    );

    let less =
        tree(&[("apps/a/all.yaml", &OBJECTS.split("---").take(2).collect::<Vec<_>>().join("---"))]);
    let outcome = turn(&mut cluster, &app(""), &less);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: delete ConfigMap/a/c
        changes: ConfigMap/a/c deleted
        inventory: _a__Namespace, a_d_apps_Deployment
    "#]],
    );
}

#[test]
fn what_cannot_be_deleted_stays_in_the_inventory() {
    let (mut cluster, full) = (Memory::default(), tree(&[("apps/a/all.yaml", OBJECTS)]));
    turn(&mut cluster, &app(""), &full);
    cluster.refuse = Some(("delete", ""));
    let outcome = turn(
        &mut cluster,
        &app(""),
        &tree(&[("apps/a/all.yaml", OBJECTS.split("---").next().unwrap())]),
    );
    says(
        &cluster,
        &outcome,
        expect![[r#"
            False PruneFailed: delete failed, errors: ConfigMap/a/c delete failed: a finalizer is in the way;Namespace/a delete failed: a finalizer is in the way;
            log: 
            changes: 
            inventory: a_d_apps_Deployment, a_c__ConfigMap, _a__Namespace
        "#]],
    );
}

#[test]
fn a_path_that_is_not_there_is_an_artifact_failure() {
    let mut cluster = Memory::default();
    let outcome = turn(&mut cluster, &app(""), &tree(&[("elsewhere/x.yaml", OBJECTS)]));
    says(
        &cluster,
        &outcome,
        expect![[r#"
        False ArtifactFailed: kustomization path not found: stat /apps/a: no such file or directory
        log: 
        changes: 
        inventory: 
    "#]],
    );
}

#[test]
fn a_broken_file_is_a_build_failure_and_nothing_changes() {
    let mut cluster = Memory::default();
    let outcome = turn(
        &mut cluster,
        &app(""),
        &tree(&[
            ("apps/a/all.yaml", "kind: [\n"),
            ("apps/a/kustomization.yaml", "resources: [all.yaml]\n"),
        ]),
    );
    says(
        &cluster,
        &outcome,
        expect![[r#"
            False BuildFailed: kustomize build failed: cannot read apps/a/all.yaml: line 2, column 1: while parsing a node, did not find expected node content
            log: 
            changes: 
            inventory: 
        "#]],
    );
}

#[test]
fn of_a_stage_that_is_not_all_taken_nothing_is_applied_and_the_inventory_stays() {
    let mut cluster = Memory { refuse: Some(("Deployment", "Invalid")), ..Memory::default() };
    let all = tree(&[("apps/a/all.yaml", OBJECTS)]);
    let outcome = turn(&mut cluster, &app(""), &all);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        False ReconciliationFailed: Deployment/a/d dry-run failed (Invalid): the API server says no
        Namespace/a created

        log: apply Namespace/a
        changes: Namespace/a created
        inventory: 
    "#]],
    );
    cluster.refuse = Some(("Namespace", "Forbidden"));
    cluster.objects.clear();
    let outcome = turn(&mut cluster, &app(""), &all);
    says(
        &cluster,
        &outcome,
        expect![[r#"
        False ReconciliationFailed: Namespace/a dry-run failed (Forbidden): the API server says no

        log: 
        changes: 
        inventory: 
    "#]],
    );
}

#[test]
fn a_refusal_is_told_as_flux_tells_it() {
    for (reason, object, expected) in [
        ("Invalid", "ConfigMap/a/c", "ConfigMap/a/c dry-run failed (Invalid): "),
        ("", "ConfigMap/a/c", "ConfigMap/a/c dry-run failed: "),
        ("NotFound", "ConfigMap/a/c", "ConfigMap/a/c not found: "),
        ("NotFound", "Namespace/a", "Namespace/a namespace not specified: "),
    ] {
        let kind = object.split('/').next().unwrap();
        let mut cluster = Memory { refuse: Some((kind, reason)), ..Memory::default() };
        let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a/all.yaml", OBJECTS)]));
        assert!(outcome.ready.message.starts_with(expected), "{}", outcome.ready.message);
    }
}

#[test]
fn a_folder_without_yaml_is_ready_and_empty_and_a_file_is_no_folder() {
    let mut cluster = Memory::default();
    turn(&mut cluster, &app(""), &tree(&[("apps/a/all.yaml", OBJECTS)]));
    let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a/README.md", "nothing yet")]));
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: delete Deployment/a/d, delete ConfigMap/a/c, delete Namespace/a
        changes: Deployment/a/d deleted, ConfigMap/a/c deleted, Namespace/a deleted
        inventory: 
    "#]],
    );
    let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a", "a file")]));
    assert_eq!(outcome.ready.reason, "BuildFailed");
    assert!(outcome.ready.message.ends_with("not a directory"), "{}", outcome.ready.message);
}

#[test]
fn what_is_another_owners_by_now_is_not_pruned() {
    let mut cluster = Memory::default();
    turn(&mut cluster, &app(""), &tree(&[("apps/a/all.yaml", OBJECTS)]));
    for object in &mut cluster.objects {
        if object.kind() == "ConfigMap" {
            object.set_label("kustomize.toolkit.fluxcd.io/name", "other");
        }
    }
    let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a/x.md", "")]));
    assert!(outcome.is_ready());
    let left: Vec<_> = cluster.objects.iter().map(|object| object.id().to_string()).collect();
    assert_eq!(left, ["ConfigMap/a/c"]);
}

#[test]
fn what_is_left_alone_is_neither_made_nor_waited_for_but_listed() {
    let mut cluster = Memory {
        seen: Some(Health::Failed("it would never be healthy".to_owned())),
        ..Memory::default()
    };
    let left_alone = OBJECTS.replace(
        "{name: d, namespace: a}",
        "{name: d, namespace: a, annotations: {kustomize.toolkit.fluxcd.io/reconcile: Disabled}}",
    );
    let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a/all.yaml", &left_alone)]));
    says(
        &cluster,
        &outcome,
        expect![[r#"
        True ReconciliationSucceeded: Applied revision: main@sha1:0123
        log: apply Namespace/a, apply ConfigMap/a/c
        changes: Namespace/a created, ConfigMap/a/c created
        inventory: _a__Namespace, a_c__ConfigMap, a_d_apps_Deployment
    "#]],
    );
}

#[test]
fn a_rollout_is_waited_for_and_its_failure_told() {
    let tree = tree(&[("apps/a/all.yaml", OBJECTS)]);
    let progress = Health::InProgress("0 of 1 replicas are updated".to_owned());

    let (mut looks, mut reasons) = (0, Vec::new());
    let mut cluster = Memory { seen: Some(progress.clone()), ..Memory::default() };
    let outcome = reconcile(
        &app(""),
        Artifact { revision: "main@sha1:0123", tree: &tree },
        &mut cluster,
        &mut |event| {
            if let Event::Waiting(health) = event {
                looks += 1;
                reasons = health.iter().map(|(_, health)| health.reason().to_owned()).collect();
            }
            if looks == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert_eq!((outcome.ready.reason, outcome.applied_revision), ("HealthCheckCanceled", None));
    assert_eq!(reasons, ["0 of 1 replicas are updated"]);

    let mut soon = app("");
    soon.timeout = Duration::from_millis(1);
    for (health, word) in [(progress, "InProgress"), (Health::NotFound, "NotFound")] {
        let mut cluster = Memory { seen: Some(health), ..Memory::default() };
        let outcome = turn(&mut cluster, &soon, &tree);
        let message = &outcome.ready.message;
        assert!(
            message.starts_with("health check failed after ")
                && message
                    .ends_with(&format!("timeout waiting for: [Deployment/a/d status: '{word}']")),
            "{message}"
        );
    }

    let failed = Health::Failed("the progress deadline is exceeded".to_owned());
    let mut cluster = Memory { seen: Some(failed), ..Memory::default() };
    let outcome = turn(&mut cluster, &app(""), &tree);
    assert_eq!(outcome.ready.reason, "HealthCheckFailed");
    let message = &outcome.ready.message;
    let end = "failed early due to stalled resources: [Deployment/a/d status: 'Failed']";
    assert!(message.ends_with(end), "{message}");
}

#[test]
fn fields_of_the_kustomization_are_laid_over_what_is_built() {
    let mut cluster = Memory::default();
    let app = app(
        "targetNamespace: b, namePrefix: p-, commonMetadata: {labels: {team: ml}}, images: [{name: i, newTag: '2'}], patches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec\", \"value\": {\"template\": {\"spec\": {\"containers\": [{\"image\": \"i\"}]}}}}]'}]",
    );
    turn(&mut cluster, &app, &tree(&[("apps/a/all.yaml", OBJECTS)]));
    let deployment = cluster.objects.iter().find(|object| object.kind() == "Deployment").unwrap();
    expect![[r#"
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          labels:
            kustomize.toolkit.fluxcd.io/name: app
            kustomize.toolkit.fluxcd.io/namespace: flux-system
            team: ml
          name: p-d
          namespace: b
        spec:
          template:
            spec:
              containers:
              - image: i:2
    "#]]
    .assert_eq(&deployment.to_yaml());
}

#[test]
fn the_status_is_that_of_the_kustomize_controller() {
    let (mut cluster, tree) = (
        Memory::default(),
        tree(&[("apps/a/all.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")]),
    );
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let turn = |cluster: &mut Memory, tree: &Tree| Outcome {
        took: Duration::from_millis(1500),
        ..turn(cluster, &app(""), tree)
    };
    let missing =
        turn(&mut cluster, &Tree::from_files([("x", "")]).unwrap()).status(1, None, at(5));
    let message = "kustomization path not found: stat /apps/a: no such file or directory";
    let progress = "Fetching manifests for revision main@sha1:0123 with a timeout of 4m30s";
    let condition = |kind: &str, status: &str, reason: &str, message: &str, at: u64| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": format!("1970-01-01T00:00:{at:02}Z"), "observedGeneration": 1,
        })
    };
    // Nothing was built, so nothing was attempted.
    assert_eq!(
        missing,
        json!({
            "observedGeneration": -1,
            "conditions": [
                condition("Reconciling", "True", "ProgressingWithRetry", progress, 5),
                condition("Ready", "False", "ArtifactFailed", message, 5),
            ],
        })
    );
    let first = turn(&mut cluster, &tree).status(1, Some(&missing), at(10));
    let mut again = turn(&mut cluster, &tree).status(1, Some(&first), at(20));
    assert_eq!(again["history"][0]["totalReconciliations"], 2);
    again["history"] = first["history"].clone();
    let told = |status: &Value| status["conditions"][1]["message"].as_str().unwrap().to_owned();
    assert!(told(&first).starts_with("Health check passed in "), "{first}");
    again["conditions"][1]["message"] = told(&first).into();
    assert_eq!(first, again, "the time of transition stays");
    expect![[r#"
        {
          "history": [
            {
              "digest": "sha256:9a6e43549da2db42c1b9f4c9edd2e62e1f5a82e39b8646556ac9273ac68359a0",
              "firstReconciled": "1970-01-01T00:00:10Z",
              "lastReconciled": "1970-01-01T00:00:10Z",
              "lastReconciledDuration": "1.500s",
              "lastReconciledStatus": "ReconciliationSucceeded",
              "metadata": {
                "revision": "main@sha1:0123"
              },
              "totalReconciliations": 1
            }
          ],
          "inventory": {
            "entries": [
              {
                "id": "_a__Namespace",
                "v": "v1"
              }
            ]
          },
          "lastAppliedRevision": "main@sha1:0123",
          "lastAttemptedRevision": "main@sha1:0123",
          "observedGeneration": 1,
          "ready": {
            "lastTransitionTime": "1970-01-01T00:00:10Z",
            "message": "Applied revision: main@sha1:0123",
            "observedGeneration": 1,
            "reason": "ReconciliationSucceeded",
            "status": "True",
            "type": "Ready"
          }
        }"#]]
    .assert_eq(
        &serde_json::to_string_pretty(&json!({
            "history": first["history"], "inventory": first["inventory"],
            "lastAppliedRevision": first["lastAppliedRevision"],
            "lastAttemptedRevision": first["lastAttemptedRevision"],
            "observedGeneration": first["observedGeneration"],
            "ready": first["conditions"][0],
        }))
        .unwrap(),
    );
    // What is blocked keeps all that was known.
    let waits = waits_for(&app("dependsOn: [{name: b}]"), &|_, _| Dependency::NotReady).unwrap();
    let waiting = blocked(&waits, 1, Some(&first), at(30));
    assert_eq!(
        (&waiting["inventory"], &waiting["history"]),
        (&first["inventory"], &first["history"])
    );
    assert_eq!(waiting["conditions"][0]["reason"], "DependencyNotReady");
    assert_eq!(waiting["conditions"].as_array().unwrap().len(), 2);
}

#[test]
fn a_kustomization_waits_for_those_it_depends_on() {
    let app = app("dependsOn: [{name: first}, {name: second, namespace: other}]");
    let say = |second| {
        let find = |_: &str, name: &str| if name == "first" { Dependency::Ready } else { second };
        waits_for(&app, &find).map(|it| format!("{}: {}", it.reason, it.message))
    };
    let told = |rest: &str| Some(format!("DependencyNotReady: dependency 'other/second' {rest}"));
    let absent = "not found: kustomizations.kustomize.toolkit.fluxcd.io \"second\" not found";
    assert_eq!(say(Dependency::Absent), told(absent));
    assert_eq!(say(Dependency::NotReady), told("is not ready"));
    assert_eq!(say(Dependency::Outdated), told("revision is not up to date"));
    assert_eq!(say(Dependency::Ready), None);
}

#[test]
fn values_come_from_the_cluster_and_are_needed() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: a}\ndata: {x: '${one}-${two:-2}', y: '$${one}'}\n";
    let tree = tree(&[("apps/a/all.yaml", object)]);
    let app = app(
        "postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}, {kind: Secret, name: keys, optional: true}]}",
    );
    let mut cluster = Memory::default();
    let outcome = turn(&mut cluster, &app, &tree);
    assert_eq!(
        (outcome.ready.reason, outcome.ready.message.as_str()),
        (
            "BuildFailed",
            "post build failed for 'c': substitute from 'ConfigMap/vars' error: configmaps \"vars\" not found"
        )
    );
    for values in [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\ndata: {one: \"a\\nb\"}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: flux-system}\ndata: {two: dHdv}\n",
    ] {
        cluster.objects.push(values.parse().unwrap());
    }
    assert!(turn(&mut cluster, &app, &tree).is_ready());
    let built = cluster.objects.iter().find(|object| object.name() == "c").unwrap();
    assert_eq!(built.at("/data"), Some(&json!({"x": "ab-two", "y": "${one}"})));
    // Said of it that it stays as it is, it does.
    let label = "metadata: {labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}, ";
    let kept = object.replace("metadata: {", label);
    let tree = Tree::from_files([("apps/a/all.yaml", kept)]).unwrap();
    assert!(turn(&mut cluster, &app, &tree).is_ready());
    let built = cluster.objects.iter().find(|object| object.name() == "c").unwrap();
    assert_eq!(built.at("/data/x"), Some(&json!("${one}-${two:-2}")));
}

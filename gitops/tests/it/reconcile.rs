use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};
use kit_gitops::reconcile::{Artifact, Cluster, Event, Outcome, reconcile, waits_for};
use kit_gitops::status::Health;
use kit_gitops::{BoxError, Object, ObjectId, Tree, flux};

/// A cluster in memory, whose Deployments become healthy after some looks.
#[derive(Default)]
struct Memory {
    objects: Vec<Object>,
    log: Vec<String>,
    /// What the next looks at the Deployment see; afterwards it is current.
    seen: Vec<Health>,
    refuse: Option<&'static str>,
}

impl Cluster for Memory {
    fn live(&self, owner: &flux::Kustomization) -> Result<Vec<Object>, BoxError> {
        let owned = |object: &&Object| {
            object.label("kustomize.toolkit.fluxcd.io/name") == Some(&owner.name)
        };
        Ok(self.objects.iter().filter(owned).cloned().collect())
    }

    fn apply(&mut self, object: &Object) -> Result<(), BoxError> {
        if self.refuse == Some(object.kind()) {
            return Err("the API server says no".into());
        }
        self.log.push(format!("apply {}", object.id()));
        self.objects.retain(|other| !other.id().is_same(&object.id()));
        self.objects.push(object.clone());
        Ok(())
    }

    fn delete(&mut self, id: &ObjectId) -> Result<(), BoxError> {
        if self.refuse == Some("delete") {
            return Err("a finalizer is in the way".into());
        }
        self.log.push(format!("delete {id}"));
        self.objects.retain(|other| !other.id().is_same(id));
        Ok(())
    }

    fn health(&self, id: &ObjectId) -> Health {
        match self.seen.first() {
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
    reconcile(app, Artifact { revision: "main@sha1:0123", tree }, cluster, &mut |_| {
        ControlFlow::Continue(())
    })
}

fn says(cluster: &Memory, outcome: &Outcome, expected: Expect) {
    let changes: Vec<_> = outcome
        .changes
        .iter()
        .map(|change| format!("{} {}", change.id, change.action.word()))
        .collect();
    let inventory: Vec<_> = outcome.inventory.iter().map(ObjectId::inventory_id).collect();
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
        inventory: _a__Namespace, a_d_apps_Deployment, a_c__ConfigMap
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
    cluster.refuse = Some("delete");
    let outcome = turn(
        &mut cluster,
        &app(""),
        &tree(&[("apps/a/all.yaml", OBJECTS.split("---").next().unwrap())]),
    );
    says(
        &cluster,
        &outcome,
        expect![[r#"
        False PruneFailed: ConfigMap/a/c not deleted: a finalizer is in the way; Namespace/a not deleted: a finalizer is in the way
        log: 
        changes: 
        inventory: _a__Namespace, a_c__ConfigMap, a_d_apps_Deployment
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
        False BuildFailed: cannot build apps/a: cannot read apps/a/all.yaml: line 2, column 1: while parsing a node, did not find expected node content
        log: 
        changes: 
        inventory: 
    "#]],
    );
}

#[test]
fn what_the_cluster_refuses_ends_the_reconciliation() {
    let mut cluster = Memory { refuse: Some("ConfigMap"), ..Memory::default() };
    let outcome = turn(&mut cluster, &app(""), &tree(&[("apps/a/all.yaml", OBJECTS)]));
    says(
        &cluster,
        &outcome,
        expect![[r#"
        False ReconciliationFailed: ConfigMap/a/c not applied: the API server says no
        log: apply Namespace/a
        changes: Namespace/a created
        inventory: _a__Namespace
    "#]],
    );
}

#[test]
fn a_rollout_is_waited_for_and_its_failure_told() {
    let tree = tree(&[("apps/a/all.yaml", OBJECTS)]);
    let progress = Health::InProgress("0 of 1 replicas are updated".to_owned());

    let mut looks = 0;
    let mut cluster = Memory { seen: vec![progress.clone()], ..Memory::default() };
    let outcome = reconcile(
        &app(""),
        Artifact { revision: "main@sha1:0123", tree: &tree },
        &mut cluster,
        &mut |event| {
            looks += usize::from(matches!(event, Event::Waiting(_)));
            if looks == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert_eq!((outcome.ready.reason, outcome.applied_revision), ("HealthCheckCanceled", None));

    let mut cluster = Memory { seen: vec![progress], ..Memory::default() };
    let outcome = turn(&mut cluster, &app("timeout: 1ms"), &tree);
    let message = &outcome.ready.message;
    assert!(
        message.starts_with("health check failed after ")
            && message
                .ends_with("timeout waiting for: [Deployment/a/d status: 'InProgress' (0 of 1 replicas are updated)]"),
        "{message}"
    );

    let mut cluster = Memory {
        seen: vec![Health::Failed("the progress deadline is exceeded".to_owned())],
        ..Memory::default()
    };
    let outcome = turn(&mut cluster, &app(""), &tree);
    assert_eq!(outcome.ready.reason, "HealthCheckFailed");
    assert!(
        outcome
            .ready
            .message
            .contains("failed early due to stalled resources: [Deployment/a/d status: 'Failed'"),
        "{}",
        outcome.ready.message
    );
}

#[test]
fn fields_of_the_kustomization_are_laid_over_what_is_built() {
    let mut cluster = Memory::default();
    let app = app(
        "targetNamespace: b, namePrefix: p-, commonMetadata: {labels: {team: ml}}, images: [{name: i, newTag: '2'}], patches: [{target: {kind: Deployment}, patch: '[{op: add, path: /spec, value: {template: {spec: {containers: [{image: i}]}}}}]'}]",
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
    let first = turn(&mut cluster, &app(""), &tree).status(1, None, at(10));
    let again = turn(&mut cluster, &app(""), &tree).status(1, Some(&first), at(20));
    assert_eq!(first, again, "the time of transition stays");
    let failed = turn(&mut cluster, &app(""), &Tree::new()).status(2, Some(&again), at(30));
    expect![[r#"
        {
          "conditions": [
            {
              "lastTransitionTime": "1970-01-01T00:00:30Z",
              "message": "kustomization path not found: stat /apps/a: no such file or directory",
              "observedGeneration": 2,
              "reason": "ArtifactFailed",
              "status": "False",
              "type": "Ready"
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
          "observedGeneration": 2
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&failed).unwrap());
}

#[test]
fn a_kustomization_waits_for_those_it_depends_on() {
    let app = app("dependsOn: [{name: first}, {name: second, namespace: other}]");
    let condition = waits_for(&app, &|_, name| name == "first").unwrap();
    assert_eq!(
        (condition.reason, condition.message.as_str()),
        ("DependencyNotReady", "dependency 'other/second' is not ready")
    );
    assert!(waits_for(&app, &|_, _| true).is_none());
}

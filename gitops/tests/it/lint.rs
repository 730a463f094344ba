//! Trees held against schemas and policies.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use kit_gitops::lint::{Options, Report, lint, policies};
use kit_gitops::{Bootstrap, Release, Tree, bootstrap, render};

use crate::with;

fn image() -> String {
    format!("host/server:1@sha256:{}", "0".repeat(64))
}

/// A repository as we write it.
fn rendered(replicas: u32) -> Tree {
    let mut release = Release::new("a".parse().unwrap(), image().parse().unwrap());
    release.replicas = replicas;
    release.weight_bytes = 267_832_560;
    release.modelkit_digest = Some(format!("sha256:{}", "1".repeat(64)));
    let mut tree = render(&release).unwrap();
    let asked = Bootstrap::new("https://host/infra.git".parse().unwrap());
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

fn lines(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

fn says(tree: &Tree, expected: Expect) {
    expected.assert_eq(&lines(&lint(tree, &Options::default())));
}

fn one(path: &str, text: &str) -> Tree {
    Tree::from_files([(path, text)]).unwrap()
}

const DEPLOYMENT: &str = "apps/a/deployment.yaml";

#[test]
fn what_we_render_has_no_finding() {
    for replicas in [0, 1, 2, 3] {
        let report = lint(&rendered(replicas), &Options::default());
        assert_eq!(lines(&report), "");
        assert!(report.unknown.is_empty() && report.n_objects > 5, "{report:?}");
    }
}

#[test]
fn a_fault_is_told_with_its_line_and_its_object() {
    let tree = with(
        &rendered(1),
        DEPLOYMENT,
        "containerPort: 8000",
        "containerPort: 'x'\n              portt: 1",
    );
    says(
        &tree,
        expect![[r#"
        apps/a/deployment.yaml:56:15: error: Deployment/a/a spec.template.spec.containers[0].ports[0].containerPort: it is "x", and should be a whole number of 32 bits [schema]
        apps/a/deployment.yaml:57:15: error: Deployment/a/a spec.template.spec.containers[0].ports[0].portt: there is no such field [schema]
    "#]],
    );
}

#[test]
fn policies_judge_what_is_built_and_tell_where_it_stands() {
    let mut tree = one(
        "base/d.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: d
spec:
  replicas: 2
  selector: {matchLabels: {app: d}}
  template:
    metadata: {labels: {app: d}}
    spec:
      containers:
        - name: c
          image: nginx
",
    );
    tree.insert("base/kustomization.yaml", "resources: [d.yaml]\n").unwrap();
    tree.insert(
        "prod/kustomization.yaml",
        "resources: [../base]\nnamespace: prod\nnamePrefix: p-\npatches:\n- path: p.yaml\n",
    )
    .unwrap();
    tree.insert(
        "prod/p.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      containers:
        - {name: c, resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}}
",
    )
    .unwrap();
    says(
        &tree,
        expect![[r#"
        base/d.yaml:1:1: warning: Deployment/prod/p-d: no PodDisruptionBudget selects its pods [disruption-budget]
        base/d.yaml:1:1: error: Deployment/prod/p-d: no NetworkPolicy selects its pods [network-policy]
        base/d.yaml:10:5: warning: Deployment/prod/p-d spec.template.spec.affinity: nothing keeps its pods on different nodes [anti-affinity]
        base/d.yaml:10:5: warning: Deployment/prod/p-d spec.template.spec.serviceAccountName: it runs under the default account [own-service-account]
        base/d.yaml:10:5: error: Deployment/prod/p-d spec.template.spec.securityContext: there is no securityContext [pod-security-context]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext: there is no securityContext [container-security-context]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext.capabilities.drop: it should drop ALL capabilities [drop-all-capabilities]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext.capabilities.drop: it should drop NET_RAW, or ALL [drop-net-raw]
        base/d.yaml:12:11: warning: Deployment/prod/p-d spec.template.spec.containers[0].resources.limits: resources.limits has no ephemeral-storage [ephemeral-storage]
        base/d.yaml:12:11: warning: Deployment/prod/p-d spec.template.spec.containers[0].resources.requests: resources.requests has no ephemeral-storage [ephemeral-storage]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext: runAsUser and runAsGroup should be 10000 at least [high-user-id]
        base/d.yaml:12:11: warning: Deployment/prod/p-d spec.template.spec.containers[0]: there is no livenessProbe [liveness-probe]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation: set allowPrivilegeEscalation to false [no-privilege-escalation]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext.readOnlyRootFilesystem: the root file system can be written to: set readOnlyRootFilesystem to true [read-only-root-fs]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0]: there is no readinessProbe [readiness-probe]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext: it may run as root: set runAsNonRoot to true [run-as-non-root]
        base/d.yaml:12:11: error: Deployment/prod/p-d spec.template.spec.containers[0].securityContext.seccompProfile: seccompProfile should be RuntimeDefault [seccomp-profile]
        base/d.yaml:13:11: error: Deployment/prod/p-d spec.template.spec.containers[0].image: the image has no digest: what runs can change without a commit [image-digest]
        base/d.yaml:13:11: error: Deployment/prod/p-d spec.template.spec.containers[0].image: the image has no fixed tag [image-tag]
    "#]],
    );
}

#[test]
fn files_that_are_no_objects_are_left_alone() {
    let mut tree = one("values.yaml", "kind: x\napiVersion: [\n");
    for (path, text) in [
        (".github/workflows/ci.yaml", "on: push\njobs: {}\n"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: c\n"),
        ("chart/templates/d.yaml", "apiVersion: apps/v1\nkind: {{ .Values.kind }}\n"),
        ("crd/my.yaml", "apiVersion: example.com/v1\nkind: My\nmetadata: {name: m}\nanything: 1\n"),
        (
            "secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: n}\ndata: {a: 'ENC[AES256_GCM]'}\nsops: {}\n",
        ),
    ] {
        tree.insert(path, text).unwrap();
    }
    let report = lint(&tree, &Options::default());
    expect![[r#"
        values.yaml:3:1: error: while parsing a node, did not find expected node content [yaml]
    "#]]
    .assert_eq(&lines(&report));
    let unknown: Vec<_> = report.unknown.keys().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(unknown, ["My"]);
}

#[test]
fn a_policy_is_turned_off_by_option_and_by_annotation() {
    let tree = with(&rendered(1), DEPLOYMENT, "cpu: 250m\n", "hugepages-2Mi: 1\n");
    let options = Options::default();
    assert!(lines(&lint(&tree, &options)).contains("[cpu-request]"));
    let skip = Options { skip: ["cpu-request".to_owned()].into(), ..Options::default() };
    assert_eq!(lines(&lint(&tree, &skip)), "");
    for value in ["cpu-request", "x, cpu-request", "'*'"] {
        let annotation = format!("  annotations:\n    lint.kit-rs/ignore: {value}\n  labels:\n");
        let tree = with(&tree, DEPLOYMENT, "  labels:\n", &annotation);
        assert_eq!(lines(&lint(&tree, &options)), "");
    }
    let only = Options { only: ["replicas".to_owned()].into(), ..Options::default() };
    assert!(lines(&lint(&tree, &only)).contains("[replicas]"));
    assert_eq!(lint(&tree, &only).findings.len(), 1);
    let also = Options { also: ["replicas".to_owned()].into(), ..Options::default() };
    assert_eq!(lint(&tree, &also).findings.len(), 2);
    let wrong = Options { skip: ["cpu".to_owned()].into(), ..Options::default() };
    assert_eq!((wrong.unknown(), also.unknown()), (Some("cpu"), None));
}

#[test]
fn models_have_the_memory_and_the_time_that_their_weights_need() {
    let tree = rendered(1);
    let ask = |tree: &Tree, weights: u64| {
        let weights = BTreeMap::from([(image(), weights)]);
        lines(&lint(tree, &Options { weights, ..Options::default() }))
    };
    assert_eq!(ask(&tree, 267_832_560), "");
    assert_eq!(lint(&tree, &Options::default()).unweighed.len(), 1);
    expect![[r#"
        apps/a/deployment.yaml:16:3: error: Deployment/a/a spec.progressDeadlineSeconds: a rollout has failed after 180 s; loading the weights may take 252 s [model-startup]
        apps/a/deployment.yaml:64:11: error: Deployment/a/a spec.template.spec.containers[0].startupProbe: startupProbe gives up after 76 s; loading the weights may take 252 s [model-startup]
        apps/a/deployment.yaml:100:15: error: Deployment/a/a spec.template.spec.containers[0].resources.limits.memory: 448Mi are less than the 3264Mi that this model needs: 3072 MiB of weights, and what clients make the server hold [model-memory]
    "#]]
    .assert_eq(&ask(&tree, 3 << 30));
}

#[test]
fn what_flux_would_not_find_is_told_where_it_is_written() {
    let app = "clusters/dev/a-app.yaml";
    says(
        &with(&rendered(1), app, "path: ./apps/a", "path: ./flux-config/apps/a"),
        expect![[r#"
        clusters/dev/a-app.yaml:10:3: error: Kustomization/flux-system/a-app spec.path: there is no folder ./flux-config/apps/a [flux-path]
    "#]],
    );
    says(
        &with(&rendered(1), app, "timeout: ", "timeout: 1s # "),
        expect![[r#"
        clusters/dev/a-app.yaml:16:3: warning: Kustomization/flux-system/a-app spec.timeout: it waits 30 s, and Deployment/a/a has 180 s to come (progressDeadlineSeconds) [flux-timeout]
    "#]],
    );
    let branches = Some(["trunk".to_owned()].into());
    let report = lint(&rendered(1), &Options { branches, ..Options::default() });
    expect![[r#"
        clusters/dev/flux-system/gotk-sync.yaml:11:5: error: GitRepository/flux-system/flux-system spec.ref.branch: there is no branch main [flux-branch]
    "#]]
    .assert_eq(&lines(&report));
}

#[test]
fn values_that_flux_puts_in_later_are_not_judged() {
    let tree = with(&rendered(1), DEPLOYMENT, "replicas: 1", "replicas: ${N}");
    assert!(lines(&lint(&tree, &Options::default())).contains("[schema]"));
    let tree = with(
        &tree,
        "clusters/dev/a-app.yaml",
        "wait: true",
        "wait: true\n  postBuild: {substitute: {N: '1'}}",
    );
    assert_eq!(lines(&lint(&tree, &Options::default())), "");
}

#[test]
fn each_policy_about_objects_is_broken_by_some_tree_here() {
    // One object that does nearly everything wrong, and one tree for each of the rest.
    let bad = one("bad.yaml", include_str!("lint/bad.yaml"));
    let all = Options {
        only: policies().iter().map(|policy| policy.id.to_owned()).collect(),
        branches: Some(["other".to_owned()].into()),
        weights: BTreeMap::from([("host/a:latest".to_owned(), 8 << 30), (image(), 8 << 30)]),
        ..Options::default()
    };
    let tree = with(&rendered(1), "clusters/dev/a-app.yaml", "timeout: ", "timeout: 1s # ");
    let tree = with(&tree, "apps/a/kustomization.yaml", "service.yaml", "nothing.yaml");
    let wrong_path = with(&rendered(1), "clusters/dev/a-app.yaml", "./apps/a", "./nowhere");
    let short = with(&rendered(1), "clusters/dev/a-app.yaml", "timeout: ", "timeout: 1s # ");
    let unread = one("x.yaml", "apiVersion: v1\nkind: [\n");
    let mut found: Vec<&str> = [&bad, &tree, &short, &wrong_path, &unread]
        .into_iter()
        .flat_map(|tree| lint(tree, &all).findings)
        .map(|finding| finding.policy)
        .collect();
    found.sort_unstable();
    found.dedup();
    let missing: Vec<&str> =
        policies().iter().map(|policy| policy.id).filter(|id| !found.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

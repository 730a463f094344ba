use expect_test::{Expect, expect};
use kit_gitops::{Bootstrap, Problem, Release, Tree, bootstrap, check, edit, render};

/// A tree without problems.
fn tree() -> Tree {
    let image = format!("host/server:1@sha256:{}", "0".repeat(64));
    let release = Release::new("distilbert".parse().unwrap(), image.parse().unwrap());
    let mut tree = render(&release).unwrap();
    let asked = Bootstrap::new("https://host/ml-infra.git".parse().unwrap());
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

/// Replaces a text in a file of the tree.
fn with(path: &str, old: &str, new: &str) -> Tree {
    let mut tree = tree();
    let text = tree.get(path).unwrap();
    assert!(text.contains(old), "{path} has no {old:?}");
    let text = text.replace(old, new);
    tree.insert(path, text).unwrap();
    tree
}

fn says(tree: &Tree, branch: &str, expected: Expect) {
    let lines = |problems: &[Problem]| {
        problems
            .iter()
            .map(|problem| format!("{:?} {problem}\n", problem.severity))
            .collect::<String>()
    };
    expected.assert_eq(&match check(tree, Some(branch)) {
        Ok(warnings) => lines(&warnings),
        Err(problems) => lines(&problems.0),
    });
}

#[test]
fn a_rendered_tree_has_no_problem() {
    says(&tree(), "main", expect![""]);
}

#[test]
fn the_tutorials_wrong_path_is_found() {
    let tree = with(
        "clusters/dev/distilbert-app.yaml",
        "./apps/distilbert",
        "./flux-config/apps/distilbert",
    );
    says(
        &tree,
        "main",
        expect![[r#"
        Error clusters/dev/distilbert-app.yaml: kustomization path not found: ./flux-config/apps/distilbert is not in this tree
    "#]],
    );
}

#[test]
fn the_tutorials_wrong_branch_is_found() {
    says(
        &tree(),
        "master",
        expect![[r#"
        Error clusters/dev/flux-system/gotk-sync.yaml: Flux watches the branch main and would never see what is pushed to master
    "#]],
    );
}

#[test]
fn objects_that_do_not_find_each_other_are_found() {
    says(
        &with("apps/distilbert/service.yaml", "targetPort: http", "targetPort: web"),
        "main",
        expect![[r#"
        Error apps/distilbert: Service/distilbert/distilbert sends to the port "web", which Deployment/distilbert/distilbert does not have
    "#]],
    );
    says(
        &with(
            "apps/distilbert/service.yaml",
            "    app.kubernetes.io/name: distilbert\n  ports",
            "    app.kubernetes.io/name: other\n  ports",
        ),
        "main",
        expect![[r#"
            Error apps/distilbert: Service/distilbert/distilbert selects no pods of this folder
        "#]],
    );
    says(
        &with(
            "apps/distilbert/deployment.yaml",
            "matchLabels:\n      app.kubernetes.io/name: distilbert",
            "matchLabels:\n      app: x",
        ),
        "main",
        expect![[r#"
        Error apps/distilbert: the selector of Deployment/distilbert/distilbert does not select its own pods
    "#]],
    );
}

#[test]
fn what_works_and_bites_later_is_a_warning() {
    let mut tree = with("clusters/dev/distilbert-app.yaml", "wait: true", "wait: false");
    let text = edit::set_image(
        tree.get("apps/distilbert/deployment.yaml").unwrap(),
        "model-runtime",
        &"host/server:1".parse().unwrap(),
    )
    .unwrap();
    tree.insert(
        "apps/distilbert/deployment.yaml",
        text.replace("readinessProbe", "livenessProbe2"),
    )
    .unwrap();
    says(
        &tree,
        "main",
        expect![[r#"
        Warning clusters/dev/distilbert-app.yaml: without wait Flux calls this ready while pods crash
        Warning apps/distilbert: the image host/server:1 of Deployment/distilbert/distilbert has no digest: what runs can change without a commit
        Warning apps/distilbert: container model-runtime of Deployment/distilbert/distilbert has no readinessProbe: a rollout succeeds before the model is loaded
    "#]],
    );
    says(
        &with("clusters/dev/distilbert-app.yaml", "timeout: 3m0s", "timeout: 1m"),
        "main",
        expect![[r#"
            Warning clusters/dev/distilbert-app.yaml: the timeout ends before Deployment/distilbert/distilbert may say why its rollout stopped (progressDeadlineSeconds: 120)
        "#]],
    );
}

#[test]
fn every_problem_is_reported_with_its_file() {
    let mut tree = with("clusters/dev/distilbert-app.yaml", "prune: true", "prun: true");
    tree.insert("clusters/dev/broken.yaml", "a: [\n").unwrap();
    tree.insert(
        "apps/distilbert/kustomization.yaml",
        "resources: [deployment.yaml]\nhelmCharts: []\n",
    )
    .unwrap();
    tree.insert(
        "clusters/dev/second.yaml",
        tree.get("clusters/dev/distilbert-app.yaml")
            .unwrap()
            .replace("prun:", "prune:")
            .replace("distilbert-app", "second"),
    )
    .unwrap();
    says(
        &tree,
        "main",
        expect![[r#"
            Error clusters/dev/distilbert-app.yaml: Kustomization/flux-system/distilbert-app: spec: unknown field `prun`, expected one of `interval`, `prune`, `sourceRef`, `path`, `retryInterval`, `timeout`, `wait`, `suspend`, `dependsOn`, `healthChecks`, `commonMetadata`, `targetNamespace`, `namePrefix`, `nameSuffix`, `images`, `patches`, `force`, `buildMetadata`, `components`, `decryption`, `deletionPolicy`, `healthCheckExprs`, `ignore`, `ignoreMissingComponents`, `kubeConfig`, `postBuild`, `serviceAccountName`
            Error clusters/dev: cannot build clusters/dev: cannot read clusters/dev/broken.yaml: line 2, column 1: while parsing a node, did not find expected node content
        "#]],
    );
}

/// What a repository of others has, which Flux takes and this crate does not do.
const OTHERS: [(&str, &str); 9] = [
    (
        "clusters/dev/infrastructure.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: infrastructure, namespace: flux-system}
spec:
  interval: 1h
  path: ./infrastructure
  prune: true
  force: true
  deletionPolicy: Orphan
  serviceAccountName: tenant
  components: [../more]
  decryption: {provider: sops, secretRef: {name: sops}}
  dependsOn: [{name: crds, readyExpr: dep.status.observedGeneration > 0}]
  postBuild: {substitute: {a: b}}
  sourceRef: {kind: GitRepository, name: flux-system}
",
    ),
    (
        "clusters/dev/elsewhere.yaml",
        "apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: elsewhere, namespace: flux-system}
spec: {interval: 1h, url: 'https://host/other', ref: {branch: stable}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: elsewhere, namespace: flux-system}
spec:
  interval: 1h
  path: ./deploy
  prune: true
  sourceRef: {kind: GitRepository, name: elsewhere}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: packed, namespace: flux-system}
spec:
  interval: 1h
  prune: true
  sourceRef: {kind: OCIRepository, name: not-in-this-tree}
",
    ),
    (
        "clusters/dev/apps.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1h
  path: ./apps/dev
  prune: true
  sourceRef: {kind: GitRepository, name: flux-system}
",
    ),
    ("infrastructure/values.yaml", "replicas: ${REPLICAS}\n"),
    (
        "apps/dev/service.yaml",
        "apiVersion: v1
kind: Service
metadata: {name: of-an-operator}
spec: {selector: {app: database}, ports: [{port: 1, targetPort: sql}]}
",
    ),
    (
        "apps/dev/deployment.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
",
    ),
    ("apps/dev/kustomization.yaml", "resources: [service.yaml, deployment.yaml]\nhelmCharts: []\n"),
    (
        "clusters/dev/more/kustomization.yaml",
        "configMapGenerator: [{name: a, files: [values.yaml]}]\n",
    ),
    ("clusters/dev/more/values.yaml", "not: an object\n"),
];

#[test]
fn what_is_of_others_is_not_judged_by_what_we_can_do() {
    let mut tree = tree();
    for (path, text) in OTHERS {
        tree.insert(path, text).unwrap();
    }
    says(&tree, "main", expect![""]);
}

#[test]
fn what_flux_itself_would_refuse_of_others_is_found() {
    let mut tree = tree();
    for (path, text) in OTHERS {
        tree.insert(path, text.replace("./infrastructure", "./infra").replace("1h,", "5d,"))
            .unwrap();
    }
    says(
        &tree,
        "main",
        expect![[r#"
        Error clusters/dev/elsewhere.yaml: "5d" is not a duration: the units are h, m, s and ms
        Error clusters/dev/infrastructure.yaml: kustomization path not found: ./infra is not in this tree
    "#]],
    );
}

#[test]
fn what_two_apps_apply_is_told_and_so_is_a_list_without_flux() {
    let mut tree = tree();
    let image = format!("host/server:1@sha256:{}", "0".repeat(64));
    let mut second = Release::new("second".parse().unwrap(), image.parse().unwrap());
    second.namespace = "distilbert".parse().unwrap();
    tree.merge(render(&second).unwrap());
    tree.insert("clusters/dev/flux-system/kustomization.yaml", "resources:\n- gotk-sync.yaml\n")
        .unwrap();
    says(
        &tree,
        "main",
        expect![[r#"
        Warning clusters/dev/flux-system/kustomization.yaml: it lists only gotk-sync.yaml: `flux bootstrap` would apply that in the place of Flux itself; delete this file, Flux needs none
        Warning clusters/dev/second-app.yaml: Namespace/distilbert is also applied by the Kustomization distilbert-app: when one of them leaves Git, Flux deletes it for both
    "#]],
    );
}

//! What Flux would say, in its own words.

use kit_gitops::reconcile::Status;
use kit_gitops::{Bootstrap, Release, Tree, bootstrap, rehearse, render};

fn repository() -> Tree {
    let image = format!("h/i:1@sha256:{}", "0".repeat(64)).parse().unwrap();
    let mut tree = render(&Release::new("a".parse().unwrap(), image)).unwrap();
    let asked = Bootstrap::new("https://host/infra".parse().unwrap());
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

fn with(path: &str, from: &str, to: &str) -> Tree {
    let mut tree = repository();
    let text = tree.get(path).unwrap();
    assert!(text.contains(from), "{path} has {from:?}");
    let text = text.replacen(from, to, 1);
    tree.insert(path, text).unwrap();
    tree
}

/// What is not ready, and why.
fn refused(tree: &Tree) -> Vec<String> {
    let branches = Some(["main".to_owned()].into());
    rehearse(tree, "main@sha1:0", branches.as_ref())
        .into_iter()
        .filter(|said| said.ready.status != Status::True)
        .map(|said| {
            format!("{} {}: {}", said.object, said.ready.reason, said.ready.message.trim_end())
        })
        .collect()
}

const APP: &str = "clusters/dev/a-app.yaml";

#[test]
fn what_we_render_becomes_ready() {
    let said = rehearse(&repository(), "main@sha1:0", Some(&["main".to_owned()].into()));
    let told: Vec<_> = said.iter().map(|it| (it.object.to_string(), it.ready.reason)).collect();
    assert_eq!(
        told,
        [
            ("GitRepository/flux-system/flux-system".to_owned(), "Succeeded"),
            ("Kustomization/flux-system/a-app".to_owned(), "ReconciliationSucceeded"),
            ("Kustomization/flux-system/flux-system".to_owned(), "ReconciliationSucceeded"),
        ]
    );
}

#[test]
fn conditions_are_those_that_the_real_controllers_were_seen_to_write() {
    for (tree, expected) in [
        (
            with(APP, "path: ./apps/a", "path: ./nowhere"),
            "Kustomization/flux-system/a-app ArtifactFailed: kustomization path not found: stat /nowhere: no such file or directory",
        ),
        (
            with(APP, "wait: true", "wait: true\n  dependsOn: [{name: nobody}]"),
            "Kustomization/flux-system/a-app DependencyNotReady: dependency 'flux-system/nobody' not found: kustomizations.kustomize.toolkit.fluxcd.io \"nobody\" not found",
        ),
        (
            with("clusters/dev/flux-system/gotk-sync.yaml", "branch: main", "branch: nowhere"),
            "GitRepository/flux-system/flux-system GitOperationFailed: failed to checkout and determine revision: unable to clone 'https://host/infra': couldn't find remote ref \"refs/heads/nowhere\"",
        ),
        (
            with("apps/a/deployment.yaml", "replicas: 1", "replicas: one"),
            "Kustomization/flux-system/a-app ReconciliationFailed: Deployment/a/a dry-run failed (Invalid): Deployment.apps \"a\" is invalid: spec.replicas: it is \"one\", and should be a whole number of 32 bits\nNamespace/a created",
        ),
    ] {
        assert_eq!(refused(&tree), [expected]);
    }
    let unbuilt = refused(&with("apps/a/kustomization.yaml", "service.yaml", "nothing.yaml"));
    assert!(
        unbuilt[0]
            .starts_with("Kustomization/flux-system/a-app BuildFailed: kustomize build failed: "),
        "{unbuilt:?}"
    );
}

#[test]
fn a_whole_object_that_the_api_server_refuses_is_told_by_its_fields() {
    let found = refused(&with(APP, "interval: 5m0s", "interval: 5 minutes"));
    assert_eq!(found.len(), 2, "it, and what has it in it: {found:?}");
    assert!(
        found
            .iter()
            .all(|it| it
                .contains("\"a-app\" is invalid: spec.interval: \"5 minutes\" does not match")),
        "{found:?}"
    );
}

//! What a commit changes: held against builds that the test makes by itself.

use std::collections::BTreeMap;

use kit_gitops::builds::Builds;
use kit_gitops::diff::{Action, Side, diff};
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::{Bootstrap, Release, Tree, bootstrap, flux, reconcile, render};
use serde_json::Value;

use crate::with;

/// A repository with two apps, and an overlay that nobody but itself takes.
fn repository() -> Tree {
    let mut tree =
        bootstrap(&Bootstrap::new("https://host/org/infra".parse().unwrap()), &Tree::new())
            .unwrap();
    for app in ["a", "b"] {
        let image = format!("h/i:1@sha256:{}", "0".repeat(64)).parse().unwrap();
        tree.merge(render(&Release::new(app.parse().unwrap(), image)).unwrap());
    }
    for (path, text) in [
        (
            "base/kustomization.yaml",
            "resources: [config.yaml]\nconfigMapGenerator:\n- name: made\n  files: [key=../values.txt]\n",
        ),
        (
            "base/config.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a: x # one\n  b: y\n",
        ),
        ("values.txt", "1\n"),
        ("overlay/kustomization.yaml", "namePrefix: p-\nresources: [../base, secret.yaml]\n"),
        (
            "overlay/secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: hidden}\n",
        ),
        ("README.md", "nothing of it is built\n"),
    ] {
        tree.insert(path, text).unwrap();
    }
    tree
}

fn without(tree: &Tree, gone: &str) -> Tree {
    Tree::from_files(tree.iter().filter(|(path, _)| *path != gone)).unwrap()
}

/// What the repository above builds, without any of what is tested; objects in no order.
fn built(tree: &Tree) -> BTreeMap<String, Result<Vec<Value>, String>> {
    let values = |objects: kit_gitops::Result<Vec<kit_gitops::Object>>| {
        objects
            .map(|objects| {
                let mut values: Vec<Value> =
                    objects.into_iter().map(kit_gitops::Object::into_value).collect();
                values.sort_by_key(Value::to_string);
                values
            })
            .map_err(|error| format!("{error:?}"))
    };
    let mut built = BTreeMap::new();
    built.insert(
        "overlay".to_owned(),
        values(kustomize::build(tree, "overlay", &Overlay::default())),
    );
    let cluster = kustomize::build(tree, "clusters/dev", &Overlay::default());
    let mut left = vec!["apps/a", "apps/b"];
    for object in cluster.iter().flatten() {
        if let Some(kustomization) = flux::Kustomization::read(object).unwrap() {
            left.retain(|folder| *folder != kustomization.path);
            let objects = values(reconcile::build(&kustomization, tree, &|_| Ok(None)));
            built.insert(kustomization.name, objects);
        }
    }
    built.insert("clusters/dev".to_owned(), values(cluster));
    for folder in left {
        let objects = values(kustomize::build(tree, folder, &Overlay::default()));
        built.insert(folder.to_owned(), objects);
    }
    built
}

#[test]
fn what_is_built_is_found_as_flux_finds_it() {
    let ids: Vec<String> =
        Builds::of(&repository()).builds.iter().map(|build| build.id.to_string()).collect();
    assert_eq!(
        ids,
        [
            "clusters/dev: Kustomization/flux-system/a-app",
            "clusters/dev: Kustomization/flux-system/b-app",
            "clusters/dev: Kustomization/flux-system/flux-system",
            "overlay",
        ]
    );
}

/// A change of a tree.
type Edit = Box<dyn Fn(&Tree) -> Tree>;

/// Edits of which some change what is built, and some do not.
fn edits() -> Vec<Edit> {
    let replace = |path: &'static str, from: &'static str, to: &'static str| {
        Box::new(move |tree: &Tree| match tree.get(path).is_some_and(|text| text.contains(from)) {
            true => with(tree, path, from, to),
            false => tree.clone(),
        }) as Edit
    };
    vec![
        replace("README.md", "nothing", "still nothing"),
        replace("base/config.yaml", "# one", "# another"),
        replace("base/config.yaml", "  a: x # one\n  b: y", "  b: y\n  a: x"),
        replace("base/config.yaml", "b: y", "b: z"),
        replace("base/config.yaml", "b: z", "b: y"),
        replace("base/config.yaml", "b: y", "b: 'y'"),
        replace("values.txt", "1", "2"),
        replace("values.txt", "2", "1"),
        replace("overlay/kustomization.yaml", "p-", "q-"),
        replace("overlay/kustomization.yaml", "../base, secret.yaml", "secret.yaml, ../base"),
        replace("overlay/secret.yaml", "hidden", "other"),
        replace("apps/a/deployment.yaml", "replicas: 1", "replicas: 2"),
        replace("apps/a/deployment.yaml", "replicas: 2", "replicas: 1"),
        replace("apps/a/deployment.yaml", "replicas: ", "replicas:   "),
        replace("apps/b/kustomization.yaml", "  - service.yaml\n", ""),
        replace("clusters/dev/b-app.yaml", "path: ./apps/b", "path: ./apps/a"),
        replace("clusters/dev/b-app.yaml", "wait: true", "targetNamespace: else"),
        Box::new(|tree| without(tree, "clusters/dev/a-app.yaml")),
        Box::new(|tree| without(tree, "apps/b/service.yaml")),
    ]
}

#[test]
fn it_is_empty_exactly_when_the_builds_are_equal() {
    let (edits, start) = (edits(), repository());
    let mut random = 11_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    let (mut n_equal, mut n_other) = (0, 0);
    for _ in 0..150 {
        let mut edit =
            |tree: &Tree, n| (0..n).fold(tree.clone(), |tree, _| edits[next(edits.len())](&tree));
        let old = edit(&start, 3);
        let new = edit(&old, 2);
        let (before, after) = (built(&old), built(&new));
        let found = diff(&old, &new);
        let fails = before.iter().chain(&after).any(|(_, objects)| objects.is_err());
        let is_equal = before == after;
        // A build of the same files that fails as before is none of this commit's.
        if !fails || is_equal {
            assert_eq!(found.is_empty(), is_equal, "{found:#?}");
            *(if is_equal { &mut n_equal } else { &mut n_other }) += 1;
        } else {
            assert!(!found.is_empty());
        }
        let (there, back) = (diff(&old, &new), diff(&new, &old));
        assert_eq!(there.count(Action::Added), back.count(Action::Removed));
        assert_eq!(there.count(Action::Changed), back.count(Action::Changed));
    }
    assert!(n_equal > 20 && n_other > 20, "{n_equal} and {n_other}: both are tried");
}

#[test]
fn what_does_not_exist_yet_is_shown_too() {
    let old = repository();
    let mut new = old.clone();
    let image = format!("h/i:1@sha256:{}", "0".repeat(64)).parse().unwrap();
    new.merge(render(&Release::new("c".parse().unwrap(), image)).unwrap());
    let found = diff(&old, &new);
    let changes: Vec<String> = found
        .changes
        .iter()
        .map(|change| format!("{} {} in {}", change.action.word(), change.object, change.folder))
        .collect();
    assert_eq!(
        changes,
        [
            "added Namespace/c in apps/c",
            "added Service/c/c in apps/c",
            "added ServiceAccount/c/c in apps/c",
            "added Deployment/c/c in apps/c",
            "added NetworkPolicy/c/c in apps/c",
            "added Kustomization/flux-system/c-app in clusters/dev",
        ]
    );
    assert!(found.changes.iter().all(|change| change.diff.starts_with("--- /dev/null\n+++ b/")));
    let gone = diff(&new, &old);
    assert_eq!(gone.count(Action::Removed), 6);
}

#[test]
fn one_commit_is_one_patch_under_the_builds_that_it_changes() {
    let old = repository();
    let new = with(&old, "apps/a/deployment.yaml", "replicas: 1", "replicas: 2");
    let new = with(&new, "overlay/secret.yaml", "hidden", "other");
    let text = diff(&old, &new).to_string();
    expect_test::expect![[r#"
        === clusters/dev: Kustomization/flux-system/a-app
        --- a/apps/a/Deployment/a/a
        +++ b/apps/a/Deployment/a/a
        @@ -12,7 +12,7 @@
           namespace: a
         spec:
           progressDeadlineSeconds: 120
        -  replicas: 1
        +  replicas: 2
           revisionHistoryLimit: 3
           selector:
             matchLabels:
        === overlay
        --- a/overlay/Secret/p-s
        +++ b/overlay/Secret/p-s
        @@ -3,4 +3,4 @@
         metadata:
           name: p-s
         stringData:
        -  key: '*** (before)'
        +  key: '*** (after)'
    "#]]
    .assert_eq(&text);
}

#[test]
fn two_clusters_may_name_their_kustomizations_alike() {
    let mut tree = repository();
    for (path, text) in repository().iter() {
        if let Some(rest) = path.strip_prefix("clusters/dev/") {
            let text = text.replace("clusters/dev", "clusters/prod");
            tree.insert(&format!("clusters/prod/{rest}"), text).unwrap();
        }
    }
    let new = with(&tree, "clusters/prod/a-app.yaml", "wait: true", "wait: false");
    let found = diff(&tree, &new);
    let changes: Vec<String> =
        found.changes.iter().map(|it| format!("{}: {}", it.build, it.object)).collect();
    assert_eq!(
        changes,
        ["clusters/prod: Kustomization/flux-system/flux-system: Kustomization/flux-system/a-app"]
    );
}

#[test]
fn a_build_that_fails_is_no_equal_one_and_one_that_nobody_touched_is_not_this_commits() {
    let old = with(&repository(), "overlay/kustomization.yaml", "secret.yaml", "nowhere.yaml");
    let touched = with(&old, "base/config.yaml", "b: y", "b: z");
    let found = diff(&old, &touched);
    let sides: Vec<Side> = found.failures.iter().map(|failed| failed.side).collect();
    assert_eq!(sides, [Side::Old, Side::New]);
    assert!(found.failures[0].message.contains("nowhere.yaml"), "{found:?}");
    assert!(!found.is_empty() && found.changes.is_empty());
    let elsewhere = with(&old, "README.md", "nothing", "little");
    assert!(diff(&old, &elsewhere).is_empty());
}

#[test]
fn what_is_not_done_here_and_what_is_not_here_is_named() {
    let old = with(
        &repository(),
        "clusters/dev/a-app.yaml",
        "wait: true",
        "postBuild: {substituteFrom: [{kind: ConfigMap, name: elsewhere}]}",
    );
    let new = with(&old, "apps/a/deployment.yaml", "replicas: 1", "replicas: 2");
    let found = diff(&old, &new);
    let unheeded: Vec<_> = found.unheeded.iter().map(|(_, field)| *field).collect();
    assert_eq!(unheeded, ["postBuild.substituteFrom"]);
    assert_eq!(found.count(Action::Changed), 1);
    let other = with(
        &repository(),
        "clusters/dev/a-app.yaml",
        "kind: GitRepository\n    name: flux-system",
        "kind: OCIRepository\n    name: models",
    );
    let found = diff(&other, &other);
    assert_eq!(found.elsewhere.len(), 1);
    assert_eq!(found.elsewhere[0].1, "OCIRepository/flux-system/models");
}

/// What of an app's Deployment changes, in lines without their context.
fn lines_of(found: &kit_gitops::diff::Diff) -> Vec<String> {
    let apps = found.changes.iter().filter(|change| change.object.kind == "Deployment");
    let all = apps.flat_map(|change| change.diff.lines().skip(2));
    all.filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect()
}

#[test]
fn variables_have_the_values_that_flux_gives_them() {
    let app = "clusters/dev/a-app.yaml";
    let tree = with(&repository(), "apps/a/deployment.yaml", "replicas: 1", "replicas: ${n:-3}");
    let inline = with(&tree, app, "wait: true", "wait: true\n  postBuild: {substitute: {n: '5'}}");
    assert_eq!(lines_of(&diff(&tree, &inline)), ["-  replicas: ${n:-3}", "+  replicas: 5"]);
    // Values come from what the same cluster gets, whoever builds that.
    let mut values = with(
        &tree,
        app,
        "wait: true",
        "wait: true\n  postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}], substitute: {x: y}}",
    );
    let vars = |n: u8| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: vars, namespace: flux-system}}\ndata: {{n: '{n}'}}\n"
        )
    };
    values.insert("clusters/dev/vars.yaml", vars(6)).unwrap();
    let mut more = values.clone();
    more.insert("clusters/dev/vars.yaml", vars(7)).unwrap();
    let found = diff(&values, &more);
    let lines = lines_of(&found);
    assert!(lines.contains(&"-  replicas: 6".to_owned()), "{lines:?}");
    assert!(lines.contains(&"+  replicas: 7".to_owned()), "{lines:?}");
    assert!(found.unheeded.is_empty());
    // A variable without a value is an error to Flux.
    let unset = with(&inline, "apps/a/deployment.yaml", "${n:-3}", "${m}");
    let found = diff(&inline, &unset);
    assert_eq!(found.failures.len(), 1);
    let message = &found.failures[0].message;
    assert!(message.contains("variable not set (strict mode): \"m\""), "{message}");
}

#[test]
fn components_of_a_flux_kustomization_are_built() {
    let app = "clusters/dev/a-app.yaml";
    let mut tree = repository();
    tree.insert(
        "components/two/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nreplicas: [{name: a, count: 2}]\n",
    )
    .unwrap();
    let with_it =
        with(&tree, app, "wait: true", "wait: true\n  components: [../../components/two]");
    assert_eq!(lines_of(&diff(&tree, &with_it)), ["-  replicas: 1", "+  replicas: 2"]);
    let other = with(&with_it, app, "components/two", "components/three");
    assert_eq!(diff(&tree, &other).failures.len(), 1);
    let left_out = with(&other, app, "wait: true", "wait: true\n  ignoreMissingComponents: true");
    assert!(lines_of(&diff(&tree, &left_out)).is_empty());
    let outside = with(&with_it, app, "../../components/two", "../../../two");
    let message = &diff(&tree, &outside).failures[0].message;
    assert!(message.contains("must be local and relative"), "{message}");
}

#[test]
fn what_flux_leaves_out_is_left_out() {
    let mut tree = repository();
    tree.insert(
        "clusters/dev/extra.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: extra}\n",
    )
    .unwrap();
    let mut ignored = tree.clone();
    ignored.insert(".sourceignore", "/clusters/dev/extra.yaml\n").unwrap();
    let found = diff(&tree, &ignored);
    let gone: Vec<_> = found.changes.iter().map(|change| change.object.to_string()).collect();
    assert_eq!((gone, found.count(Action::Removed)), (vec!["Namespace/extra".to_owned()], 1));
    let by_source = with(
        &tree,
        "clusters/dev/flux-system/gotk-sync.yaml",
        "  interval: 1m0s\n",
        "  interval: 1m0s\n  ignore: extra.yaml\n",
    );
    let found = diff(&tree, &by_source);
    assert_eq!(found.count(Action::Removed), 1, "{found}");
}

/// What a link leads to is built anew when that changes.
#[test]
fn a_change_behind_a_link_is_seen() {
    let linked = |file: &str| {
        let mut tree = Tree::from_files([
            ("one/kustomization.yaml", "resources: [../link/a.yaml]\n"),
            ("shared/a.yaml", file),
            ("other/a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: other}\n"),
        ])
        .unwrap();
        tree.insert_link("link", "shared").unwrap();
        tree
    };
    let object = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
    let old = linked(&object("a"));
    assert!(diff(&old, &linked(&object("a"))).is_empty());
    assert_eq!(diff(&old, &linked(&object("b"))).changes.len(), 2);
    let mut elsewhere = linked(&object("a"));
    elsewhere.insert_link("link", "other").unwrap();
    assert_eq!(diff(&old, &elsewhere).changes.len(), 2);
}

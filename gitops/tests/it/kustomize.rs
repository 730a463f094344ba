use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::{Object, Tree};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn cases(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(testdata(name)).unwrap();
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

/// Builds a case the way `make-expected.sh` does.
fn build(case: &Path) -> kit_gitops::Result<Vec<Object>> {
    let tree = Tree::read(&case.join("input"))?;
    let folder = if tree.has_folder("overlay") { "overlay" } else { "" };
    kustomize::build(&tree, folder, &Overlay::default())
}

#[test]
fn builds_are_what_kubectl_kustomize_makes() {
    let cases = cases("kustomize");
    assert!(cases.len() >= 10, "only {} cases", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        is_built(&case, &name);
    }
}

/// Each kind of difference from kustomize that was ever found, with the smallest input that shows it.
#[test]
fn every_kind_of_difference_that_was_found_is_gone() {
    let cases = cases("kustomize-kinds");
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        match case.join("refused.txt").exists() {
            true => assert!(build(&case).is_err(), "{name}: kustomize refuses it"),
            false => is_built(&case, &name),
        }
    }
}

/// The corpus of `cargo xtask conformance kustomize`, with the answers that kustomize gave.
#[test]
fn the_corpus_is_built_as_kustomize_builds_it() {
    let read = |name: &str| std::fs::read_to_string(testdata("kustomize-corpus").join(name));
    let common: Vec<(String, String)> =
        told(&read("common.txt").unwrap()).into_iter().flat_map(|(_, files)| files).collect();
    let mut n_cases = 0;
    for entry in std::fs::read_dir(testdata("kustomize-corpus")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        for (case, mut files) in told(&read(&name).unwrap()) {
            let answer = files.iter().position(|(path, _)| path == "expected" || path == "refused");
            let Some(answer) = answer.filter(|_| name != "common.txt") else { continue };
            let (kind, answer) = files.remove(answer);
            let is_named = |path: &str| files.iter().any(|(_, text)| text.contains(path));
            let there: Vec<_> = common.iter().filter(|(path, _)| is_named(path)).cloned().collect();
            let mut tree = Tree::new();
            for (path, text) in there.into_iter().chain(files) {
                tree.insert(&path, text).unwrap();
            }
            let folder = if tree.has_folder("overlay") { "overlay" } else { "" };
            let built = kustomize::build(&tree, folder, &Overlay::default());
            match (kind.as_str(), built) {
                ("expected", Ok(built)) => are_equal(&built, &answer, &case),
                ("refused", Err(_)) => {}
                (kind, built) => panic!("{name}: {case} should be {kind}: {built:?}"),
            }
            n_cases += 1;
        }
    }
    assert!(n_cases >= 120, "only {n_cases} cases");
}

/// The cases of a file of the corpus with their files.
fn told(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut cases: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push((name.to_owned(), Vec::new()));
        } else if let Some((_, files)) = cases.last_mut() {
            match line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
                Some(path) => files.push((path.to_owned(), String::new())),
                None => files.last_mut().unwrap().1 += &format!("{line}\n"),
            }
        }
    }
    cases
}

fn is_built(case: &Path, name: &str) {
    let text = std::fs::read_to_string(case.join("expected.yaml")).unwrap();
    let built = build(case).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    are_equal(&built, &text, name);
}

fn are_equal(built: &[Object], text: &str, name: &str) {
    let (built, expected) = (values(&Object::to_yaml_all(built)), values(text));
    assert_eq!(built.len(), expected.len(), "{name}");
    for (built, expected) in built.iter().zip(&expected) {
        assert_eq!(built, expected, "{name}");
    }
}

/// Documents as another reader of YAML has them.
fn values(text: &str) -> Vec<serde_json::Value> {
    use serde::Deserialize as _;
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| serde_json::Value::deserialize(document).unwrap()).collect()
}

fn error(files: &[(&str, &str)]) -> String {
    let tree = Tree::from_files(files.iter().copied()).unwrap();
    let mut error: &dyn std::error::Error =
        &kustomize::build(&tree, "app", &Overlay::default()).unwrap_err();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text += &format!(": {source}");
        error = source;
    }
    text
}

fn refused(kustomization: &str, expected: Expect) {
    expected.assert_eq(&error(&[
        ("app/kustomization.yaml", kustomization),
        ("app/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        ("x/y", ""),
    ]));
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for field in ["helmChartInflationGenerator", "helmCharts"] {
        let text = error(&[("app/kustomization.yaml", &format!("resources: []\n{field}: [x]\n"))]);
        assert_eq!(
            text,
            format!(
                "cannot build app: cannot read app/kustomization.yaml: the field {field} is not supported"
            )
        );
    }
    let plugin = |field: &str, api_version: &str| {
        format!(
            "{field}:\n- |\n  apiVersion: {api_version}\n  kind: Own\n  metadata: {{name: x}}\n"
        )
    };
    for (field, api_version, said) in [
        ("transformers", "example.org/v1", "Own of example.org/v1, which is not built in"),
        ("validators", "example.org/v1", "Own of example.org/v1, which is not built in"),
        ("generators", "example.org/v1", "Own of example.org/v1, which is not built in"),
        ("generators", "builtin", "generators: Own"),
    ] {
        let text = error(&[("app/kustomization.yaml", &plugin(field, api_version))]);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_kustomize_refuses_is_refused() {
    refused(
        "bogusField: 1\n",
        expect![[
            r#"cannot build app: cannot read app/kustomization.yaml: kustomization: there is no field "bogusField""#
        ]],
    );
    refused(
        "resources: [a.yaml, a.yaml]\n",
        expect!["cannot build app: resources: ConfigMap/a is there twice"],
    );
    refused(
        "resources: [missing.yaml]\n",
        expect!["cannot build app: app/missing.yaml is not in the tree"],
    );
    refused(
        "resources: [../x]\n",
        expect![
            "cannot build app: cannot build x: resources: this folder has no kustomization.yaml"
        ],
    );
    refused(
        "resources: [.]\n",
        expect!["cannot build app: cannot build app: resources: app refers to itself through app"],
    );
    refused(
        "",
        expect![
            "cannot build app: cannot read app/kustomization.yaml: kustomization: the file is empty"
        ],
    );
    refused(
        "kind: Kustomization\nresources:\n",
        expect![
            "cannot build app: cannot read app/kustomization.yaml: kustomization: the file asks for nothing"
        ],
    );
    refused(
        "kind: Deployment\nresources: []\n",
        expect![
            "cannot build app: cannot read app/kustomization.yaml: kustomization: Deployment is neither Kustomization nor Component"
        ],
    );
    refused(
        "resources: [a.yaml]\nreplicas: [{name: b, count: 1}]\n",
        expect![
            "cannot build app: replicas: no object of the kinds Deployment, StatefulSet, ReplicaSet, ReplicationController is called b"
        ],
    );
    refused(
        "resources: [a.yaml]\nconfigMapGenerator: [{name: b, behavior: merge}]\n",
        expect!["cannot build app: generators: ConfigMap/b is not there to be merged or replaced"],
    );
    refused(
        "configMapGenerator: [{name: b, literals: [x]}]\n",
        expect![[r#"cannot build app: configMapGenerator: the literal "x" is not key=value"#]],
    );
    refused(
        "configMapGenerator: [{name: b, literals: [x=1, x=2]}]\n",
        expect![[r#"cannot build app: configMapGenerator: the key "x" of b is there twice"#]],
    );
    refused(
        "configMapGenerator: [{name: b, files: [missing]}]\n",
        expect!["cannot build app: app/missing is not in the tree"],
    );
    refused(
        "resources: [a.yaml]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}'}]\n",
        expect!["cannot build app: patches: there is no ConfigMap/b of v1 to patch"],
    );
    refused(
        "resources: [a.yaml]\npatches: [{patch: '- {op: remove, path: /data}', target: {kind: ConfigMap}}]\n",
        expect![
            "cannot build app: cannot patch ConfigMap/a: patches: remove /data: there is nothing at this path"
        ],
    );
    refused(
        "resources: [a.yaml]\npatches: [{patch: '- {op: remove, path: /data}'}]\n",
        expect!["cannot build app: patches: a JSON patch needs a target"],
    );
    refused(
        "resources: [a.yaml]\npatches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, $setElementOrder/x: []}'}]\n",
        expect![
            "cannot build app: cannot patch ConfigMap/a: patches: the directive $setElementOrder/x is not supported"
        ],
    );
}

#[test]
fn nothing_outside_the_tree_is_reached() {
    refused(
        "resources: [https://example.org/x.yaml]\n",
        expect![
            "cannot build app: resources: https://example.org/x.yaml is remote; only what is in the tree is built, and OCI artifacts by digest (oci://HOST/REPOSITORY@sha256:DIGEST//PATH)"
        ],
    );
    refused(
        "resources: ['github.com/org/repo?ref=v1']\n",
        expect![
            "cannot build app: resources: github.com/org/repo?ref=v1 is remote; only what is in the tree is built, and OCI artifacts by digest (oci://HOST/REPOSITORY@sha256:DIGEST//PATH)"
        ],
    );
    refused(
        "resources: [../../etc/passwd]\n",
        expect![[r#"cannot build app: the path "app/../../etc/passwd" leaves the tree"#]],
    );
    refused(
        "resources: [/etc/passwd]\n",
        expect![[r#"cannot build app: the path "/etc/passwd" leaves the tree"#]],
    );
    refused(
        "configMapGenerator: [{name: b, files: [../../../etc/passwd]}]\n",
        expect![[r#"cannot build app: the path "app/../../../etc/passwd" leaves the tree"#]],
    );
    refused(
        "patches: [{path: ../../x}]\n",
        expect![[r#"cannot build app: the path "app/../../x" leaves the tree"#]],
    );
}

#[test]
fn two_kustomizations_in_one_folder_or_in_a_circle_are_refused() {
    let text = error(&[
        ("app/kustomization.yaml", "resources: []\n"),
        ("app/Kustomization", "resources: []\n"),
    ]);
    assert_eq!(
        text,
        "cannot build app: kustomization: there are app/kustomization.yaml and app/Kustomization"
    );
    let text = error(&[
        ("app/kustomization.yaml", "resources: [../b]\n"),
        ("b/kustomization.yaml", "resources: [../app]\n"),
    ]);
    assert!(text.ends_with("resources: app refers to itself through app, b"), "{text}");
}

#[test]
fn a_folder_without_a_kustomization_gets_the_one_that_flux_generates() {
    let object =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let files = [
        ("app/a.yaml", object("a")),
        ("app/deep/b.yml", object("b")),
        (
            "app/k/kustomization.yaml",
            "namePrefix: x-\nresources: [c.yaml, ../../shared/d.yaml]\n".to_owned(),
        ),
        ("app/k/c.yaml", object("c")),
    ];
    let mut tree = Tree::from_files(files).unwrap();
    tree.insert("shared/d.yaml", object("d")).unwrap();
    tree.insert("app/notes.txt", "not YAML: [").unwrap();
    tree.insert("app/comments.yaml", "# nothing\n").unwrap();
    expect![[r#"
        apiVersion: kustomize.config.k8s.io/v1beta1
        kind: Kustomization
        resources:
        - a.yaml
        - deep/b.yml
        - k
    "#]]
    .assert_eq(&kustomize::generate(&tree, "app").unwrap());
    let names: Vec<_> = kustomize::build(&tree, "./app/", &Overlay::default())
        .unwrap()
        .iter()
        .map(|object| object.name().to_owned())
        .collect();
    assert_eq!(names, ["a", "b", "x-c", "x-d"]);
    tree.insert("app/values.yaml", "a: 1\n").unwrap();
    assert!(
        kustomize::build(&tree, "app", &Overlay::default()).is_err(),
        "Flux takes every YAML file for objects"
    );
}

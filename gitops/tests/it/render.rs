use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use expect_test::expect_file;
use kit_gitops::{
    Bootstrap, Object, Release, Tree, bootstrap,
    kustomize::{self, Overlay},
    render,
};
use serde_json::Value;

fn digest(c: char) -> String {
    format!("sha256:{}", c.to_string().repeat(64))
}

/// The tutorial's own application, rendered well.
fn tutorial() -> Tree {
    let image = format!("127.0.0.1:5000/demo/distilbert-runtime:1.0.0@{}", digest('0'));
    let mut release = Release::new("distilbert".parse().unwrap(), image.parse().unwrap());
    release.name = "distilbert-sentiment-classifier".parse().unwrap();
    release.modelkit = Some("127.0.0.1:5000/demo/distilbert-sentiment:1.0.0".to_owned());
    release.modelkit_digest = Some(digest('a'));
    release.weight_bytes = 267_832_560;
    let mut tree = render(&release);
    tree.merge(bootstrap(&Bootstrap::new(
        "https://git.example.org/acme/ml-infra.git".parse().unwrap(),
    )));
    tree
}

/// Every field that is not the default.
fn everything() -> Tree {
    let mut release = Release::new(
        "sentiment".parse().unwrap(),
        format!("ghcr.io/acme/server@{}", digest('1')).parse().unwrap(),
    );
    release.namespace = "ml-prod".parse().unwrap();
    release.env = "prod".parse().unwrap();
    release.replicas = 3;
    release.port = 8080;
    release.environment.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
    release.pull_secret = Some("registry".parse().unwrap());
    release.startup = Duration::from_secs(31);
    release.progress_deadline = Duration::from_secs(90);
    release.timeout = Duration::from_secs(120);
    release.interval = Duration::from_secs(3600);
    let mut asked = Bootstrap::new("ssh://git@git.example.org/acme/ml-infra.git".parse().unwrap());
    asked.env = "prod".parse().unwrap();
    asked.branch = "release/1.0".to_owned();
    asked.secret_ref = Some("flux-system".parse().unwrap());
    let mut tree = render(&release);
    tree.merge(bootstrap(&asked));
    tree
}

fn cases() -> [(&'static str, Tree); 2] {
    [("tutorial", tutorial()), ("everything", everything())]
}

fn folder_of(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/render").join(case)
}

#[test]
fn rendered_trees_are_the_golden_ones() {
    for (case, tree) in cases() {
        for (path, text) in tree.iter() {
            let golden = folder_of(case).join(path);
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            expect_file![golden].assert_eq(text);
        }
        let golden = Tree::read(&folder_of(case)).unwrap();
        assert_eq!(
            golden.paths().collect::<Vec<_>>(),
            tree.paths().collect::<Vec<_>>(),
            "{case}: a golden file is left over"
        );
    }
}

#[test]
fn rendered_objects_are_valid_against_the_schemas_of_kubernetes_and_flux() {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/schemas");
    if !schemas.is_dir() {
        return skipped("the schemas are not beside this checkout");
    }
    for (case, tree) in cases() {
        for (path, text) in tree.iter().filter(|(path, _)| !path.ends_with("/kustomization.yaml")) {
            for object in Object::parse_all(text).unwrap() {
                let errors = violations(&schemas, &object);
                assert!(errors.is_empty(), "{case}/{path}: {}: {errors:#?}", object.id());
            }
        }
    }
    let mut wrong: Object =
        tutorial().get("clusters/dev/distilbert-app.yaml").unwrap().parse().unwrap();
    wrong = Object::from_value({
        let mut value = wrong.into_value();
        value["spec"]["paths"] = "./apps".into();
        value
    })
    .unwrap();
    assert!(
        !violations(&schemas, &wrong).is_empty(),
        "the schemas refuse a field that does not exist"
    );
}

/// What a schema has against an object.
fn violations(schemas: &Path, object: &Object) -> Vec<String> {
    let id = object.id();
    let group = if id.group.is_empty() { "core" } else { &id.group };
    let file = schemas.join(group).join(format!("{}_{}.json", id.kind.to_lowercase(), id.version));
    let schema: Value = serde_json::from_str(
        &std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display())),
    )
    .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator
        .iter_errors(object.value())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn rendered_trees_build_the_same_with_kubectl() {
    let dir = tempfile::tempdir().unwrap();
    for (case, mut tree) in cases() {
        // kubectl makes no kustomization for a folder that has none; Flux does.
        let env = if case == "everything" { "prod" } else { "dev" };
        let clusters = format!("clusters/{env}");
        let generated = kustomize::generate(&tree, &clusters).unwrap();
        tree.insert(&format!("{clusters}/kustomization.yaml"), generated).unwrap();
        tree.write(&dir.path().join(case)).unwrap();
        let app = tree.paths().next().unwrap().rsplit_once('/').unwrap().0.to_owned();
        for folder in [clusters, app] {
            let Ok(output) = Command::new("kubectl")
                .arg("kustomize")
                .arg(dir.path().join(case).join(&folder))
                .output()
            else {
                return skipped("kubectl is not there");
            };
            assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
            let theirs = Object::parse_all(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
            assert_eq!(
                kustomize::build(&tree, &folder, &Overlay::default()).unwrap(),
                theirs,
                "{case}/{folder}"
            );
        }
    }
}

#[test]
fn kubectl_reads_what_is_printed() {
    let texts = [
        "yes",
        "0644",
        "1e3",
        "12:30",
        "2001-01-01",
        "a\nb\n",
        "a\nb",
        " a",
        "a: b",
        "#",
        "é",
        "null",
        "~",
        "'",
        "\"",
        "\t",
        "-",
        "=",
        "a\n\n",
        "\\",
        "1_000",
        "0x1f",
        ".5",
        "<<",
        "\u{feff}",
    ];
    let data: serde_json::Map<String, Value> =
        texts.iter().enumerate().map(|(n, text)| (format!("k{n}"), Value::from(*text))).collect();
    let value = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}, "data": data});
    let object = Object::from_value(value).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kustomization.yaml"), "resources: [texts.yaml]\n").unwrap();
    std::fs::write(dir.path().join("texts.yaml"), object.to_yaml()).unwrap();
    let Ok(output) = Command::new("kubectl").arg("kustomize").arg(dir.path()).output() else {
        return skipped("kubectl is not there");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(Object::parse_all(std::str::from_utf8(&output.stdout).unwrap()).unwrap(), [object]);
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

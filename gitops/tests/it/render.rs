//! What is rendered: golden files, held against schemas and `kubectl` of others' making.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use expect_test::expect_file;
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::{
    Admission, ArgoCd, Beside, Bootstrap, Component, Delivery, Form, ImagePolicy, Layout,
    NamespaceUse, Object, Release, Spread, Tree, Trust, bootstrap, render,
};
use serde::Deserialize as _;
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
    let mut tree = render(&release).unwrap();
    let asked = Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse().unwrap());
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

/// What stands for Flux' own components.
const COMPONENTS: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: flux-system\n";

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
    release.namespace_use = NamespaceUse::Shared;
    release.request_timeout = Duration::from_secs(10);
    release.startup = Some(Duration::from_secs(31));
    release.progress_deadline = Some(Duration::from_secs(90));
    release.interval = Duration::from_secs(3600);
    let mut asked = Bootstrap::new("ssh://git@git.example.org/acme/ml-infra.git".parse().unwrap());
    asked.env = "prod".parse().unwrap();
    asked.branch = "release/1.0".parse().unwrap();
    asked.secret_ref = Some("flux-system".parse().unwrap());
    asked.components = Some(COMPONENTS.to_owned());
    let mut tree = render(&release).unwrap();
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

/// Two environments of one app, the second with all that one may add.
fn envs() -> Tree {
    let mut tree = Tree::new();
    for env in ["dev", "prod"] {
        let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
        let mut release = Release::new("sentiment".parse().unwrap(), image.parse().unwrap());
        release.layout = Layout::Envs;
        release.env = env.parse().unwrap();
        release.modelkit = Some("ghcr.io/acme/sentiment:1.0.0".to_owned());
        release.modelkit_digest = Some(digest('a'));
        release.weight_bytes = 267_832_560;
        if env == "prod" {
            release.namespace = "ml".parse().unwrap();
            release.replicas = 2;
            release.max_replicas = Some(6);
            release.components = BTreeSet::from(Component::ALL);
            release.spread = Spread::Zones;
            release.is_tenant = true;
        }
        release.place(&tree).unwrap();
        tree.merge(render(&release).unwrap());
        let mut asked =
            Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse().unwrap());
        asked.env = release.env;
        tree.merge(bootstrap(&asked, &tree).unwrap());
    }
    tree
}

/// The tutorial's application, its model delivered in each way.
fn delivered(delivery: Delivery) -> Tree {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("sentiment".parse().unwrap(), image.parse().unwrap());
    release.modelkit = Some("ghcr.io/acme/sentiment:1.0.0".to_owned());
    let follows = matches!(delivery, Delivery::Runtime { .. });
    release.modelkit_digest = (!follows).then(|| digest('a'));
    release.weight_bytes = 267_832_560;
    release.pull_secret = Some("registry".parse().unwrap());
    // Of one, how an environment is delivered is seen, too.
    if matches!(delivery, Delivery::Init { .. }) {
        release.layout = Layout::Envs;
    }
    release.delivery = delivery;
    render(&release).unwrap()
}

/// What a cluster can be told to ask for, in both layouts.
fn trusted(layout: Layout) -> Tree {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("sentiment".parse().unwrap(), image.parse().unwrap());
    release.layout = layout;
    release.is_tenant = layout == Layout::Envs;
    release.modelkit = Some("ghcr.io/acme/sentiment:1.0.0".to_owned());
    release.modelkit_digest = Some(digest('a'));
    release.source = Some("oci://ghcr.io/acme/files:dev".parse().unwrap());
    let key = |n| format!("-----BEGIN PUBLIC KEY-----\nkey {n}\n-----END PUBLIC KEY-----\n");
    release.trust = Trust {
        keys: vec![key(1), key(2)],
        admission: BTreeSet::from(Admission::ALL),
        checks_model: true,
    };
    let mut tree = render(&release).unwrap();
    let asked = Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse().unwrap());
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

/// A model that is mounted, of which a cluster asks all that it can, for an app with an account of its
/// own; and one by KServe.
fn mounted_and_trusted() -> Tree {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let face = format!("ghcr.io/acme/sentiment:1.0.0-mount@{}", digest('f'));
    let face: kit_gitops::ImageRef = face.parse().unwrap();
    let release = |app: &str, delivery| {
        let mut release = Release::new(app.parse().unwrap(), image.parse().unwrap());
        (release.layout, release.is_tenant) = (Layout::Envs, true);
        release.modelkit = Some("ghcr.io/acme/sentiment:1.0.0".to_owned());
        release.modelkit_digest = Some(digest('a'));
        release.delivery = delivery;
        let key = "-----BEGIN PUBLIC KEY-----\nkey\n-----END PUBLIC KEY-----\n".to_owned();
        release.trust = Trust {
            keys: vec![key],
            admission: BTreeSet::from(Admission::ALL),
            ..Trust::default()
        };
        release
    };
    let mut mounted = release("mounted", Delivery::ImageVolume { face: face.clone() });
    mounted.trust.checks_model = true;
    let mut tree = render(&mounted).unwrap();
    tree.merge(render(&release("kserve", Delivery::KServe { face })).unwrap());
    tree
}

/// What there may be beside an application, for a Flux whose definitions `.ci/judges` fetches, and
/// the other form of what it watches.
fn beside() -> Tree {
    let image = format!("ghcr.io/acme/server:1.0.0@{}", digest('1'));
    let mut release = Release::new("sentiment".parse().unwrap(), image.parse().unwrap());
    release.layout = Layout::Envs;
    release.flux = "2.9".parse().unwrap();
    release.modelkit_digest = Some(digest('a'));
    release.pull_secret = Some("registry".parse().unwrap());
    release.beside = Beside {
        argocd: Some(ArgoCd {
            repository: "https://git.example.org/acme/ml-infra.git".parse().unwrap(),
            revision: "main".parse().unwrap(),
        }),
        image_policy: Some(ImagePolicy {
            range: ">=1.0.0 <2.0.0".parse().unwrap(),
            insecure: true,
        }),
        receiver: Some("github".to_owned()),
        alert: Some("slack".parse().unwrap()),
    };
    let mut tree = render(&release).unwrap();
    let mut other = Release::new("bucket".parse().unwrap(), image.parse().unwrap());
    other.flux = release.flux;
    other.source = Some("bucket://minio.example.org:9000/ml-infra".parse().unwrap());
    other.beside.receiver = Some("generic".to_owned());
    other.beside.alert = Some("alertmanager=http://alertmanager.monitoring:9093".parse().unwrap());
    tree.merge(render(&other).unwrap());
    for (app, layout, chart) in [
        ("charted", Layout::Flat, "oci://ghcr.io/acme/charts/model-server:1.x"),
        ("shelved", Layout::Envs, "https://charts.example.org/stable/model-server:>=1.0.0 <2.0.0"),
    ] {
        let mut charted = Release::new(app.parse().unwrap(), image.parse().unwrap());
        charted.flux = release.flux;
        charted.layout = layout;
        charted.chart = Some(chart.parse().unwrap());
        charted.modelkit_digest = Some(digest('a'));
        charted.pull_secret = Some("registry".parse().unwrap());
        tree.merge(render(&charted).unwrap());
    }
    let mut asked = Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse().unwrap());
    asked.form = Form::FluxInstance;
    asked.flux = Some(release.flux);
    asked.secret_ref = Some("flux-system".parse().unwrap());
    asked.extra =
        ["image-reflector-controller", "image-automation-controller"].map(str::to_owned).to_vec();
    tree.merge(bootstrap(&asked, &tree).unwrap());
    tree
}

fn cases() -> [(&'static str, Tree); 11] {
    let face = format!("ghcr.io/acme/sentiment:1.0.0-mount@{}", digest('f'));
    let face: kit_gitops::ImageRef = face.parse().unwrap();
    let mounted = Delivery::ImageVolume { face: face.clone() };
    let runtime = Delivery::Runtime { plain_http: false, watch: Duration::from_secs(30) };
    [
        ("tutorial", tutorial()),
        ("everything", everything()),
        ("envs", envs()),
        ("beside", beside()),
        ("image-volume", delivered(mounted)),
        ("init", delivered(Delivery::Init { plain_http: false })),
        ("runtime", delivered(runtime)),
        ("kserve", delivered(Delivery::KServe { face })),
        ("trusted", trusted(Layout::Flat)),
        ("trusted-envs", trusted(Layout::Envs)),
        ("mounted-and-trusted", mounted_and_trusted()),
    ]
}

/// What an account lacks the rights for is what Flux would say of its app.
#[test]
fn an_account_may_apply_all_that_its_app_is_made_of() {
    let asked = Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse().unwrap());
    let mut tree = mounted_and_trusted();
    tree.merge(bootstrap(&asked, &tree).unwrap());
    let forbidden = |tree: &Tree| {
        let said = kit_gitops::rehearse(tree, "main@sha1:0", None);
        let told = said.into_iter().map(|it| it.ready.message);
        told.filter(|it| it.contains("forbidden")).collect::<Vec<_>>()
    };
    assert_eq!(forbidden(&tree), [""; 0]);
    for (app, kind) in [("mounted", "configmaps"), ("kserve", "inferenceservices")] {
        let path = format!("clusters/dev/{app}-tenant.yaml");
        let role = tree.get(&path).unwrap();
        assert!(role.contains(kind), "{role}");
        let mut less = tree.clone();
        less.insert(&path, role.replace(kind, "others")).unwrap();
        assert_ne!(forbidden(&less), [""; 0], "{path}");
    }
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
    let Some(schemas) = Schemas::find() else {
        return skipped("rendered objects against schemas", "`.ci/judges` was not run");
    };
    for (case, tree) in cases() {
        // What is a part of an object, or of others' making, has no schema.
        let is_whole = |path: &str| {
            ![
                "/kustomization.yaml",
                "/release.yaml",
                "/spread.yaml",
                "/gpu.yaml",
                "/servicemonitor.yaml",
                "/inferenceservice.yaml",
                "/signatures.yaml",
                "/check.yaml",
                // Held against the schema that we carry: in `beside.rs`.
                "argocd/dev/sentiment.yaml",
            ]
            .iter()
            .any(|end| path.ends_with(end))
        };
        for (path, text) in tree.iter().filter(|(path, _)| is_whole(path)) {
            for object in Object::parse_all(text).unwrap() {
                let errors = schemas.violations(&object);
                assert!(errors.is_none(), "{case}/{path}: {}: {errors:#?}", object.id());
            }
        }
    }
    for (path, unknown) in [
        ("clusters/dev/distilbert-app.yaml", "/spec"),
        ("clusters/dev/flux-system/gotk-sync.yaml", "/spec/ref"),
        ("apps/distilbert/deployment.yaml", "/spec/template/spec/containers/0"),
    ] {
        let object = Object::parse_all(tutorial().get(path).unwrap()).unwrap().remove(0);
        let mut wrong = object.into_value();
        wrong.pointer_mut(unknown).unwrap()["paths"] = "./apps".into();
        let wrong = Object::from_value(wrong).unwrap();
        assert!(schemas.violations(&wrong).is_some(), "{path}: an unknown field is refused");
    }
}

/// What `.ci/judges` fetches: schemas of Kubernetes, and Flux' own definitions of its kinds.
struct Schemas {
    /// All kinds in one document; its objects have no field that it does not name.
    kubernetes: Value,
    flux: Vec<Value>,
}

impl Schemas {
    fn find() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/judges");
        let kubernetes = std::fs::read_to_string(folder.join("kubernetes.json")).ok()?;
        let files = std::fs::read_dir(folder.join("flux")).ok()?;
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let kinds = texts.flat_map(|text| {
            let documents = serde_yaml::Deserializer::from_str(&text);
            documents.map(|it| Value::deserialize(it).unwrap()).collect::<Vec<_>>()
        });
        let flux =
            kinds.filter(|kind| kind["kind"] == "CustomResourceDefinition").map(|mut kind| {
                close(&mut kind);
                kind
            });
        Some(Self { kubernetes: serde_json::from_str(&kubernetes).unwrap(), flux: flux.collect() })
    }

    /// What the schema of an object's kind has against it.
    fn violations(&self, object: &Object) -> Option<String> {
        let schema = self.of_flux(object).or_else(|| self.of_kubernetes(object));
        let schema = schema.unwrap_or_else(|| panic!("no schema for {}", object.id()));
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("kind.json", schema).unwrap();
        let compiled = compiler.compile("kind.json", &mut schemas).unwrap();
        schemas.validate(object.value(), compiled).err().map(|errors| errors.to_string())
    }

    fn of_flux(&self, object: &Object) -> Option<Value> {
        let id = object.id();
        let kind = self.flux.iter().map(|kind| &kind["spec"]).find(|spec| {
            spec["group"] == id.group.as_str() && spec["names"]["kind"] == id.kind.as_str()
        })?;
        let mut versions = kind["versions"].as_array()?.iter();
        let version = versions.find(|version| version["name"] == id.version.as_str())?;
        Some(version["schema"]["openAPIV3Schema"].clone())
    }

    fn of_kubernetes(&self, object: &Object) -> Option<Value> {
        let id = object.id();
        let asked = serde_json::json!({"group": id.group, "kind": id.kind, "version": id.version});
        let (name, _) = self.kubernetes["$defs"].as_object()?.iter().find(|(_, kind)| {
            let kinds = kind["x-kubernetes-group-version-kind"].as_array();
            kinds.is_some_and(|kinds| kinds.contains(&asked))
        })?;
        let mut schema = self.kubernetes.clone();
        schema["$ref"] = format!("#/$defs/{name}").into();
        Some(schema)
    }
}

/// Lets the objects of a schema have no field that it does not name, as `kubectl` and Flux do when
/// they validate strictly.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if keys.get("properties").is_some_and(Value::is_object) {
                keys.entry("additionalProperties").or_insert(false.into());
            }
            keys.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn rendered_trees_build_the_same_with_kubectl() {
    let dir = tempfile::tempdir().unwrap();
    for (case, mut tree) in cases() {
        let mut folders: Vec<&str> = match case {
            "tutorial" => vec!["clusters/dev", "apps/distilbert"],
            "everything" => vec!["clusters/prod", "apps/sentiment"],
            "init" => vec!["clusters/dev", "apps/sentiment/overlays/dev"],
            "image-volume" | "runtime" | "kserve" => vec!["clusters/dev", "apps/sentiment"],
            "trusted" => vec!["clusters/dev", "apps/sentiment", "policies/sentiment/dev"],
            "trusted-envs" => vec!["clusters/dev", "apps/sentiment/overlays/dev"],
            "mounted-and-trusted" => {
                vec!["clusters/dev", "apps/mounted/overlays/dev", "apps/kserve/overlays/dev"]
            }
            "beside" => {
                let envs = ["apps/sentiment/overlays/dev", "apps/shelved/overlays/dev"];
                [&["clusters/dev", "apps/bucket", "apps/charted"][..], &envs].concat()
            }
            _ => vec!["clusters/dev", "clusters/prod"],
        };
        // kubectl makes no kustomization for a folder that has none; Flux does.
        for clusters in folders.iter().filter(|folder| folder.starts_with("clusters/")) {
            let generated = kustomize::generate(&tree, clusters).unwrap();
            tree.insert(&format!("{clusters}/kustomization.yaml"), generated).unwrap();
        }
        if case == "envs" {
            folders.extend(["apps/sentiment/overlays/dev", "apps/sentiment/overlays/prod"]);
        }
        tree.write(&dir.path().join(case)).unwrap();
        for folder in folders {
            let Ok(output) = Command::new("kubectl")
                .arg("kustomize")
                .arg(dir.path().join(case).join(folder))
                .output()
            else {
                return skipped("rendered trees beside kubectl's", "kubectl is not installed");
            };
            assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
            let theirs = Object::parse_all(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
            assert_eq!(
                kustomize::build(&tree, folder, &Overlay::default()).unwrap(),
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
        return skipped("what is printed, read by kubectl", "kubectl is not installed");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(Object::parse_all(std::str::from_utf8(&output.stdout).unwrap()).unwrap(), [object]);
}

/// Says loudly what was not checked (the tests' own stderr is shown for failures only); in CI it is a
/// failure.
#[expect(clippy::disallowed_methods, reason = "CI says by a variable that it is CI")]
fn skipped(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: {why}");
    let _ = writeln!(std::io::stderr(), "NOT CHECKED: {what}: {why}");
}

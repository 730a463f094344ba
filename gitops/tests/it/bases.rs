//! Bases that a kustomization names by the digest of an artifact.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit_gitops::edit::{Bump, bump};
use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::promote::{pins, running};
use kit_gitops::{Bases, BoxError, Layout, Object, OciArtifact, Release, Tree, render};

/// Artifacts by the first letter of their digests.
struct Shelf {
    artifacts: Vec<(char, Tree)>,
    n_fetched: AtomicUsize,
}

impl Bases for Shelf {
    fn fetch(&self, artifact: &OciArtifact) -> Result<Tree, BoxError> {
        self.n_fetched.fetch_add(1, Ordering::Relaxed);
        assert_eq!(artifact.repository, "host:5000/org/app");
        let is_it = |(letter, _): &&(char, Tree)| artifact.digest[7..].starts_with(*letter);
        let found = self.artifacts.iter().find(is_it);
        found.map(|(_, tree)| tree.clone()).ok_or_else(|| "nobody has it".into())
    }
}

fn entry(letter: &str, path: &str) -> String {
    format!("oci://host:5000/org/app@sha256:{}//{path}", letter.repeat(64))
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn shelf() -> Arc<Shelf> {
    let deeper = entry("b", "sub");
    let a = [
        ("base/kustomization.yaml", format!("resources: [a.yaml, ../one.yaml, '{deeper}']\n")),
        ("base/a.yaml", config_map("a")),
        ("one.yaml", config_map("one")),
        ("up/kustomization.yaml", "resources: [../../one.yaml]\n".to_owned()),
        (
            "component/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n"
                .to_owned(),
        ),
    ];
    // The same folders as in the tree are other folders.
    let b = [
        ("sub/kustomization.yaml", "namePrefix: b-\nresources: [../overlay]\n".to_owned()),
        ("overlay/kustomization.yaml", "resources: [b.yaml]\n".to_owned()),
        ("overlay/b.yaml", config_map("b")),
    ];
    Arc::new(Shelf {
        artifacts: vec![('a', Tree::from_files(a).unwrap()), ('b', Tree::from_files(b).unwrap())],
        n_fetched: AtomicUsize::new(0),
    })
}

fn build(kustomization: &str, bases: Option<Arc<Shelf>>) -> Result<Vec<Object>, String> {
    let tree = Tree::from_files([("overlay/kustomization.yaml", kustomization)]).unwrap();
    let tree = match bases {
        Some(bases) => tree.with_bases(bases),
        None => tree,
    };
    kustomize::build(&tree, "overlay", &Overlay::default()).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    })
}

fn names(objects: &[Object]) -> Vec<&str> {
    objects.iter().map(Object::name).collect()
}

#[test]
fn an_artifact_is_a_base_and_fetched_once() {
    let shelf = shelf();
    let kustomization = format!(
        "namePrefix: p-\nresources: ['{}', '{}']\ncomponents: ['{}']\n",
        entry("a", "base"),
        entry("b", "overlay/b.yaml"),
        entry("a", "./component/"),
    );
    let built = build(&kustomization, Some(Arc::clone(&shelf))).unwrap();
    assert_eq!(names(&built), ["p-a-c", "p-b-b-c", "p-b-c", "p-one-c"]);
    assert_eq!(shelf.n_fetched.load(Ordering::Relaxed), 2);
}

#[test]
fn an_origin_names_the_artifact() {
    let kustomization =
        format!("buildMetadata: [originAnnotations]\nresources: ['{}']\n", entry("b", "overlay"));
    let built = build(&kustomization, Some(shelf())).unwrap();
    let origin = built[0].annotation("config.kubernetes.io/origin").unwrap();
    let expected = format!(
        "path: overlay/b.yaml\nrepo: oci://host:5000/org/app\nref: sha256:{}\n",
        "b".repeat(64)
    );
    assert_eq!(origin, expected);
}

#[test]
fn what_is_no_base_is_refused_with_what_to_write() {
    for (entry, bases, expected) in [
        (
            "oci://host:5000/org/app:v1//base".to_owned(),
            Some(shelf()),
            "write oci://HOST/REPOSITORY@sha256:DIGEST//PATH",
        ),
        (entry("a", "base"), None, "is remote; only what is in the tree is built here"),
        (entry("c", "base"), Some(shelf()), ": nobody has it"),
        (entry("a", "nowhere"), Some(shelf()), "//nowhere is not in the tree"),
        (entry("a", ""), Some(shelf()), "this folder has no kustomization.yaml"),
        (entry("a", "../x"), Some(shelf()), "leaves the tree"),
        (entry("a", "up"), Some(shelf()), "leaves the tree"),
        (entry("a", "component"), Some(shelf()), "this is a Component"),
    ] {
        let error = build(&format!("resources: ['{entry}']\n"), bases).unwrap_err();
        assert!(error.contains(expected), "{entry}: {error}");
    }
}

#[test]
fn an_app_with_such_a_base_is_read_and_bumped_as_any_other() {
    let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
    let release = || {
        let image = format!("host:5000/org/server:1@{}", digest('1')).parse().unwrap();
        let mut release = Release::new("a".parse().unwrap(), image);
        release.layout = Layout::Envs;
        release.modelkit_digest = Some(digest('c'));
        release
    };
    // The base of the app lies in a registry.
    let rendered = render(&release()).unwrap();
    let below = |folder: &str| {
        let files = rendered.iter().filter_map(|(path, text)| {
            Some((path.strip_prefix(folder)?.to_owned(), text.to_owned()))
        });
        files.collect::<Vec<_>>()
    };
    let base = Tree::from_files(below("apps/a/")).unwrap();
    let shelf = Shelf { artifacts: vec![('d', base)], n_fetched: AtomicUsize::new(0) };
    let folder = "apps/a/overlays/dev/";
    let files = below(folder).into_iter().map(|(path, text)| {
        (format!("{folder}{path}"), text.replace("../../base", &entry("d", "base")))
    });
    let bare = Tree::from_files(files).unwrap();
    let mut tree = bare.clone().with_bases(Arc::new(shelf));
    let app = "a".parse().unwrap();
    let now = pins(&tree, &app, None).unwrap();
    assert_eq!(now.image.digest, Some(digest('1')));
    let image = format!("host:5000/org/server:2@{}", digest('2')).parse().unwrap();
    let to = Bump { image, modelkit_digest: Some(digest('e')), ..now.bump(app, None) };
    tree.merge(bump(&tree, &to).unwrap());
    assert_eq!(running(&tree, &digest('e')).places.len(), 1);
    assert_eq!(running(&tree, &digest('c')).places, []);
    // Where nobody fetches it, that is no "nowhere".
    let unknown = running(&bare, &digest('c')).unknown;
    assert!(
        matches!(&unknown[..], [(_, Some(_), error)] if error.to_string().contains("cannot build"))
    );
}

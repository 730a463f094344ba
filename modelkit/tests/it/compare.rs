//! Comparing two ModelKits, and unpacking from more places than one.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;

use modelkit::diff::{Depth, Diff, diff};
use modelkit::{ModelKit, Selection, Source, Sources, UnpackOptions};
use registry::content::Descriptor;
use registry::{Blobs, Layout};

use crate::project::{Project, chain, files, quiet, tree};

const TEXT: &str = "model:\n  path: m\ndatasets:\n  - path: d\n";

fn compare(project: &Project, a: &ModelKit, b: &ModelKit, depth: Depth) -> Diff {
    let source =
        |kit: &ModelKit| Source { kit: kit.clone(), blobs: Box::new(project.layout.clone()) };
    diff(&source(a), &source(b), depth).unwrap()
}

/// A safetensors file with one tensor of four bytes for each name.
fn safetensors(tensors: &[(&str, [u8; 4])]) -> Vec<u8> {
    let entry = |(i, (name, _)): (usize, &(&str, [u8; 4]))| {
        format!(
            r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}}"#,
            i * 4,
            i * 4 + 4
        )
    };
    let header =
        format!("{{{}}}", tensors.iter().enumerate().map(entry).collect::<Vec<_>>().join(","));
    let data = tensors.iter().flat_map(|(_, bytes)| *bytes).collect();
    [(header.len() as u64).to_le_bytes().to_vec(), header.into_bytes(), data].concat()
}

#[test]
fn modelkits_are_compared_by_layer_file_and_tensor() {
    let project = Project::with(&["d/same", "d/gone", "m/config.json"]);
    project.file("m/w.safetensors", &safetensors(&[("a", [1; 4]), ("b", [2; 4]), ("old", [3; 4])]));
    let a = project.kit(&project.pack(TEXT));
    assert!(compare(&project, &a, &a, Depth::Tensors).identical);

    project.file("m/w.safetensors", &safetensors(&[("a", [1; 4]), ("b", [9; 4]), ("new", [3; 4])]));
    let b = project.kit(&project.pack(TEXT));
    let layers = compare(&project, &a, &b, Depth::Layers);
    assert!(!layers.identical && !layers.same_config && layers.files.is_none());
    let paths = |layers: &[modelkit::diff::LayerInfo]| {
        layers.iter().map(|layer| layer.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (paths(&layers.shared), paths(&layers.only_a)),
        (vec!["d".into()], vec!["m".into()])
    );

    let changes = compare(&project, &a, &b, Depth::Tensors).files.unwrap();
    assert_eq!(changes.keys().collect::<Vec<_>>(), ["m/w.safetensors"]);
    let tensors = changes["m/w.safetensors"].tensors.as_ref().unwrap();
    let found: BTreeMap<_, _> = tensors
        .iter()
        .map(|(name, pair)| (&**name, (pair.a.is_some(), pair.b.is_some())))
        .collect();
    assert_eq!(
        found,
        BTreeMap::from([("b", (true, true)), ("old", (true, false)), ("new", (false, true))])
    );
    assert!(
        compare(&project, &a, &b, Depth::Files).files.unwrap()["m/w.safetensors"].tensors.is_none()
    );

    std::fs::remove_file(project.context().join("d/gone")).unwrap();
    project.file("d/come", b"x");
    let c = project.kit(&project.pack(TEXT));
    let changes = compare(&project, &b, &c, Depth::Files).files.unwrap();
    let sides: Vec<_> = changes
        .iter()
        .map(|(path, it)| (&**path, it.file.a.is_some(), it.file.b.is_some()))
        .collect();
    assert_eq!(sides, [("d/come", false, true), ("d/gone", true, false)]);
}

#[test]
fn a_file_that_only_looks_like_safetensors_is_compared_as_a_file() {
    let project = Project::with(&["d/x"]);
    for (i, hostile) in [
        b"".to_vec(),
        [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat(),
        [8u64.to_le_bytes().as_slice(), br#"{"a":1}}"#].concat(),
        [
            59u64.to_le_bytes().as_slice(),
            br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[9,99999]}}"#,
        ]
        .concat(),
        [
            58u64.to_le_bytes().as_slice(),
            br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]},"b":1}"#,
        ]
        .concat(),
    ]
    .into_iter()
    .enumerate()
    {
        project.file("m/w.safetensors", &hostile);
        let a = project.kit(&project.pack(TEXT));
        project.file("m/w.safetensors", &safetensors(&[("a", [i as u8; 4])]));
        let b = project.kit(&project.pack(TEXT));
        let changes = compare(&project, &a, &b, Depth::Tensors).files.unwrap();
        assert!(changes["m/w.safetensors"].tensors.is_none(), "{i}");
    }
}

/// A place that remembers which of its blobs were opened.
struct Watched<'a>(&'a Layout, &'a Mutex<Vec<String>>);

impl Blobs for Watched<'_> {
    fn open(&self, descriptor: &Descriptor) -> registry::Result<Box<dyn Read + Send + '_>> {
        self.1.lock().unwrap().push(descriptor.digest().to_string());
        Blobs::open(self.0, descriptor)
    }
}

#[test]
fn only_the_blobs_that_are_meant_are_opened() {
    let project = Project::with(&["m/w", "d/x"]);
    let packed = project.pack(TEXT);
    let opened = Mutex::default();
    let blobs = Box::new(Watched(&project.layout, &opened));
    let source = Source { kit: project.kit(&packed), blobs };
    let selection =
        Selection { filters: vec!["datasets".parse().unwrap()], remote_datasets: false };
    let sources =
        Sources::find::<modelkit::Error>(source, selection, |_| panic!("it needs no other"))
            .unwrap();
    let out = project.path("out");
    modelkit::unpack(&sources, &out, &UnpackOptions::default(), &quiet).unwrap();
    assert_eq!(files(&tree(&out)), ["d/x"]);
    assert_eq!(*opened.lock().unwrap(), [packed.layers[1].descriptor.digest().to_string()]);
}

#[test]
fn datasets_of_other_modelkits_are_unpacked_where_they_belong() {
    let project = Project::with(&["m/w", "d/x"]);
    let base = project.pack(TEXT);
    project.layout.tag(&base.descriptor, &"base:v1".parse().unwrap()).unwrap();
    let text = "datasets:\n  - name: far\n    path: deep/far\n    remotePath: base:v1\n";
    let packed = project.pack(text);
    let kit = project.kit(&packed);
    assert_eq!(kit.kitfile().datasets[0].remote_path, format!("base@{}", base.descriptor.digest()));

    assert_eq!(project.try_unpack_all(&packed, &["!kitfile"]).unwrap().warnings, [""; 0]);
    assert_eq!(files(&tree(&project.path("out"))), ["deep/far/d/x"]);
    std::fs::remove_dir_all(project.path("out")).unwrap();
    let without = project.try_unpack(&packed, &["!kitfile"], &UnpackOptions::default()).unwrap();
    assert!(
        without.warnings[0].starts_with("dataset `deep/far` is kept at base@sha256:"),
        "{without:?}"
    );
}

#[test]
fn a_dataset_on_s3_is_named_and_not_fetched() {
    let project = Project::with(&["a"]);
    let text = "datasets:\n  - path: data\n    remotePath: s3://bucket/key\n    remoteHash: x\n";
    let packed = project.pack(text);
    let error = project.try_unpack_all(&packed, &[]).unwrap_err();
    assert!(
        chain(&error).starts_with("dataset `data` is kept at s3://bucket/key: "),
        "{}",
        chain(&error)
    );
    assert!(project.try_unpack_all(&packed, &["!datasets"]).is_ok());
}

//! ModelKits that the real `kit` made (`testdata/kitops/make.sh`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use modelkit::{Family, Format, Likeness, ModelKit, PackOptions, Rebuilt, UnpackOptions};
use registry::Layout;
use tempfile::TempDir;

use crate::project::{self, files, quiet, selection, tree};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kitops")
}

/// kit's layout, in a folder of our own.
fn layout() -> (TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden().join("layout"), &folder.path().join("layout"));
    let layout = Layout::init(&folder.path().join("layout")).unwrap();
    (folder, layout)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &target);
        } else {
            fs::copy(item.path(), target).unwrap();
        }
    }
}

fn kit(layout: &Layout, tag: &str) -> ModelKit {
    let reference = format!("golden:{tag}").parse().unwrap();
    ModelKit::read(layout, &layout.resolve(&reference).unwrap()).unwrap()
}

fn unpack(
    folder: &TempDir,
    layout: &Layout,
    tag: &str,
    filters: &[&str],
) -> BTreeMap<String, Vec<u8>> {
    let into = folder.path().join(format!("{tag}{}", filters.concat()));
    let (kit, options) = (kit(layout, tag), UnpackOptions::default());
    project::unpack(kit, layout, selection(filters), &into, &options).unwrap();
    tree(&into)
}

const ALL: [&str; 7] = [
    "code/deep/ünïcode.py",
    "code/run.sh",
    "data/train.csv",
    "docs/README.md",
    "model/config.json",
    "model/weights.safetensors",
    "prompts/system.prompt.md",
];

#[test]
fn every_form_that_kit_packs_is_unpacked_to_the_same_files() {
    let (folder, layout) = layout();
    let original = tree(&golden().join("tree"));
    for tag in [
        "tar",
        "server",
        "gzip",
        "gzip-fastest",
        "zstd",
        "raw",
        "raw-zstd",
        "modelpack",
        "modelpack-raw",
    ] {
        let unpacked = unpack(&folder, &layout, tag, &["!kitfile"]);
        let has_server = matches!(tag, "server" | "raw");
        let expected: Vec<_> = ALL.into_iter().chain(has_server.then_some("tool.mcpb")).collect();
        assert_eq!(files(&unpacked), expected, "{tag}");
        for path in expected {
            assert_eq!(unpacked[path], original[path], "{tag}: {path}");
        }
    }
}

#[test]
fn the_model_of_a_child_comes_from_its_parent() {
    let (folder, layout) = layout();
    let unpacked = unpack(&folder, &layout, "child", &[]);
    let (parents, own): (Vec<_>, Vec<_>) =
        files(&unpacked).into_iter().partition(|path| path.starts_with("model/"));
    assert_eq!(parents, ["model/config.json", "model/weights.safetensors"]);
    assert_eq!(own, ["Kitfile", "code/deep/ünïcode.py", "code/run.sh", "docs/README.md"]);
    assert!(unpack(&folder, &layout, "empty", &[]).keys().eq(["Kitfile"]));
}

#[test]
fn a_kitfile_is_written_as_kit_writes_it() {
    let (folder, layout) = layout();
    let text =
        String::from_utf8(unpack(&folder, &layout, "tar", &["kitfile"]).remove("Kitfile").unwrap())
            .unwrap();
    expect_test::expect_file!["../../testdata/kitops/Kitfile"].assert_eq(&text);
}

fn rebuild(layout: &Layout, tag: &str) -> Rebuilt {
    let kit = kit(layout, tag);
    modelkit::rebuild(&kit, kit.kitfile(), &golden().join("tree"), layout, &quiet).unwrap()
}

#[test]
fn the_same_files_give_the_documents_and_layers_that_kit_gives() {
    let (_folder, layout) = layout();
    for tag in ["tar", "empty", "child"] {
        let rebuilt = rebuild(&layout, tag);
        assert!(
            rebuilt.manifest != Likeness::Different && rebuilt.is_proven(),
            "{tag}: {rebuilt:?}"
        );
        assert!(
            rebuilt.layers.iter().all(|layer| layer.blob == Likeness::Identical),
            "{tag}: {rebuilt:?}"
        );
    }
    // kit writes a file's own time and the time of packing into these manifests; their blobs are
    // the same all the same.
    for tag in ["server", "raw", "modelpack", "modelpack-raw"] {
        let rebuilt = rebuild(&layout, tag);
        assert!(
            rebuilt.is_proven()
                && rebuilt.layers.iter().all(|layer| layer.blob == Likeness::Identical),
            "{tag}: {rebuilt:?}"
        );
    }
    // No two compressors give the same bytes, but what is in them is.
    for tag in ["gzip", "gzip-fastest", "zstd", "raw-zstd"] {
        assert!(rebuild(&layout, tag).is_proven(), "{tag}");
    }
}

#[test]
fn a_changed_file_is_not_what_kit_packed() {
    let (folder, layout) = layout();
    let changed = folder.path().join("tree");
    copy(&golden().join("tree"), &changed);
    fs::write(changed.join("data/train.csv"), "text,label\nbad,1\n").unwrap();
    let kit = kit(&layout, "gzip");
    let rebuilt = modelkit::rebuild(&kit, kit.kitfile(), &changed, &layout, &quiet).unwrap();
    assert!(!rebuilt.is_proven());
    let differing: Vec<_> = rebuilt
        .layers
        .iter()
        .filter(|layer| layer.blob == Likeness::Different)
        .map(|layer| &*layer.path)
        .collect();
    assert_eq!(differing, ["data"]);
}

#[test]
fn our_modelpack_of_single_files_has_the_blobs_of_kits() {
    let (_folder, layout) = layout();
    let theirs = kit(&layout, "modelpack-raw");
    let options =
        PackOptions { family: Family::ModelPack, format: Format::Raw, ..Default::default() };
    let ours =
        modelkit::digest(theirs.kitfile(), &golden().join("tree"), &layout, &options, &quiet)
            .unwrap();
    let digests = |kit: &ModelKit| {
        kit.layers().map(|layer| layer.descriptor.digest().clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        ours.layers.iter().map(|layer| layer.descriptor.digest().clone()).collect::<Vec<_>>(),
        digests(&theirs)
    );
}

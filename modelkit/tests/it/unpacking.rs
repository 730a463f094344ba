//! What comes out of a ModelKit, and what happens to what is there already.

use std::os::unix::fs::PermissionsExt;

use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use modelkit::{Compression, Existing, PackOptions, Selection, Sources, UnpackOptions};
use registry::content::Descriptor;

use crate::golden;
use crate::project::{Project, chain, files, tree};

const TEXT: &str = "package:\n  name: p\nmodel:\n  name: m\n  path: ./data\ncode:\n  - path: .\ndatasets:\n  - name: d\n    path: weights.bin\n";

#[test]
fn unpacking_gives_back_what_was_packed() {
    for compression in
        [Compression::None, Compression::Gzip, Compression::GzipFastest, Compression::Zstd]
    {
        let project = golden::project(false);
        let packed =
            project.try_pack(TEXT, &PackOptions { compression, ..Default::default() }).unwrap();
        let mut unpacked = project.unpack(&packed, &[]);
        let kitfile = unpacked.remove("Kitfile").expect("the Kitfile is unpacked");
        assert_eq!(String::from_utf8(kitfile).unwrap(), project.kit(&packed).kitfile().to_yaml());
        assert_eq!(unpacked, tree(&project.context()));
        let mode = |path: &str| {
            fs::metadata(project.path("out").join(path)).unwrap().permissions().mode() & 0o100
        };
        assert_eq!((mode("a/z/run.sh"), mode("a/x")), (0o100, 0));
    }
}

#[test]
fn what_was_unpacked_packs_to_the_same_modelkit() {
    let project = golden::project(false);
    let packed = project.pack(TEXT);
    project.unpack(&packed, &[]);
    let kitfile =
        kitfile::Kitfile::parse(&fs::read_to_string(project.path("out/Kitfile")).unwrap())
            .unwrap()
            .kitfile;
    let out = project.path("out");
    let again = modelkit::pack(
        &kitfile,
        &out,
        &project.layout,
        &PackOptions::default(),
        &crate::project::quiet,
    )
    .unwrap();
    assert_eq!(again.descriptor, packed.descriptor);
}

#[test]
fn filters_choose_layers_and_the_kitfile() {
    for (filters, expected) in [
        (["model"].as_slice(), vec!["data/..c/d", "data/a..b"]),
        (&["datasets:d"], vec!["weights.bin"]),
        (&["datasets:weights.bin"], vec!["weights.bin"]),
        (&["datasets:other"], vec![]),
        (&["kitfile"], vec!["Kitfile"]),
        (
            &["kitfile,datasets", "model:m"],
            vec!["Kitfile", "data/..c/d", "data/a..b", "weights.bin"],
        ),
    ] {
        let project = golden::project(false);
        let unpacked = project.unpack(&project.pack(TEXT), filters);
        assert_eq!(files(&unpacked), expected, "{filters:?}");
    }
}

#[test]
fn files_that_exist_stop_everything_unless_told_otherwise() {
    let project = Project::with(&["m/a", "m/b"]);
    let packed = project.pack("model:\n  path: m\n");
    fs::create_dir_all(project.path("out/m")).unwrap();
    fs::write(project.path("out/m/b"), "old").unwrap();

    let error = project.try_unpack(&packed, &[], &UnpackOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} already exists", project.path("out/m/b").display()));
    assert_eq!(files(&tree(&project.path("out"))), ["m/b"]);

    let keep = UnpackOptions { existing: Existing::Keep, ..Default::default() };
    assert_eq!(project.try_unpack(&packed, &["model"], &keep).unwrap().files, 1);
    assert_eq!(fs::read(project.path("out/m/b")).unwrap(), b"old");

    let replace = UnpackOptions { existing: Existing::Replace, ..Default::default() };
    assert_eq!(project.try_unpack(&packed, &["model"], &replace).unwrap().files, 2);
    assert_eq!(fs::read(project.path("out/m/b")).unwrap(), b"m/b");
}

#[test]
fn the_manifest_is_written_beside_the_kitfile_where_it_is_asked_for() {
    let project = Project::with(&["m/a"]);
    let packed = project.pack("model:\n  path: m\n");
    let options = UnpackOptions { manifest: true, ..Default::default() };
    let filters = ["kitfile,model"];
    assert_eq!(project.try_unpack(&packed, &filters, &options).unwrap().files, 3);
    let out = tree(&project.path("out"));
    assert_eq!(out["modelkit.json"], project.kit(&packed).manifest_bytes());
    // A container that starts again finds what it wrote.
    assert_eq!(project.try_unpack(&packed, &filters, &options).unwrap().files, 0);
    project.file("m/a", b"trained further");
    let other = project.pack("model:\n  path: m\n");
    assert!(project.try_unpack(&other, &filters, &options).is_err());
    assert_eq!(tree(&project.path("out")), out);
}

#[test]
fn what_was_unpacked_may_be_unpacked_again() {
    let project = Project::with(&["m/a", "m/b", ".git/hooks/x"]);
    let packed = project.pack("model:\n  path: m\ncode:\n  - path: .\n");
    let options = UnpackOptions::default();
    assert_eq!(project.try_unpack(&packed, &[], &options).unwrap().files, 4);
    assert_eq!(project.try_unpack(&packed, &[], &options).unwrap().files, 0);
    let mode = |mode| fs::set_permissions(project.path("out/m/a"), PermissionsExt::from_mode(mode));
    mode(0o755).unwrap();
    assert!(project.try_unpack(&packed, &[], &options).is_err());
    mode(0o644).unwrap();
    fs::remove_file(project.path("out/m/a")).unwrap();
    assert_eq!(project.try_unpack(&packed, &[], &options).unwrap().files, 1);
}

#[test]
fn the_same_kitfile_may_exist_and_another_may_not() {
    let project = Project::with(&["a"]);
    let packed = project.pack("code:\n  - path: a\n");
    project.unpack(&packed, &["kitfile"]);
    project.try_unpack(&packed, &["kitfile"], &UnpackOptions::default()).unwrap();
    fs::write(project.path("out/Kitfile"), "another").unwrap();
    for options in
        [UnpackOptions::default(), UnpackOptions { existing: Existing::Keep, ..Default::default() }]
    {
        let error = project.try_unpack(&packed, &[], &options).unwrap_err();
        let said = match options.existing {
            Existing::Keep => "Kitfile is there, and says something else than the ModelKit's own",
            _ => "Kitfile already exists",
        };
        assert!(error.to_string().ends_with(said), "{error}");
        assert_eq!(files(&tree(&project.path("out"))), ["Kitfile"]);
    }
    project
        .try_unpack(
            &packed,
            &[],
            &UnpackOptions { existing: Existing::Replace, ..Default::default() },
        )
        .unwrap();
    assert_ne!(fs::read(project.path("out/Kitfile")).unwrap(), b"another");
}

#[test]
fn links_in_the_target_are_not_followed_cve_2025_45582() {
    let project = Project::with(&["m/a"]);
    let packed = project.pack("model:\n  path: m\n");
    fs::create_dir_all(project.path("out")).unwrap();
    fs::create_dir_all(project.path("elsewhere")).unwrap();
    symlink(project.path("elsewhere"), project.path("out/m")).unwrap();
    for existing in [Existing::Refuse, Existing::Replace] {
        let options = UnpackOptions { existing, ..Default::default() };
        let error = project.try_unpack(&packed, &["model"], &options).unwrap_err();
        assert!(error.to_string().ends_with("out/m is a symbolic link, not a folder"), "{error}");
    }
    assert!(tree(&project.path("elsewhere")).is_empty());

    fs::remove_file(project.path("out/m")).unwrap();
    fs::create_dir(project.path("out/m")).unwrap();
    fs::write(project.path("elsewhere/file"), "kept").unwrap();
    symlink(project.path("elsewhere/file"), project.path("out/m/a")).unwrap();
    let options = UnpackOptions { existing: Existing::Replace, ..Default::default() };
    let error = project.try_unpack(&packed, &["model"], &options).unwrap_err();
    assert!(error.to_string().ends_with("out/m/a is a symbolic link, not a file"), "{error}");
    assert_eq!(fs::read(project.path("elsewhere/file")).unwrap(), b"kept");
}

#[test]
fn a_damaged_layer_is_named_and_nothing_is_unpacked() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let project = golden::project(false);
        let packed =
            project.try_pack(TEXT, &PackOptions { compression, ..Default::default() }).unwrap();
        let blob = &packed.layers[1].descriptor;
        let size = blob.size() as usize;
        for at in [0, 200, size / 2, size - 1] {
            damage(&project, blob, |bytes| bytes[at] ^= 1);
            let error = project.try_unpack(&packed, &[], &UnpackOptions::default()).unwrap_err();
            let text = chain(&error);
            assert!(
                text.starts_with(&format!(
                    "cannot unpack layer {}: the digest is sha256:",
                    blob.digest()
                )),
                "{text}"
            );
            assert!(!project.path("out").exists());
            damage(&project, blob, |bytes| bytes[at] ^= 1);
        }
        project.try_unpack(&packed, &[], &UnpackOptions::default()).unwrap();
    }
}

#[test]
fn a_layer_of_another_size_is_refused() {
    let project = golden::project(false);
    let packed = project.pack(TEXT);
    damage(&project, &packed.layers[0].descriptor, |bytes| bytes.push(0));
    assert!(project.try_unpack(&packed, &[], &UnpackOptions::default()).is_err());
    assert!(!project.path("out").exists());
}

#[test]
fn a_listener_that_breaks_stops_unpacking_and_leaves_nothing() {
    let project = Project::new();
    project.file("a", &vec![1; 8 << 20]);
    let packed = project.pack("code:\n  - path: a\n");
    let stop = &|_| std::ops::ControlFlow::Break(());
    let sources =
        Sources::local(project.kit(&packed), &project.layout, Selection::default()).unwrap();
    let options = UnpackOptions::default();
    let error = modelkit::unpack(&sources, &project.path("out"), &options, stop).unwrap_err();
    assert_eq!(error.to_string(), "stopped on request");
    assert!(!project.path("out").exists());
}

#[test]
fn raw_layers_of_equal_content_are_both_unpacked() {
    let project = Project::new();
    project.file("x/one", b"same");
    let script = project.file("two", b"same");
    fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
    let options = PackOptions { format: modelkit::Format::Raw, ..Default::default() };
    let packed = project.try_pack("code:\n  - path: x/one\n  - path: two\n", &options).unwrap();
    assert_eq!(files(&project.unpack(&packed, &["code"])), ["two", "x/one"]);
    assert_eq!(fs::metadata(project.path("out/two")).unwrap().permissions().mode() & 0o100, 0o100);
}

#[test]
fn datasets_that_are_kept_elsewhere_are_named() {
    let project = Project::with(&["a"]);
    let text = "code:\n  - path: a\ndatasets:\n  - name: big\n    path: data\n    remotePath: s3://bucket/key\n    remoteHash: x\n";
    let unpacked = project.try_unpack(&project.pack(text), &[], &UnpackOptions::default()).unwrap();
    assert_eq!(
        unpacked.warnings,
        ["dataset `data` is kept at s3://bucket/key and is not unpacked"]
    );
}

fn damage(project: &Project, blob: &Descriptor, change: impl FnOnce(&mut Vec<u8>)) {
    let path = project.layout.blob_path(blob.digest()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn several_folders_that_are_missing_come_at_once_and_go_with_a_failure() {
    let project = Project::with(&["m/a"]);
    let packed = project.pack("model:\n  path: m\n");
    let sources =
        || Sources::local(project.kit(&packed), &project.layout, Selection::default()).unwrap();
    let into = project.path("x/y/z");
    let options = UnpackOptions::default();
    let blob = &packed.layers[0].descriptor;
    damage(&project, blob, |bytes| bytes[600] ^= 1);
    modelkit::unpack(&sources(), &into, &options, &crate::project::quiet).unwrap_err();
    assert!(!project.path("x").exists());
    damage(&project, blob, |bytes| bytes[600] ^= 1);
    modelkit::unpack(&sources(), &into, &options, &crate::project::quiet).unwrap();
    assert_eq!(files(&tree(&project.path("x"))), ["y/z/Kitfile", "y/z/m/a"]);
    let left = |path: &str| fs::read_dir(project.path(path)).unwrap().count();
    assert_eq!((left("x"), left("x/y")), (1, 1));
}

#[test]
fn layers_that_have_no_room_are_told_before_anything_is_written() {
    let project = Project::new();
    let mut huge = Descriptor::new(
        "application/vnd.kitops.modelkit.code.v1.tar".into(),
        1 << 60,
        registry::content::digest(b"huge"),
    );
    huge.set_annotations(None);
    let config = serde_json::json!({
        "manifestVersion": "1.0.0", "package": {},
        "code": [{"path": "a", "digest": huge.digest()}],
    });
    let config = registry::content::encode(&config);
    let config_type = "application/vnd.kitops.modelkit.config.v1+json";
    let manifest = registry::content::encode(&serde_json::json!({
        "schemaVersion": 2,
        "config": registry::content::descriptor(config_type, &config),
        "layers": [huge],
    }));
    let descriptor =
        registry::content::descriptor(registry::content::MediaType::ImageManifest, &manifest);
    let kit = modelkit::ModelKit::parse(descriptor, manifest, &config).unwrap();
    let sources = Sources::local(kit, &project.layout, Selection::default()).unwrap();
    let options = UnpackOptions::default();
    let into = project.path("out");
    let error = modelkit::unpack(&sources, &into, &options, &crate::project::quiet).unwrap_err();
    assert!(matches!(error, modelkit::Error::NoRoom { .. }), "{error}");
    assert!(!into.exists());
}

#[test]
fn filters_that_mean_nothing_are_named() {
    let project = Project::with(&["m", "d1", "d2"]);
    let text = "model:\n  path: m\ndatasets:\n  - name: train\n    path: d1\n  - path: ./d2\n";
    let packed = project.pack(text);
    let options = UnpackOptions { existing: Existing::Replace, ..Default::default() };
    for (filters, expected) in [
        (
            ["datasets:trian"].as_slice(),
            vec!["filter `datasets:trian`: nothing is called `trian`; there is train, ./d2"],
        ),
        (
            &["datasets:train,d2"],
            vec!["filter `datasets:train,d2`: nothing is called `d2`; there is train, ./d2"],
        ),
        (&["docs", "model"], vec!["filter `docs`: there is no docs"]),
        (&["!model:*.bin"], vec!["filter `!model:*.bin`: nothing is called `*.bin`; there is m"]),
        (&["model,datasets:train", "kitfile", "!datasets:./d2"], vec![]),
        (&[], vec![]),
    ] {
        assert_eq!(project.try_unpack(&packed, filters, &options).unwrap().warnings, expected);
    }
}

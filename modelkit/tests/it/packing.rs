//! Which files get into which layer, and what the manifest says of them.

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use modelkit::archive::Content;
use modelkit::{Compression, Event, Format, PackOptions, ReadyLayer, plan};
use registry::content;

use crate::golden;
use crate::project::{Project, chain, kitfile, quiet};

/// The plan of a project as text: a line for each layer, with all that is in its archive.
fn layers(project: &Project, text: &str) -> Vec<String> {
    let plan =
        plan(&kitfile(text), &project.context(), &project.layout, &PackOptions::default()).unwrap();
    let name = |file: &modelkit::archive::Entry| {
        let slash = if file.content == Content::Folder { "/" } else { "" };
        format!("{}{slash}", file.path)
    };
    let line = |layer: &modelkit::LayerPlan| {
        format!(
            "{} {}: {}",
            layer.section,
            layer.path,
            layer.files.iter().map(name).collect::<Vec<_>>().join(" ")
        )
    };
    plan.layers.iter().map(line).collect()
}

#[test]
fn a_layer_begins_with_the_folders_that_lead_to_it() {
    let project = Project::with(&["a/b/model/w.bin", "a/b/other", "a/x", "top"]);
    assert_eq!(
        layers(&project, "model:\n  path: ./a/b/model/\n"),
        ["model a/b/model: a/ a/b/ a/b/model/ a/b/model/w.bin"]
    );
    assert_eq!(
        layers(&project, "model:\n  path: a/b/other\n"),
        ["model a/b/other: a/ a/b/ a/b/other"]
    );
}

#[test]
fn a_file_goes_into_the_layer_with_the_most_specific_path() {
    let project =
        Project::with(&["m/w.bin", "m/sub/d.json", "m/sub/deep/e", "m-v2/x", "README.md"]);
    let text = "model:\n  path: m\n  parts:\n    - path: m/sub/deep\ndatasets:\n  - path: m/sub\ncode:\n  - path: .\n";
    assert_eq!(
        layers(&project, text),
        [
            "model m: m/ m/w.bin",
            "model.parts m/sub/deep: m/ m/sub/ m/sub/deep/ m/sub/deep/e",
            "code .: README.md m-v2/ m-v2/x",
            "datasets m/sub: m/ m/sub/ m/sub/d.json",
        ]
    );
}

#[test]
fn ignored_files_and_kitfiles_are_left_out() {
    let project = Project::with(&["Kitfile", "d/a.tmp", "d/b", "d/keep.tmp", "e/Kitfile"]);
    project.file(".kitignore", b"**/*.tmp\n!d/keep.tmp\n");
    assert_eq!(
        layers(&project, "code:\n  - path: .\n"),
        ["code .: d/ d/b d/keep.tmp e/ e/Kitfile"]
    );
}

#[test]
fn an_ignored_layer_is_empty_and_says_so() {
    let project = Project::with(&["d/a", "e"]);
    project.file(".kitignore", b"d\n");
    let packed = project.pack("code:\n  - path: d\n");
    assert_eq!(packed.warnings, ["code[0]: `d` is ignored by .kitignore"]);
    assert_eq!(packed.layers[0].n_files, 0);
}

#[test]
fn a_missing_path_is_named_as_the_kitfile_has_it() {
    let project = Project::with(&["a"]);
    let error = project
        .try_pack("code:\n  - path: a\n  - path: ./b/c\n", &PackOptions::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("code[1].path: `./b/c` is not in {}", project.context().display())
    );
    assert!(project.layout.manifests().unwrap().is_empty());
}

#[test]
fn a_kitfile_that_is_not_valid_is_not_packed() {
    let project = Project::with(&["a"]);
    let mut wrong = kitfile("code:\n  - path: a\n");
    wrong.code.push(wrong.code[0].clone());
    let error = modelkit::pack(
        &wrong,
        &project.context(),
        &project.layout,
        &PackOptions::default(),
        &quiet,
    )
    .unwrap_err();
    assert!(chain(&error).starts_with("the Kitfile is not valid: "), "{}", chain(&error));
}

#[test]
fn links_and_special_files_are_left_out_and_named() {
    let project = Project::with(&["m/w.bin"]);
    project.link("m/link", "w.bin");
    project.link("m/loop", ".");
    rustix::fs::mkfifoat(rustix::fs::CWD, project.context().join("m/fifo"), rustix::fs::Mode::RUSR)
        .unwrap();
    let packed = project.pack("model:\n  path: m\n");
    assert_eq!(
        packed.warnings,
        [
            "m/fifo is neither a file nor a folder and is left out",
            "m/link is a symbolic link and is left out",
            "m/loop is a symbolic link and is left out",
        ]
    );
    assert_eq!(packed.layers[0].n_files, 1);
}

#[test]
fn a_layer_path_that_is_or_crosses_a_link_is_an_error() {
    let project = Project::with(&["m/w.bin"]);
    project.link("l", "m");
    for path in ["l", "l/w.bin"] {
        let error = project
            .try_pack(&format!("model:\n  path: {path}\n"), &PackOptions::default())
            .unwrap_err();
        let link = project.context().join("l");
        assert_eq!(
            error.to_string(),
            format!("model.path: `{path}` leads through the symbolic link {}", link.display())
        );
    }
}

/// A snapshot in the cache of Hugging Face's hub: links to files that lie beside it.
fn snapshot() -> Project {
    let project = Project::with(&["blobs/abc", "blobs/def", "snapshots/1/README.md"]);
    project.link("snapshots/1/model.safetensors", "../../blobs/abc");
    fs::create_dir(project.context().join("snapshots/1/sub")).unwrap();
    project.link("snapshots/1/sub/config.json", "../../../blobs/def");
    project.link("snapshots/1/around", ".");
    project.link("snapshots/1/broken", "nowhere");
    fs::write(project.path("outside"), "secret").unwrap();
    project.link("snapshots/1/passwd", "../../../outside");
    project
}

#[test]
fn links_are_followed_to_what_lies_below_a_named_folder() {
    let project = snapshot();
    let options = PackOptions { follow: Some(project.context()), ..Default::default() };
    let plan = |path: &str| {
        let text = kitfile(&format!("model:\n  path: {path}\n"));
        let context = project.context().join("snapshots/1");
        modelkit::pack(&text, &context, &project.layout, &options, &quiet)
    };
    let packed = plan(".").unwrap();
    let out = project.unpack(&packed, &["model"]);
    assert_eq!(crate::project::files(&out), ["README.md", "model.safetensors", "sub/config.json"]);
    assert_eq!(out["model.safetensors"], b"blobs/abc");
    let context = fs::canonicalize(project.context()).unwrap();
    let left_out = |name: &str| {
        let root = context.display();
        format!("{name} is a symbolic link that does not end in {root} and is left out")
    };
    assert_eq!(packed.warnings, ["around", "broken", "passwd"].map(left_out));
    let alone = plan("model.safetensors").unwrap();
    assert_eq!(alone.layers[0].n_files, 1);
    // A file instead of the link is the same ModelKit.
    let copy = Project::with(&["model.safetensors"]);
    copy.file("model.safetensors", b"blobs/abc");
    assert_eq!(copy.pack("model:\n  path: model.safetensors\n").descriptor, alone.descriptor);
    let error = plan("passwd").unwrap_err();
    assert!(error.to_string().contains("leads through the symbolic link"), "{error}");
}

#[test]
fn an_entry_without_any_file_is_an_error() {
    let project = snapshot();
    fs::create_dir(project.context().join("empty")).unwrap();
    project.link("empty/link", "../blobs/abc");
    fs::create_dir(project.context().join("void")).unwrap();
    let error =
        |text: &str| project.try_pack(text, &PackOptions::default()).unwrap_err().to_string();
    assert_eq!(
        error("model:\n  path: empty\n"),
        "model.path: there are no files in `empty`, only what is no file: empty/link"
    );
    assert_eq!(error("code:\n  - path: void\n"), "code[0].path: there are no files in `void`");
    // All that is there belongs to another entry.
    let packed = project
        .pack("code:\n  - path: blobs\ndatasets:\n  - path: blobs/abc\n  - path: blobs/def\n");
    assert_eq!(packed.warnings, ["code[0]: there are no files in `blobs`"]);
    // A Kitfile is no content.
    let project = Project::with(&["Kitfile"]);
    let error = project.try_pack("model:\n  path: .\n", &PackOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "model.path: there are no files in `.`");
}

#[test]
fn what_a_command_of_ours_left_is_no_content() {
    let project = Project::with(&["a", "d/b", ".kit-rs-staging-x/0/m", "d/.kit-rs-other"]);
    let packed = project.pack("code:\n  - path: .\n");
    assert_eq!(packed.layers[0].n_files, 2);
    assert_eq!(packed.warnings.len(), 2);
    // Files that are half placed cannot be told from others.
    project.file(".kit-rs-staging-x/journal", b"{}");
    let error = project.try_pack("code:\n  - path: .\n", &PackOptions::default()).unwrap_err();
    assert!(matches!(&error, modelkit::Error::HalfPlaced { .. }), "{error}");
}

#[test]
fn names_that_unpacking_refuses_are_not_packed() {
    for name in [r"a\b", "a\nb"] {
        let project = Project::with(&[name]);
        let packed = project.try_pack("code:\n  - path: .\n", &PackOptions::default());
        assert_eq!(packed.is_err(), name.contains('\\'), "{name:?}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_an_error() {
    let project = Project::with(&["a", "b"]);
    let context = project.context();
    let touch = |event: Event| {
        if matches!(event, Event::LayerStarted { .. }) {
            fs::write(context.join("b"), "longer than it was").unwrap();
        }
        ControlFlow::Continue(())
    };
    // Layer `a` is large enough that `b` is not reached before the listener was heard.
    project.file("a", &vec![1; 64 << 20]);
    let kitfile = kitfile("code:\n  - path: .\n");
    let error =
        modelkit::pack(&kitfile, &context, &project.layout, &PackOptions::default(), &touch)
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} changed while it was packed", context.join("b").display())
    );
    assert!(project.layout.manifests().unwrap().is_empty());
}

#[test]
fn a_listener_that_breaks_leaves_nothing_half_done() {
    let project = Project::with(&["b"]);
    project.file("a", &vec![1; 8 << 20]);
    let kitfile = kitfile("code:\n  - path: .\n");
    let stop = |_: Event| ControlFlow::Break(());
    let error = modelkit::pack(
        &kitfile,
        &project.context(),
        &project.layout,
        &PackOptions::default(),
        &stop,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "stopped on request");
    assert!(project.layout.manifests().unwrap().is_empty());
    assert_eq!(fs::read_dir(project.layout.root().join("ingest")).unwrap().count(), 0);
}

#[test]
fn the_same_files_give_the_same_modelkit_whatever_their_order_times_and_modes() {
    let text = "model:\n  path: data\ncode:\n  - path: .\nprompts:\n  - path: a.txt\n";
    let first = golden::project(false).pack(text);
    let other = golden::project(true);
    for path in ["weights.bin", "a.txt"] {
        let file = fs::File::options().write(true).open(other.context().join(path)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        file.file().set_modified(time).unwrap();
        fs::set_permissions(other.context().join(path), PermissionsExt::from_mode(0o666)).unwrap();
    }
    fs::set_permissions(other.context().join("a"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(first.descriptor, other.pack(text).descriptor);
}

#[test]
fn compressed_layers_are_the_same_each_time_and_have_the_same_diff_id() {
    let project = golden::project(false);
    project.file(
        "large",
        &(0..4_000_000u32).map(|i| (i / 1000).wrapping_mul(i) as u8).collect::<Vec<_>>(),
    );
    let plain = project.pack("code:\n  - path: .\n").layers[0].diff_id.clone();
    for compression in [Compression::Gzip, Compression::GzipFastest, Compression::Zstd] {
        let options = PackOptions { compression, ..Default::default() };
        let packed = [(); 2].map(|()| project.try_pack("code:\n  - path: .\n", &options).unwrap());
        assert_eq!(packed[0], packed[1]);
        assert_eq!(packed[0].layers[0].diff_id, plain);
        assert_ne!(*packed[0].layers[0].descriptor.digest(), plain);
    }
}

#[test]
fn the_manifest_is_one_of_kitops() {
    let project = Project::with(&["model", "prompt.md"]);
    let options = PackOptions { created: Some(1_700_000_000), ..Default::default() };
    let packed = project
        .try_pack("model:\n  path: ./model\nprompts:\n  - path: prompt.md\n", &options)
        .unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(project.kit(&packed).manifest_bytes()).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["artifactType"], "application/vnd.kitops.modelkit.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.kitops.modelkit.config.v1+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.kitops.modelkit.model.v1.tar");
    assert_eq!(
        manifest["layers"][0]["annotations"],
        serde_json::json!({"org.cncf.model.filepath": "model"})
    );
    assert_eq!(manifest["layers"][1]["mediaType"], "application/vnd.kitops.modelkit.code.v1.tar");
    assert_eq!(manifest["layers"][1]["annotations"]["ml.kitops.modelkit.layer-subtype"], "prompt");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    let kit = project.kit(&packed);
    let model = kit.kitfile().model.as_ref().unwrap();
    assert_eq!(model.digest.as_deref(), manifest["layers"][0]["digest"].as_str());
}

#[test]
fn a_raw_layer_is_the_file_itself() {
    let project = Project::with(&["m/w.bin"]);
    let options = PackOptions { format: Format::Raw, ..Default::default() };
    let packed = project.try_pack("model:\n  path: m/w.bin\n", &options).unwrap();
    assert_eq!(*packed.layers[0].descriptor.digest(), registry::content::digest(b"m/w.bin"));
    let error = project.try_pack("model:\n  path: m\n", &options).unwrap_err();
    assert_eq!(error.to_string(), "model.path: `m` is not a file, as a raw layer must be");
}

#[test]
fn an_mcp_bundle_must_be_a_zip_archive_with_a_manifest() {
    let project = Project::new();
    let text = "mcpServers:\n  - name: s\n    path: s.mcpb\n";
    for (content, expected) in [
        (b"PK".to_vec(), Some("it is not a ZIP archive")),
        (zip("other.json"), Some("it has no manifest.json at its root")),
        (zip("sub/manifest.json"), Some("it has no manifest.json at its root")),
        (zip("manifest.json"), None),
    ] {
        project.file("s.mcpb", &content);
        let packed = project
            .try_pack(text, &PackOptions { compression: Compression::Gzip, ..Default::default() });
        match expected {
            Some(problem) => assert!(packed.unwrap_err().to_string().ends_with(problem)),
            None => {
                let layer = packed.unwrap().layers.remove(0).descriptor;
                assert_eq!(*layer.digest(), registry::content::digest(&content));
                assert_eq!(
                    layer.media_type().to_string(),
                    "application/vnd.kitops.modelkit.mcpb.v1.raw"
                );
            }
        }
    }
}

/// A ZIP archive with one empty file of this name.
fn zip(name: &str) -> Vec<u8> {
    let length = (name.len() as u16).to_le_bytes();
    let local = [b"PK\x03\x04".as_slice(), &[0; 22], &length, &[0; 2], name.as_bytes()].concat();
    let central = [b"PK\x01\x02".as_slice(), &[0; 24], &length, &[0; 16], name.as_bytes()].concat();
    let sizes = [central.len() as u32, local.len() as u32].map(u32::to_le_bytes).concat();
    let end = [b"PK\x05\x06".as_slice(), &[0, 0, 0, 0, 1, 0, 1, 0], &sizes, &[0; 2]].concat();
    [local, central, end].concat()
}

#[test]
fn a_layer_that_is_ready_is_taken_and_its_file_not_read() {
    let text = "model:\n  path: a/w.bin\ncode:\n  - path: b\n";
    let project = Project::with(&["a/w.bin", "b/x"]);
    let expected = project.try_pack(text, &PackOptions::default()).unwrap().descriptor;

    let other = Project::with(&["b/x"]);
    fs::File::create(other.file("a/w.bin", b"")).unwrap().set_len("a/w.bin".len() as u64).unwrap();
    let planned =
        plan(&kitfile(text), &other.context(), &other.layout, &PackOptions::default()).unwrap();
    let layer = &planned.layers[0];
    let (before, after) = modelkit::archive::around(&layer.files).unwrap().unwrap();
    let mut blob = other.layout.writer().unwrap();
    blob.write_all(&[&before, &b"a/w.bin"[..], &after].concat()).unwrap();
    let (digest, size) = blob.commit(None).unwrap();
    let ready = ReadyLayer { path: layer.path.clone(), digest, size };
    let packed = other
        .try_pack(text, &PackOptions { ready: vec![ready.clone()], ..PackOptions::default() })
        .unwrap();
    assert_eq!(packed.descriptor, expected);
    assert!(packed.layers[0].is_reused && !packed.layers[1].is_reused);

    // What does not fit is refused, and never replaced by what is in the folder.
    for wrong in [
        ReadyLayer { size: size + 512, ..ready.clone() },
        ReadyLayer { digest: content::digest(b"not there"), ..ready.clone() },
        ReadyLayer { path: "b".parse().unwrap(), ..ready.clone() },
        ReadyLayer { path: "c".parse().unwrap(), ..ready },
    ] {
        let error = other
            .try_pack(text, &PackOptions { ready: vec![wrong], ..PackOptions::default() })
            .unwrap_err();
        assert!(matches!(error, modelkit::Error::NotReady { .. }), "{error}");
    }
}

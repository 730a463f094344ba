//! Images: what is in them, and how they unpack.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;
use modelkit::image::{self, FaceOptions, ImageOptions, ServerOptions};
use modelkit::{Compression, Format, PackOptions};
use registry::content::{self, Descriptor, MediaType};
use serde_json::{Value, json};

use crate::project::{Project, chain, files, tree};

const TEXT: &str = "package:\n  name: p\n  version: 1.2.3\n  authors: [a, b]\nmodel:\n  path: model\n  parts:\n    - path: tok.json\ndatasets:\n  - path: data\ncode:\n  - path: code\n";

fn project() -> (Project, PathBuf) {
    let project = Project::with(&["model/w.bin", "tok.json", "data/d", "code/c"]);
    let binary = project.path("binary");
    fs::write(&binary, "the binary").unwrap();
    (project, binary)
}

fn options(binary: &std::path::Path) -> ImageOptions {
    let reference = Some("localhost:5000/demo/p:1".to_owned());
    ImageOptions { binary: Some(binary.to_owned()), reference, ..Default::default() }
}

fn document(project: &Project, descriptor: &Descriptor) -> Value {
    serde_json::from_slice(&project.layout.read(descriptor).unwrap()).unwrap()
}

#[test]
fn an_image_reuses_the_blobs_of_the_model() {
    for (compression, suffix) in
        [(Compression::None, ""), (Compression::Gzip, "+gzip"), (Compression::Zstd, "+zstd")]
    {
        let (project, binary) = project();
        let packed =
            project.try_pack(TEXT, &PackOptions { compression, ..Default::default() }).unwrap();
        let image =
            image::build(&project.kit(&packed), &project.layout, &options(&binary)).unwrap();
        let manifest = document(&project, &image);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 4);
        for (layer, packed) in layers[2..].iter().zip(&packed.layers[..2]) {
            assert_eq!(layer["digest"], packed.descriptor.digest().to_string());
            assert_eq!(
                layer["mediaType"],
                format!("application/vnd.oci.image.layer.v1.tar{suffix}")
            );
        }
    }
}

#[test]
fn the_config_says_how_to_serve() {
    let (project, binary) = project();
    let packed = project.pack(TEXT);
    let image = image::build(&project.kit(&packed), &project.layout, &options(&binary)).unwrap();
    let manifest = document(&project, &image);
    let config: Descriptor = serde_json::from_value(manifest["config"].clone()).unwrap();
    let config = document(&project, &config);
    assert_eq!(config["os"], "linux");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 4);
    assert_eq!(config["config"]["Entrypoint"], json!(["/kit-rs", "serve", "."]));
    assert_eq!(
        config["config"]["Env"],
        json!(["KIT_RS_HOST=::", "KIT_RS_PORT=8000", "KIT_RS_MODELKIT=localhost:5000/demo/p:1"])
    );
    assert_eq!(config["config"]["ExposedPorts"], json!({"8000/tcp": {}}));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["WorkingDir"], "/");
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(labels["ml.kitops.modelkit.digest"], packed.descriptor.digest().to_string());
}

#[test]
fn an_image_tells_what_it_serves() {
    let (project, binary) = project();
    let packed = project.pack(TEXT);
    let image = image::build(&project.kit(&packed), &project.layout, &options(&binary)).unwrap();
    let manifest = project.layout.read(&image).unwrap();
    let config = project.layout.read(&modelkit::config_descriptor(&manifest).unwrap()).unwrap();
    let runtime = image::Runtime::parse(&manifest, &config).unwrap();
    assert_eq!(runtime.modelkit.as_deref(), Some("localhost:5000/demo/p:1"));
    assert_eq!(runtime.modelkit_digest.as_deref(), Some(packed.descriptor.digest().as_ref()));
    assert_eq!(
        runtime.model_bytes,
        packed.layers[..2].iter().map(|layer| layer.descriptor.size()).sum::<u64>()
    );
}

#[test]
fn an_image_to_be_mounted_is_the_model_and_its_documents() {
    let (project, binary) = project();
    let packed = project.pack(TEXT);
    let kit = project.kit(&packed);
    let options = ImageOptions { binary: None, ..options(&binary) };
    let image = image::build(&kit, &project.layout, &options).unwrap();
    let manifest = project.layout.read(&image).unwrap();
    let config = project.layout.read(&modelkit::config_descriptor(&manifest).unwrap()).unwrap();
    let runtime = image::Runtime::parse(&manifest, &config).unwrap();
    assert!(!runtime.serves);
    assert_eq!(
        runtime.model_bytes,
        packed.layers[..2].iter().map(|layer| layer.descriptor.size()).sum::<u64>()
    );
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
    assert_eq!(config["config"]["Entrypoint"], Value::Null);
    let unpacked = image::unpack(&project.layout, &image, &project.path("mounted")).unwrap();
    assert_eq!(unpacked.entrypoint, [""; 0]);
    let mounted = tree(&project.path("mounted"));
    assert_eq!(files(&mounted), ["Kitfile", "model/w.bin", "modelkit.json", "tok.json"]);
}

#[test]
fn a_mount_face_is_the_same_blobs_as_a_node_mounts_them() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (project, _) = project();
        let packed =
            project.try_pack(TEXT, &PackOptions { compression, ..Default::default() }).unwrap();
        let kit = project.kit(&packed);
        let face = image::mount_face(&kit, &project.layout, &FaceOptions::default()).unwrap();
        let again = image::mount_face(&kit, &project.layout, &FaceOptions::default()).unwrap();
        assert_eq!(face, again);
        let bytes = project.layout.read(&face).unwrap();
        let digest = packed.descriptor.digest().to_string();
        let model: Vec<_> =
            packed.layers[..2].iter().map(|it| it.descriptor.digest().clone()).collect();
        let is_face =
            |bytes: &[u8]| image::is_face_of(bytes, &kit, &model, &project.layout).unwrap();
        assert!(is_face(&bytes));
        // Whoever says so of other layers, of fewer, of more, or of another ModelKit does not mount it.
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut manifest);
            is_face(manifest.to_string().as_bytes())
        };
        assert!(changed(&|_| {}));
        let foreign = format!("sha256:{}", "e".repeat(64));
        for n in 0..3 {
            assert!(!changed(&|it| it["layers"][n]["digest"] = json!(foreign)), "layer {n}");
            assert!(!changed(&|it| drop(it["layers"].as_array_mut().unwrap().remove(n))), "no {n}");
        }
        assert!(!changed(&|it| {
            let mut more = it["layers"][0].clone();
            more["digest"] = json!(foreign);
            it["layers"].as_array_mut().unwrap().push(more);
        }));
        assert!(!changed(&|it| it["subject"]["digest"] = json!(foreign)));
        assert!(!changed(&|it| it["annotations"][image::MOUNT_FACE] = json!(foreign)));
        let manifest = document(&project, &face);
        assert_eq!(manifest["subject"]["digest"], digest);
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        let layers = manifest["layers"].as_array().unwrap();
        for (layer, packed) in layers[1..].iter().zip(&packed.layers[..2]) {
            assert_eq!(layer["digest"], packed.descriptor.digest().to_string());
            let media_type = layer["mediaType"].as_str().unwrap();
            assert!(media_type.starts_with("application/vnd.oci.image.layer.v1.tar"));
        }
        image::unpack(&project.layout, &face, &project.path("mounted")).unwrap();
        let mounted = tree(&project.path("mounted"));
        assert_eq!(files(&mounted), ["Kitfile", "model/w.bin", "modelkit.json", "tok.json"]);
        assert_eq!(mounted["modelkit.json"], kit.manifest_bytes());
    }
}

#[test]
fn a_mount_face_is_for_the_processor_that_is_named() {
    let (project, _) = project();
    let kit = project.kit(&project.pack(TEXT));
    let of = |architecture: &str| {
        let architecture = Some(architecture.to_owned());
        let options = FaceOptions { architecture, ..Default::default() };
        let face = image::mount_face(&kit, &project.layout, &options).unwrap();
        let manifest = document(&project, &face);
        let config: Descriptor = serde_json::from_value(manifest["config"].clone()).unwrap();
        document(&project, &config)["architecture"].clone()
    };
    assert_eq!((of("arm64"), of("amd64")), (json!("arm64"), json!("amd64")));
    let packed = project.layout.read(kit.descriptor()).unwrap();
    assert!(!image::is_face_of(&packed, &kit, &[], &project.layout).unwrap());
}

#[test]
fn the_image_of_the_server_alone_begins_as_every_other_one_and_serves_what_it_is_given() {
    let (project, binary) = project();
    let kit = project.kit(&project.pack(TEXT));
    let baked = image::build(&kit, &project.layout, &options(&binary)).unwrap();
    let server = ServerOptions { binary, port: 8000, created: None };
    let server = image::server(&project.layout, &server).unwrap();
    let (baked, manifest) = (document(&project, &baked), document(&project, &server));
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0], baked["layers"][0]);
    let config: Descriptor = serde_json::from_value(manifest["config"].clone()).unwrap();
    let config = project.layout.read(&config).unwrap();
    let runtime = image::Runtime::parse(&project.layout.read(&server).unwrap(), &config).unwrap();
    assert!(runtime.is_program && runtime.modelkit_digest.is_none());
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["config"]["Entrypoint"], json!(["/kit-rs"]));
    assert_eq!(config["config"]["Cmd"], json!(["serve", "/model"]));
}

#[test]
fn a_modelkit_is_not_taken_for_an_image() {
    let (project, _) = project();
    let packed = project.pack(TEXT);
    let manifest = project.layout.read(&packed.descriptor).unwrap();
    let config = project.layout.read(&modelkit::config_descriptor(&manifest).unwrap()).unwrap();
    let error = image::Runtime::parse(&manifest, &config).unwrap_err().to_string();
    assert!(error.ends_with("is not an image: it is a ModelKit"), "{error}");
}

#[test]
fn an_image_unpacks_to_what_the_server_needs() {
    let (project, binary) = project();
    let packed = project.pack(TEXT);
    let kit = project.kit(&packed);
    let image = image::build(&kit, &project.layout, &options(&binary)).unwrap();
    let config = image::unpack(&project.layout, &image, &project.path("root")).unwrap();
    let root = tree(&project.path("root"));
    assert_eq!(files(&root), ["Kitfile", "kit-rs", "model/w.bin", "modelkit.json", "tok.json"]);
    assert_eq!(root["modelkit.json"], kit.manifest_bytes());
    assert_eq!(content::digest(&root["modelkit.json"]), *packed.descriptor.digest());
    assert_eq!(
        fs::metadata(project.path("root/kit-rs")).unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(config.entrypoint, ["/kit-rs", "serve", "."]);
    assert_eq!(config.env[1], ("KIT_RS_PORT".into(), "8000".into()));
    assert_eq!(
        (config.user.as_str(), config.exposed_ports.as_slice()),
        ("65532:65532", &["8000/tcp".to_owned()][..])
    );
}

#[test]
fn the_same_inputs_give_the_same_image_and_another_model_the_same_first_layer() {
    let (project, binary) = project();
    let kit = project.kit(&project.pack(TEXT));
    let build =
        |kit: &modelkit::ModelKit| image::build(kit, &project.layout, &options(&binary)).unwrap();
    let first = build(&kit);
    fs::set_permissions(&binary, PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(first, build(&kit));
    project.file("model/w.bin", b"trained further");
    let second = build(&project.kit(&project.pack(TEXT)));
    assert_ne!(first, second);
    assert_eq!(document(&project, &first)["layers"][0], document(&project, &second)["layers"][0]);
}

#[test]
fn other_layers_come_in_when_they_are_included() {
    let (project, binary) = project();
    let kit = project.kit(&project.pack(TEXT));
    let options = ImageOptions { include: vec!["code".parse().unwrap()], ..options(&binary) };
    let image = image::build(&kit, &project.layout, &options).unwrap();
    image::unpack(&project.layout, &image, &project.path("root")).unwrap();
    let root = tree(&project.path("root"));
    assert!(root.contains_key("code/c") && !root.contains_key("data/d"));
}

#[test]
fn a_raw_layer_cannot_be_part_of_an_image() {
    let project = Project::with(&["w.bin"]);
    let options = PackOptions { format: Format::Raw, ..Default::default() };
    let packed = project.try_pack("model:\n  path: w.bin\n", &options).unwrap();
    let binary = project.file("binary", b"x");
    let error =
        image::build(&project.kit(&packed), &project.layout, &self::options(&binary)).unwrap_err();
    assert!(
        error.to_string().ends_with("it is a single file, not an archive; pack it with tar layers"),
        "{error}"
    );
}

#[test]
fn a_damaged_layer_of_an_image_is_named_and_nothing_is_unpacked() {
    let (project, binary) = project();
    let packed = project.pack(TEXT);
    let image = image::build(&project.kit(&packed), &project.layout, &options(&binary)).unwrap();
    let digest = packed.layers[0].descriptor.digest();
    let path = project.layout.blob_path(digest).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[1025] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = image::unpack(&project.layout, &image, &project.path("root")).unwrap_err();
    assert!(
        chain(&error).starts_with(&format!("cannot unpack layer {digest}: the digest is sha256:")),
        "{}",
        chain(&error)
    );
    assert!(!project.path("root").exists());
}

/// An image of layers with these files; a name that ends in `/` is a folder.
fn image(project: &Project, layers: &[&[&str]]) -> Descriptor {
    let describe = |names: &&[&str]| {
        let mut builder = tar::Builder::new(Vec::new());
        for name in *names {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(if name.ends_with('/') {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_mode(0o644);
            header.set_size(0);
            builder.append_data(&mut header, name, std::io::empty()).unwrap();
        }
        project.layout.put(MediaType::ImageLayer, &builder.into_inner().unwrap()).unwrap()
    };
    let layers: Vec<Descriptor> = layers.iter().map(describe).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest().to_string()).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = project.layout.put(MediaType::ImageConfig, &content::encode(&config)).unwrap();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    project.layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap()
}

#[test]
fn later_layers_replace_and_take_away_what_earlier_ones_have() {
    let project = Project::new();
    let image = image(
        &project,
        &[
            &[
                "etc/",
                "etc/a",
                "etc/b",
                "var/",
                "var/x",
                "var/y/z",
                "kept",
                "turns-into-folder",
                "turns-into-file/f",
            ],
            &[
                "etc/.wh.a",
                "etc/c",
                "var/.wh..wh..opq",
                "var/new",
                ".wh.missing",
                "turns-into-folder/g",
                "turns-into-file",
                "n/.wh.q",
            ],
            &[".wh.kept", ".wh..."],
        ],
    );
    image::unpack(&project.layout, &image, &project.path("root")).unwrap();
    let root = tree(&project.path("root"));
    assert_eq!(
        files(&root),
        ["etc/b", "etc/c", "turns-into-file", "turns-into-folder/g", "var/new"]
    );
    assert!(project.layout.root().exists());
}

#[test]
fn an_image_whose_config_has_other_layers_is_refused() {
    let project = Project::new();
    let image = image(&project, &[&["a"]]);
    let mut manifest = document(&project, &image);
    manifest["layers"] = json!([]);
    let image =
        project.layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap();
    let error = image::unpack(&project.layout, &image, &project.path("root")).unwrap_err();
    assert!(error.to_string().ends_with("different numbers of layers"), "{error}");
}

#[test]
fn nothing_that_is_there_already_is_replaced() {
    let project = Project::new();
    let image = image(&project, &[&["a", "b"]]);
    fs::create_dir(project.path("root")).unwrap();
    fs::write(project.path("root/b"), "mine").unwrap();
    assert!(image::unpack(&project.layout, &image, &project.path("root")).is_err());
    assert_eq!(files(&tree(&project.path("root"))), ["b"]);
}

/// Whoever runs the image unpacks the layers over one another: the last one wins.
#[test]
fn a_layer_that_would_change_the_image_itself_is_refused() {
    for (path, name, problem) in [
        (".", "kit-rs", "the entry `kit-rs` has the name of a file of the image's own"),
        (
            ".",
            "modelkit.json",
            "the entry `modelkit.json` has the name of a file of the image's own",
        ),
        (".", ".wh.kit-rs", "the entry `.wh.kit-rs` would take a file of the image away"),
        (
            "model",
            "model/.wh.w.bin",
            "the entry `model/.wh.w.bin` would take a file of the image away",
        ),
    ] {
        let project = Project::with(&[name, "model/w.bin"]);
        let binary = project.path("binary");
        fs::write(&binary, "the binary").unwrap();
        let packed = project.pack(&format!("model:\n  path: {path}\n"));
        let kit = project.kit(&packed);
        let error = image::build(&kit, &project.layout, &options(&binary)).unwrap_err();
        assert!(chain(&error).ends_with(problem), "{}", chain(&error));
    }
}

#[test]
fn a_modelkit_is_no_image() {
    let (project, _) = project();
    let packed = project.pack(TEXT);
    let error = image::unpack(&project.layout, &packed.descriptor, &project.path("root"));
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("is not an image: it is a ModelKit"), "{error}");
    assert!(!project.path("root").exists());
}

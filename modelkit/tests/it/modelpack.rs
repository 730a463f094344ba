//! CNCF ModelPacks: what we write, and what others wrote.

use std::collections::HashMap;

use modelkit::{Compression, Family, Format, ModelKit, PackOptions};
use registry::content::{self, MediaType};
use serde_json::{Value, json};

use crate::project::{Project, chain, files, quiet, unpack};

const TEXT: &str = "package:\n  name: demo\n  authors: [me]\n  license: MIT\nmodel:\n  name: m\n  path: model\n  license: Apache-2.0\n  parameters: {num_parameters: 66955010, dtype: F32, architectures: [Bert], model_type: bert}\ncode:\n  - path: code\nprompts:\n  - path: p.prompt.md\n";

fn project() -> Project {
    let project =
        Project::with(&["model/config.json", "code/a.py", "code/sub/b.py", "p.prompt.md"]);
    project.file("model/w-2.safetensors", &[2; 100]);
    project.file("model/w-1.safetensors", &[1; 200]);
    project
}

fn options() -> PackOptions {
    PackOptions { family: Family::ModelPack, format: Format::Raw, ..Default::default() }
}

fn manifest(kit: &ModelKit) -> Value {
    serde_json::from_slice(kit.manifest_bytes()).unwrap()
}

#[test]
fn every_file_is_a_layer_of_its_own_kind() {
    let project = project();
    let kit = project.kit(&project.try_pack(TEXT, &options()).unwrap());
    let manifest = manifest(&kit);
    assert_eq!(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json");
    let layers: Vec<(&str, &str)> = manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let kind = layer["mediaType"]
                .as_str()
                .unwrap()
                .strip_prefix("application/vnd.cncf.model.")
                .unwrap();
            (kind, layer["annotations"]["org.cncf.model.filepath"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        layers,
        [
            ("weight.v1.raw", "model/w-1.safetensors"),
            ("weight.config.v1.raw", "model/config.json"),
            ("weight.v1.raw", "model/w-2.safetensors"),
            ("code.v1.raw", "code/a.py"),
            ("code.v1.raw", "code/sub/b.py"),
            ("code.v1.raw", "p.prompt.md"),
        ]
    );
}

#[test]
fn layers_have_what_each_reader_looks_for() {
    let project = project();
    let kit = project.kit(&project.try_pack(TEXT, &options()).unwrap());
    let annotations = &manifest(&kit)["layers"][1]["annotations"];
    // modctl, RamaLama and Docker Model Runner read the first, CRI-O and oras the second; RamaLama
    // wants all seven fields.
    assert_eq!(annotations["org.cncf.model.filepath"], "model/config.json");
    assert_eq!(annotations["org.opencontainers.image.title"], "model/config.json");
    let metadata: Value =
        serde_json::from_str(annotations["org.cncf.model.file.metadata+json"].as_str().unwrap())
            .unwrap();
    assert_eq!(
        metadata,
        json!({"name": "config.json", "mode": 0o644, "uid": 0, "gid": 0, "size": 17, "mtime": "1970-01-01T00:00:00Z", "typeflag": 0})
    );
}

#[test]
fn the_config_says_what_the_kitfile_says() {
    let project = project();
    let created = PackOptions { created: Some(0), ..options() };
    let kit = project.kit(&project.try_pack(TEXT, &created).unwrap());
    let config: Value =
        serde_json::from_slice(&project.layout.read(kit.manifest().config()).unwrap()).unwrap();
    let diff_ids: Vec<_> =
        kit.manifest().layers().iter().map(|layer| layer.digest().to_string()).collect();
    assert_eq!(
        config,
        json!({
            "descriptor": {"name": "demo", "title": "demo", "authors": ["me"], "licenses": ["Apache-2.0", "MIT"],
                "family": "bert", "createdAt": "1970-01-01T00:00:00Z"},
            "config": {"format": "safetensors", "architecture": "Bert", "paramSize": "67M", "precision": "f32"},
            "modelfs": {"type": "layers", "diffIds": diff_ids},
        })
    );
}

#[test]
fn what_is_unpacked_packs_to_the_same_modelpack() {
    let project = project();
    let packed = project.try_pack(TEXT, &options()).unwrap();
    let unpacked = project.unpack(&packed, &[]);
    assert_eq!(
        files(&unpacked),
        [
            "Kitfile",
            "code/a.py",
            "code/sub/b.py",
            "model/config.json",
            "model/w-1.safetensors",
            "model/w-2.safetensors",
            "p.prompt.md"
        ]
    );
    let kitfile = kitfile::Kitfile::parse(std::str::from_utf8(&unpacked["Kitfile"]).unwrap())
        .unwrap()
        .kitfile;
    let again =
        modelkit::digest(&kitfile, &project.path("out"), &project.layout, &options(), &quiet)
            .unwrap();
    assert_eq!(again.descriptor, packed.descriptor);
}

#[test]
fn tar_layers_are_those_of_kit() {
    let project = project();
    let tar = PackOptions { format: Format::Tar, compression: Compression::Gzip, ..options() };
    let kit = project.kit(&project.try_pack(TEXT, &tar).unwrap());
    assert_eq!(
        manifest(&kit)["layers"][0]["mediaType"],
        "application/vnd.cncf.model.weight.v1.tar+gzip"
    );
    assert_eq!(kit.layers().count(), 3);
    assert_eq!(files(&project.unpack(&project.try_pack(TEXT, &tar).unwrap(), &["model"])).len(), 3);
}

#[test]
fn what_a_modelpack_cannot_hold_is_refused() {
    let project = project();
    let error = project
        .try_pack(TEXT, &PackOptions { compression: Compression::Zstd, ..options() })
        .unwrap_err();
    assert!(error.to_string().contains("cannot be compressed"), "{error}");
    let server = "mcpServers:\n  - name: s\n    path: s.mcpb\n";
    project.file("s.mcpb", b"");
    let error = project.try_pack(server, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mcpServers[0].path: `s.mcpb` is an MCP bundle, which has no place in a ModelPack"
    );
}

/// A ModelPack without a Kitfile: its layers' media types, annotations and contents.
fn foreign(
    project: &Project,
    prefix: &str,
    layers: &[(&str, &str, &str)],
) -> modelkit::Result<ModelKit> {
    let layout = &project.layout;
    let layers: Vec<_> = layers
        .iter()
        .map(|(media_type, key, path)| {
            let mut layer = layout
                .put(
                    format!("application/vnd.{prefix}.model.{media_type}").as_str(),
                    path.as_bytes(),
                )
                .unwrap();
            layer.set_annotations(Some(HashMap::from([((*key).to_owned(), (*path).to_owned())])));
            layer
        })
        .collect();
    let config = json!({"descriptor": {"name": "foreign", "licenses": ["MIT"]}, "config": {"format": "gguf"},
        "modelfs": {"type": "layers", "diffIds": layers.iter().map(|layer| layer.digest().to_string()).collect::<Vec<_>>()}});
    let config = layout
        .put(
            format!("application/vnd.{prefix}.model.config.v1+json").as_str(),
            &content::encode(&config),
        )
        .unwrap();
    let manifest = json!({"schemaVersion": 2, "artifactType": format!("application/vnd.{prefix}.model.manifest.v1+json"), "config": config, "layers": layers});
    let manifest =
        layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap();
    ModelKit::read(layout, &manifest)
}

const FILEPATH: &str = "org.cncf.model.filepath";

#[test]
fn modelpacks_of_other_tools_are_read_under_all_their_names() {
    for (prefix, key, weight) in [
        ("cncf", FILEPATH, "weight.v1.raw"),
        ("cncf", "org.opencontainers.image.title", "weight.v1.raw"),
        ("cncf", FILEPATH, "weight.v1.gguf"),
        ("cnai", "org.cnai.model.filepath", "weight.v1.raw"),
    ] {
        let project = Project::new();
        let layers = [
            (weight, key, "m/a.gguf"),
            ("weight.config.v1.raw", key, "m/c.json"),
            ("doc.v1.raw", key, "README.md"),
        ];
        let kit = foreign(&project, prefix, &layers).unwrap();
        assert!(!kit.has_kitfile());
        assert_eq!(kit.kitfile().package.license, "MIT");
        let model = kit.kitfile().model.as_ref().unwrap();
        assert_eq!(
            (&*model.path, &*model.format, &*model.parts[0].path),
            ("m/a.gguf", "gguf", "m/c.json")
        );
        let out = project.path("out");
        unpack(kit, &project.layout, Default::default(), &out, &Default::default()).unwrap();
        assert_eq!(
            files(&crate::project::tree(&out)),
            ["README.md", "m/a.gguf", "m/c.json"],
            "{prefix} {key} {weight}"
        );
    }
}

#[test]
fn a_layer_that_says_no_path_is_refused() {
    let project = Project::new();
    let error = foreign(&project, "cncf", &[("weight.v1.raw", "other", "a")]).unwrap_err();
    assert!(chain(&error).ends_with("has no path"), "{}", chain(&error));
}

#[test]
fn folders_that_single_files_cannot_hold_are_named() {
    let project = Project::with(&["m/w.safetensors"]);
    fs_err::create_dir_all(project.context().join("m/empty/deeper")).unwrap();
    let options =
        PackOptions { format: Format::Raw, family: Family::ModelPack, ..PackOptions::default() };
    let packed = project.try_pack("model:\n  path: m\n", &options).unwrap();
    assert_eq!(
        packed.warnings,
        ["a ModelPack of single files has no place for folders without files: m/empty/deeper"]
    );
}

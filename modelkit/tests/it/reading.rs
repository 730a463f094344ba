//! ModelKits that others made.

use std::collections::HashMap;

use modelkit::{ModelKit, Selection, UnpackOptions};
use registry::content::{self, Descriptor, MediaType};
use serde_json::{Value, json};

use crate::project::{self, Project, chain, files, tree};

fn archive(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(name.len() as u64);
        builder.append_data(&mut header, name, name.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn layer(project: &Project, media_type: &str, path: Option<&str>, blob: &[u8]) -> Descriptor {
    let mut layer = project.layout.put(media_type, blob).unwrap();
    layer.set_annotations(
        path.map(|path| HashMap::from([("org.cncf.model.filepath".to_owned(), path.to_owned())])),
    );
    layer
}

fn manifest(project: &Project, config_type: &str, config: &Value, mut fields: Value) -> Descriptor {
    let config = project.layout.put(config_type, &content::encode(config)).unwrap();
    fields["schemaVersion"] = json!(2);
    fields["config"] = json!(config);
    project.layout.put_manifest(MediaType::ImageManifest, &content::encode(&fields)).unwrap()
}

fn unpack(project: &Project, kit: &ModelKit) -> Vec<String> {
    let out = project.path("out");
    let options = UnpackOptions::default();
    project::unpack(kit.clone(), &project.layout, Selection::default(), &out, &options).unwrap();
    files(&tree(&out)).into_iter().map(str::to_owned).collect()
}

const KITOPS: &str = "application/vnd.kitops.modelkit.config.v1+json";
const MODELPACK: &str = "application/vnd.cncf.model.config.v1+json";

#[test]
fn a_modelkit_without_layers_reads_even_with_null_for_them() {
    let project = Project::new();
    let config = json!({"manifestVersion": "1.0.0", "package": {}, "futureField": {"x": 1}});
    let descriptor = manifest(&project, KITOPS, &config, json!({"layers": null}));
    let kit = ModelKit::read(&project.layout, &descriptor).unwrap();
    assert_eq!(kit.layers().count(), 0);
    assert_eq!(unpack(&project, &kit), ["Kitfile"]);
}

#[test]
fn documents_that_are_not_those_of_the_digests_are_no_modelkit() {
    let project = Project::with(&["a"]);
    let packed = project.pack("code:\n  - path: a\n");
    let manifest = project.kit(&packed).manifest_bytes().to_vec();
    let config = project.layout.read(project.kit(&packed).manifest().config()).unwrap();
    let parse = |manifest: &[u8], config: &[u8]| {
        ModelKit::parse(packed.descriptor.clone(), manifest.to_vec(), config)
    };
    assert!(parse(&manifest, &config).is_ok());
    let another = [&config[..], b" "].concat();
    let error = parse(&manifest, &another).unwrap_err().to_string();
    assert!(error.contains("is not a ModelKit: its config is sha256:"), "{error}");
    let error = parse(&another, &config).unwrap_err().to_string();
    assert!(error.contains("is not a ModelKit: its manifest is sha256:"), "{error}");
}

#[test]
fn an_old_modelkit_without_digests_is_unpacked_by_order() {
    let project = Project::new();
    let types = ["dataset", "dataset", "model"]
        .map(|kind| format!("application/vnd.kitops.modelkit.{kind}.v1.tar"));
    let layers = [
        layer(&project, &types[0], None, &archive(&["first.csv"])),
        layer(&project, &types[1], None, &archive(&["b/second.csv"])),
        layer(&project, &types[2], None, &archive(&["model/w.bin"])),
    ];
    let config = json!({
        "manifestVersion": "1.0.0", "package": {}, "model": {"path": "./model"},
        "datasets": [{"path": "data/first.csv"}, {"path": "data/b"}],
    });
    let descriptor = manifest(&project, KITOPS, &config, json!({"layers": layers}));
    let kit = ModelKit::read(&project.layout, &descriptor).unwrap();
    assert_eq!(
        unpack(&project, &kit),
        ["Kitfile", "data/b/second.csv", "data/first.csv", "model/w.bin"]
    );
}

#[test]
fn a_modelpack_with_a_kitfile_is_a_modelkit() {
    let project = Project::new();
    let layer = layer(
        &project,
        "application/vnd.cncf.model.weight.v1.tar",
        Some("model"),
        &archive(&["model/w"]),
    );
    let kitfile = json!({"manifestVersion": "1.0.0", "package": {"name": "n"}, "model": {"path": "model", "digest": layer.digest()}});
    let annotations = json!({"ml.kitops.modelkit.kitfile": kitfile.to_string()});
    let fields = json!({"layers": [layer], "annotations": annotations});
    let descriptor = manifest(&project, MODELPACK, &json!({}), fields);
    let kit = ModelKit::read(&project.layout, &descriptor).unwrap();
    assert_eq!(kit.kitfile().package.name, "n");
    assert_eq!(unpack(&project, &kit), ["Kitfile", "model/w"]);
}

#[test]
fn a_foreign_modelpack_gets_a_kitfile_from_its_layers_that_is_not_written() {
    let project = Project::new();
    let name = |kind: &str| format!("application/vnd.cncf.model.{kind}.v1.raw");
    let layers = [
        layer(&project, &name("weight.config"), Some("config.json"), b"{}"),
        layer(&project, &name("weight"), Some("w1.safetensors"), b"1"),
        layer(&project, &name("weight"), Some("sub/w2.safetensors"), b"2"),
        layer(&project, &name("doc"), Some("README.md"), b"3"),
    ];
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest().to_string()).collect();
    let config = json!({
        "descriptor": {"name": "m", "licenses": ["MIT"]}, "config": {"format": "safetensors"},
        "modelfs": {"type": "layers", "diffIds": diff_ids},
    });
    let descriptor = manifest(&project, MODELPACK, &config, json!({"layers": layers}));
    let kit = ModelKit::read(&project.layout, &descriptor).unwrap();
    let paths: Vec<_> =
        kit.layers().map(|layer| format!("{} {}", layer.section, layer.path)).collect();
    assert_eq!(
        paths,
        ["model.parts config.json", "model.parts sub/w2.safetensors", "docs README.md"]
            .map(str::to_owned)
            .into_iter()
            .fold(vec!["model w1.safetensors".to_owned()], |mut all, path| {
                all.push(path);
                all
            })
    );
    assert_eq!(
        unpack(&project, &kit),
        ["README.md", "config.json", "sub/w2.safetensors", "w1.safetensors"]
    );
}

#[test]
fn what_is_no_modelkit_is_refused_with_the_reason() {
    let project = Project::new();
    let model = "application/vnd.kitops.modelkit.model.v1.tar";
    let read = |config_type: &str, config: Value, layers: &[Descriptor]| {
        let descriptor = manifest(&project, config_type, &config, json!({"layers": layers}));
        chain(&ModelKit::read(&project.layout, &descriptor).unwrap_err())
    };
    let with = |model: Value| json!({"manifestVersion": "1.0.0", "package": {}, "model": model});
    let one = layer(&project, model, Some("model"), b"");
    let digest = one.digest().to_string();
    let missing = content::digest(b"missing").to_string();
    let image = "application/vnd.oci.image.config.v1+json";
    for (text, expected) in [
        (
            read(image, json!({}), &[]),
            "is not a ModelKit: its config is of type application/vnd.oci.image.config.v1+json",
        ),
        (read(KITOPS, json!("text"), &[]), "cannot read the Kitfile of sha256:"),
        (read(KITOPS, with(json!({"path": "m", "digest": missing})), &[]), "model has no layer"),
        (
            read(
                KITOPS,
                with(json!({"path": "other", "digest": digest})),
                std::slice::from_ref(&one),
            ),
            "model has the path other, but its layer has \"model\"",
        ),
        (
            read(
                KITOPS,
                with(json!({"path": "model", "digest": digest, "parts": [{"path": "p"}]})),
                std::slice::from_ref(&one),
            ),
            "some of its Kitfile's entries have digests and some have not",
        ),
        (
            read(
                KITOPS,
                with(json!({"path": "x", "digest": digest})),
                &[layer(&project, "text/plain", None, b"")],
            ),
            "model is of type text/plain",
        ),
    ] {
        assert!(text.contains(expected), "{text:?} does not contain {expected:?}");
    }
}

#[test]
fn what_this_version_does_not_know_is_named_and_kept() {
    let project = Project::new();
    let code = "application/vnd.kitops.modelkit.code.v1.tar";
    let known = layer(&project, code, Some("c"), &archive(&["c/x"]));
    let agent = "application/vnd.kitops.modelkit.agent.v1.tar";
    let unknown = layer(&project, agent, Some("agent"), &archive(&["agent/a"]));
    let config = json!({
        "manifestVersion": "1.0.0", "package": {"name": "n", "mood": "fine"},
        "code": [{"path": "c", "digest": known.digest(), "diffId": known.digest(), "seed": 1}],
        "agents": [{"path": "agent", "digest": unknown.digest()}],
    });
    let layers = json!({"layers": [known, unknown]});
    let descriptor = manifest(&project, KITOPS, &config, layers);
    let kit = ModelKit::read(&project.layout, &descriptor).unwrap();
    let digest = kit.digest().clone();
    let mut warnings = kit.left_out();
    assert_eq!(
        warnings.pop().unwrap(),
        format!(
            "{digest} has 1 layer that no entry of its Kitfile names: {} ({agent})",
            unknown.digest()
        )
    );
    let fields = warnings.pop().unwrap();
    let (said, names) = fields.rsplit_once(": ").unwrap();
    assert_eq!(
        said,
        format!("{digest} has 3 fields of its Kitfile that this version does not know")
    );
    let mut names: Vec<_> = names.split(", ").collect();
    names.sort_unstable();
    assert_eq!(names, ["agents", "code[0].seed", "package.mood"]);
    assert_eq!(serde_json::from_slice::<Value>(kit.source()).unwrap(), config);
    let out = project.path("out");
    let (expected, options) = (kit.left_out(), UnpackOptions::default());
    let unpacked =
        project::unpack(kit, &project.layout, Selection::default(), &out, &options).unwrap();
    assert_eq!(unpacked.warnings, expected);
    assert_eq!(files(&tree(&out)), ["Kitfile", "c/x"]);
}

#[test]
fn an_index_says_what_it_lists() {
    let project = Project::with(&["a"]);
    let member = project.pack("code:\n  - path: a\n").descriptor;
    let entry = json!({
        "mediaType": member.media_type(), "digest": member.digest(), "size": member.size(),
        "annotations": {"ml.kitops.modelkit.original-tag": "int8"},
        "modelMetadata": {"quant": "int8", "gpu": false},
    });
    let index = |artifact_type: &str| {
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "artifactType": artifact_type, "manifests": [entry],
        });
        let bytes = content::encode(&index);
        let index = project.layout.put_manifest(MediaType::ImageIndex, &bytes).unwrap();
        ModelKit::read(&project.layout, &index).unwrap_err()
    };
    let error = index("application/vnd.kitops.modelkit.index.v1+json");
    assert!(error.to_string().ends_with(" is an index of 1 ModelKits, not one itself"), "{error}");
    let modelkit::Error::Index { members, .. } = error else { panic!("{error}") };
    assert_eq!((&members[0].digest, members[0].tag.as_deref()), (member.digest(), Some("int8")));
    let labels: Vec<_> = members[0].labels.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(labels, [("gpu", "false"), ("quant", "int8")]);
    let error = index("application/vnd.example.other");
    assert!(error.to_string().contains(" is an index of 1 manifests"), "{error}");
}

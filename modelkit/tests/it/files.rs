//! Files of artifacts in memory.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;

use fs_err as fs;
use modelkit::archive::{self, Content, Entry};
use modelkit::{Compression, Format, ModelKit, PackOptions};
use registry::content::{self, Descriptor, MediaType};
use serde_json::json;

use crate::project::{Project, chain};

const FLUX: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
const FLUX_CONFIG: &str = "application/vnd.cncf.flux.config.v1+json";
const OCI: &str = "application/vnd.oci.image.layer.v1.tar";

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let entry = |(path, text): &(&str, &str)| Entry {
        path: (*path).to_owned(),
        content: Content::Bytes { bytes: text.as_bytes().to_vec(), executable: false },
    };
    let entries: Vec<Entry> = files.iter().map(entry).collect();
    let mut bytes = Vec::new();
    archive::write(&entries, &mut bytes, &|_| ControlFlow::Continue(())).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn artifact(project: &Project, config: &str, layers: &[(&str, &[u8])]) -> Descriptor {
    let config = project.layout.put(config, b"{}").unwrap();
    let put = |(media_type, bytes): &(&str, &[u8])| project.layout.put(*media_type, bytes).unwrap();
    let layers: Vec<Descriptor> = layers.iter().map(put).collect();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    project.layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest)).unwrap()
}

fn read(project: &Project, descriptor: &Descriptor) -> Result<BTreeMap<String, String>, String> {
    let files = modelkit::files(&project.layout, descriptor).map_err(|error| chain(&error))?;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok(files.into_iter().map(|(path, bytes)| (path, text(bytes))).collect())
}

fn files(files: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    Ok(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
}

#[test]
fn artifacts_of_flux_and_plain_ones_have_the_files_of_their_layers() {
    let project = Project::new();
    let one = tar(&[("deploy/kustomization.yaml", "a"), ("README.md", "b")]);
    let flux = artifact(&project, FLUX_CONFIG, &[(FLUX, &gzip(&one))]);
    let expected = files(&[("README.md", "b"), ("deploy/kustomization.yaml", "a")]);
    assert_eq!(read(&project, &flux), expected);
    let two = tar(&[("README.md", "c"), ("more", "d")]);
    let layers: [(&str, &[u8]); 2] = [(OCI, &one), (&format!("{OCI}+gzip"), &gzip(&two))];
    let plain = artifact(&project, "application/vnd.oci.empty.v1+json", &layers);
    let expected = files(&[("README.md", "c"), ("deploy/kustomization.yaml", "a"), ("more", "d")]);
    assert_eq!(read(&project, &plain), expected);
}

#[test]
fn a_modelkit_has_its_code_and_documentation() {
    let text = "package: {name: p}\nmodel: {path: model}\ncode:\n- path: deploy\ndocs:\n- path: README.md\ndatasets:\n- path: data\n";
    for (compression, format) in [
        (Compression::None, Format::Tar),
        (Compression::Zstd, Format::Tar),
        (Compression::None, Format::Raw),
    ] {
        let project = Project::with(&["model/w", "deploy/a.yaml", "README.md", "data/d"]);
        let options = PackOptions { compression, format, ..Default::default() };
        // Of a ModelPack of single files, folders are layers for each file.
        let Ok(packed) = project.try_pack(text, &options) else { continue };
        let expected = files(&[("README.md", "README.md"), ("deploy/a.yaml", "deploy/a.yaml")]);
        assert_eq!(read(&project, &packed.descriptor), expected);
    }
    let project = Project::with(&["model/w"]);
    let packed = project.pack("package: {name: p}\nmodel: {path: model}\n");
    let error = read(&project, &packed.descriptor).unwrap_err();
    assert!(error.contains("a ModelKit without code and documentation"), "{error}");
}

#[test]
fn a_modelkit_has_the_manifests_that_it_carries_and_nothing_else() {
    let text = "package: {name: p}\nmodel: {path: model}\ndocs:\n- path: README.md\n";
    let project = Project::with(&["model/w", "README.md"]);
    let plain = project.pack(text);
    let manifests = |text: &str| {
        let content = Content::Bytes { bytes: text.into(), executable: false };
        vec![Entry { path: "app.yaml".to_owned(), content }]
    };
    let pack = |text_of: &str| {
        let options = PackOptions { manifests: manifests(text_of), ..Default::default() };
        project.try_pack(text, &options).unwrap().descriptor
    };
    let carrying = pack("a");
    assert_eq!((pack("a"), pack("b") == carrying), (carrying.clone(), false));
    assert_ne!(carrying, plain.descriptor);
    assert_eq!(read(&project, &carrying), files(&[("app.yaml", "a")]));
    let kit = ModelKit::read(&project.layout, &carrying).unwrap();
    let layer = kit.manifests().unwrap();
    assert_eq!((layer.media_type().to_string().as_str(), kit.left_out()), (FLUX, Vec::new()));
    // Flux takes it by its media type, and packing the folder again proves all else.
    let into = tempfile::tempdir().unwrap();
    let manifest = project.layout.read(&carrying).unwrap();
    modelkit::unpack_artifact(&project.layout, &manifest, Some(FLUX), into.path()).unwrap();
    assert_eq!(fs::read_to_string(into.path().join("app.yaml")).unwrap(), "a");
    let error = modelkit::unpack_artifact(&project.layout, &manifest, Some("a/b"), into.path());
    assert!(chain(&error.unwrap_err()).contains("no layer with the media type 'a/b'"));
    let rebuilt =
        modelkit::rebuild(&kit, kit.kitfile(), &project.context(), &project.layout, &|_| {
            ControlFlow::Continue(())
        });
    assert_eq!(rebuilt.unwrap().digest, *carrying.digest());
}

#[test]
fn what_is_no_tree_and_what_is_not_what_its_digest_says_is_refused() {
    let project = Project::new();
    let config = "application/vnd.oci.empty.v1+json";
    let one = tar(&[("a", "b")]);
    for (layers, expected) in [
        (&[][..], "it has no layers"),
        (&[("text/plain", &b"x"[..])], "a layer is of type text/plain, no archive"),
        (&[(OCI, &tar(&[(".wh.a", "")])[..])], "takes away files of other layers"),
        (&[(OCI, &b"no archive at all"[..])], "it ends within a header"),
        (&[(FLUX, &one[..])], "invalid gzip header"),
    ] {
        let error = read(&project, &artifact(&project, config, layers)).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let tampered = artifact(&project, config, &[(OCI, &one)]);
    assert_eq!(read(&project, &tampered), files(&[("a", "b")]));
    let blob = project.layout.blob_path(&content::digest(&one)).unwrap();
    fs::write(&blob, tar(&[("a", "c")])).unwrap();
    let error = read(&project, &tampered).unwrap_err();
    assert!(error.contains("digest"), "{error}");
}

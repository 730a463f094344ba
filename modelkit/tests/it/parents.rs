//! ModelKits whose model comes from another ModelKit.

use modelkit::{Error, PackOptions, Packed};
use registry::Reference;

use crate::project::{Project, chain, files};

fn tag(project: &Project, packed: &Packed, reference: &str) {
    project.layout.tag(&packed.descriptor, &reference.parse::<Reference>().unwrap()).unwrap();
}

/// A project whose ModelKit `base:v1` is a model with a part, and `base:v2` another.
fn project() -> Project {
    let project = Project::with(&["model/w.bin", "model/adapter/a.bin", "code/c", "README.md"]);
    let base =
        project.pack("model:\n  path: model/w.bin\n  parts:\n    - path: model/adapter\ndocs:\n  - path: README.md\n");
    tag(&project, &base, "base:v1");
    project
}

const CHILD: &str = "model:\n  path: base:v1\ncode:\n  - path: .\n";

#[test]
fn a_child_holds_what_its_parents_model_does_not() {
    let project = project();
    let child = project.pack(CHILD);
    let layers: Vec<_> =
        child.layers.iter().map(|layer| (layer.section.key(), layer.n_files)).collect();
    assert_eq!(layers, [("code", 2)]);
    let unpacked = project.unpack(&child, &[]);
    assert_eq!(
        files(&unpacked),
        ["Kitfile", "README.md", "code/c", "model/adapter/a.bin", "model/w.bin"]
    );
}

#[test]
fn a_child_names_its_parent_by_digest() {
    let project = project();
    let base = project.layout.resolve(&"base:v1".parse().unwrap()).unwrap();
    let child = project.pack(CHILD);
    let kit = project.kit(&child);
    assert_eq!(kit.kitfile().model.as_ref().unwrap().path, format!("base@{}", base.digest()));
    project.file("model/w.bin", b"another");
    let other = project.pack("model:\n  path: model/w.bin\n");
    tag(&project, &other, "base:v1");
    let unpacked = project.unpack(&child, &["model"]);
    assert_eq!(unpacked["model/w.bin"], b"model/w.bin");
}

#[test]
fn filters_hold_for_parents_too() {
    let project = project();
    let child = project.pack(CHILD);
    assert_eq!(files(&project.unpack(&child, &["model:model/adapter"])), ["model/adapter/a.bin"]);
    let project = self::project();
    let child = project.pack(CHILD);
    assert_eq!(files(&project.unpack(&child, &["docs"])), [""; 0]);
}

#[test]
fn a_missing_parent_is_named() {
    let project = Project::with(&["a"]);
    let text = "model:\n  path: localhost:5000/org/base:v1\ncode:\n  - path: a\n";
    match project.try_pack(text, &PackOptions::default()).unwrap_err() {
        Error::MissingParent { reference } => {
            assert_eq!(reference.to_string(), "localhost:5000/org/base:v1")
        }
        other => panic!("{}", chain(&other)),
    }
}

#[test]
fn a_chain_of_parents_has_an_end() {
    let project = project();
    for level in 1..=11 {
        let text = format!("package:\n  name: l{level}\nmodel:\n  path: base:v{level}\n");
        match project.try_pack(&text, &PackOptions::default()) {
            Ok(packed) => tag(&project, &packed, &format!("base:v{}", level + 1)),
            Err(error) => {
                assert_eq!(level, 11);
                assert!(
                    error.to_string().contains("too many ModelKits build on one another"),
                    "{error}"
                );
            }
        }
    }
    assert!(project.layout.resolve(&"base:v11".parse().unwrap()).is_ok());
    assert!(project.layout.resolve(&"base:v12".parse().unwrap()).is_err());
}

//! The arrows between the rooms, as ARCHITECTURE.md draws them, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Which room leans on which; nothing else is allowed.
const ARROWS: [(&str, &[&str]); 10] = [
    ("kitfile", &[]),
    ("kit-registry", &[]),
    ("modelkit", &["kit-registry", "kitfile"]),
    ("kit-checkpoint", &[]),
    ("kit-trainer", &["kit-checkpoint"]),
    ("kit-serve", &["kit-checkpoint"]),
    ("kit-gitops", &[]),
    ("kit-cli", &["kit-gitops", "kit-registry", "kit-serve", "kit-trainer", "kitfile", "modelkit"]),
    ("xtask", &["kit-gitops"]),
    ("kit-docs", &[]),
];

/// The doors behind which a library must stay: library, rooms that may name it.
const DOORS: [(&str, &[&str]); 8] = [
    ("burn", &["kit-trainer"]),
    ("tokenizers", &["kit-checkpoint"]),
    ("memmap2", &["kit-checkpoint"]),
    ("axum", &["kit-cli", "kit-registry", "kit-serve"]),
    ("reqwest", &["kit-cli", "kit-registry"]),
    ("clap", &["kit-cli", "xtask"]),
    ("anyhow", &["kit-cli", "xtask"]),
    ("oci-spec", &["kit-registry"]),
];

fn workspace() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("cargo metadata runs on this workspace")
}

/// The names of what a package is built with; what its tests use does not count.
fn built_with(package: &Package) -> BTreeSet<&str> {
    let built = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    built.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn the_rooms_lean_on_each_other_as_drawn() {
    let metadata = workspace();
    let rooms: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let drawn: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    assert_eq!(rooms, drawn.keys().map(ToString::to_string).collect());
    for package in &metadata.packages {
        let found: BTreeSet<&str> =
            built_with(package).into_iter().filter(|name| rooms.contains(*name)).collect();
        assert_eq!(found, drawn[package.name.as_str()], "arrows of {}", package.name);
    }
}

#[test]
fn heavy_libraries_stay_behind_their_doors() {
    for package in &workspace().packages {
        for (library, doors) in DOORS {
            let named = built_with(package).contains(library);
            assert!(
                !named || doors.contains(&package.name.as_str()),
                "{} names {library}",
                package.name
            );
        }
    }
}

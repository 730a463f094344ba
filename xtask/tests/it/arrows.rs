//! The arrows between the rooms, as ARCHITECTURE.md draws them, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Which room leans on which; nothing else is allowed.
const ARROWS: [(&str, &[&str]); 9] = [
    ("kitfile", &[]),
    ("kit-registry", &[]),
    ("modelkit", &["kit-registry", "kitfile"]),
    ("kit-trainer", &[]),
    ("kit-serve", &[]),
    ("kit-gitops", &[]),
    ("kit-cli", &["kit-gitops", "kit-registry", "kit-serve", "kit-trainer", "kitfile", "modelkit"]),
    ("xtask", &["kit-gitops"]),
    ("kit-docs", &[]),
];

/// The doors behind which a library must stay: library, rooms that may name it.
const DOORS: [(&str, &[&str]); 6] = [
    ("burn", &["kit-trainer"]),
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

/// The Rust files beneath a folder.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in dir.read_dir().expect("the folder is there") {
        let path = entry.expect("its entries can be read").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn no_command_knows_another_and_no_step_knows_a_command() {
    let src = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/src"));
    let (mut commands, mut steps) = (Vec::new(), Vec::new());
    files(&src.join("commands"), &mut commands);
    files(&src.join("steps"), &mut steps);
    assert!(commands.len() > 20 && steps.len() > 5, "the rooms are where they were");
    for path in commands.iter().chain(&steps) {
        let text = std::fs::read_to_string(path).expect("the file can be read");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        assert!(!code.contains("crate::commands"), "{} names a command", path.display());
    }
    for path in &commands {
        let text = std::fs::read_to_string(path).expect("the file can be read");
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let beneath = path.strip_prefix(src.join("commands")).expect("it was found there");
        // The module of a verb lies right beneath the table; what lies deeper may name its verb.
        let is_verb = beneath.iter().count() == 1 || beneath.ends_with("mod.rs");
        let other = if is_verb { "super::" } else { "super::super::" };
        assert!(!code.contains(other), "{} names another command", path.display());
    }
}

//! The arrows between the rooms, as ARCHITECTURE.md draws them, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cargo;

/// Which room leans on which; nothing else is allowed.
const ARROWS: [(&str, &[&str]); 13] = [
    ("kitfile", &[]),
    ("kit-registry", &[]),
    ("kit-trust", &["kit-registry"]),
    ("modelkit", &["kit-registry", "kitfile"]),
    ("kit-pickle", &[]),
    ("kit-checkpoint", &["kit-pickle"]),
    ("kit-trainer", &["kit-checkpoint"]),
    ("kit-serve", &["kit-checkpoint"]),
    ("kit-gitops", &[]),
    ("kit-cluster", &["kit-gitops"]),
    (
        "kit-cli",
        &[
            "kit-cluster",
            "kit-gitops",
            "kit-pickle",
            "kit-registry",
            "kit-serve",
            "kit-trainer",
            "kit-trust",
            "kitfile",
            "modelkit",
        ],
    ),
    ("xtask", &[]),
    ("kit-docs", &[]),
];

/// The doors behind which a library must stay: library, rooms that may name it.
const DOORS: [(&str, &[&str]); 9] = [
    ("burn", &["kit-trainer"]),
    ("p256", &["kit-trust"]),
    ("tokenizers", &["kit-checkpoint"]),
    ("memmap2", &["kit-checkpoint", "kit-pickle"]),
    ("axum", &["kit-cli", "kit-cluster", "kit-registry", "kit-serve"]),
    ("reqwest", &["kit-cli", "kit-registry"]),
    ("clap", &["kit-cli", "xtask"]),
    ("anyhow", &["kit-cli", "xtask"]),
    ("oci-spec", &["kit-registry"]),
];

fn workspace() -> Vec<Value> {
    let metadata = cargo("metadata --no-deps --format-version 1");
    let metadata: Value = serde_json::from_str(&metadata).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a workspace has packages").clone()
}

/// The names of what a package is built with; what its tests use does not count.
fn built_with(package: &Value) -> BTreeSet<&str> {
    let dependencies = package["dependencies"].as_array().expect("a package lists them");
    let built = dependencies.iter().filter(|dependency| dependency["kind"] != "dev");
    built.filter_map(|dependency| dependency["name"].as_str()).collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a package has a name")
}

#[test]
fn the_rooms_lean_on_each_other_as_drawn() {
    let packages = workspace();
    let rooms: BTreeSet<&str> = packages.iter().map(name).collect();
    let drawn: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(from, to)| (*from, to.iter().copied().collect())).collect();
    assert_eq!(rooms, drawn.keys().copied().collect());
    for package in &packages {
        let found: BTreeSet<&str> = built_with(package).intersection(&rooms).copied().collect();
        assert_eq!(found, drawn[name(package)], "arrows of {}", name(package));
    }
}

#[test]
fn heavy_libraries_stay_behind_their_doors() {
    for package in &workspace() {
        for (library, doors) in DOORS {
            let named = built_with(package).contains(library);
            assert!(!named || doors.contains(&name(package)), "{} names {library}", name(package));
        }
    }
}

/// Cargo chooses the features of shared libraries by what is built together. Here that makes no
/// difference, so that tests after the story, and the story after tests, compile no library again.
#[test]
fn the_story_and_the_tests_share_every_library() {
    let libraries = |words: &str| -> BTreeSet<String> {
        let tree = cargo(&format!("tree --prefix none --format {{p}}#{{f}} {words}"));
        let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
        lines.filter(|line| !line.contains('/') && !line.is_empty()).map(str::to_owned).collect()
    };
    let (story, tests) = (
        libraries("--package kit-cli --edges normal"),
        libraries("--workspace --edges normal,dev"),
    );
    let only_there: Vec<_> = story.difference(&tests).collect();
    assert!(only_there.is_empty(), "only without tests, and so compiled twice: {only_there:#?}");
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

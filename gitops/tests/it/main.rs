//! The crate from outside: golden trees, other tools' results, schemas.

mod bases;
mod beside;
mod check;
mod deliveries;
mod diff;
mod envs;
mod kustomize;
mod lint;
mod reconcile;
mod rehearse;
mod render;
mod rendered;

use kit_gitops::Tree;

/// The tree with another text in one place of a file.
fn with(tree: &Tree, path: &str, from: &str, to: &str) -> Tree {
    let mut tree = tree.clone();
    let text = tree.get(path).unwrap_or_else(|| panic!("{path} is there"));
    assert!(text.contains(from), "{path} has {from:?}");
    let text = text.replacen(from, to, 1);
    tree.insert(path, text).unwrap();
    tree
}

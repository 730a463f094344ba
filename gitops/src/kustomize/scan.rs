//! The kustomization that Flux generates for a folder that has none.

use super::file::FILE_NAMES;
use crate::{Error, Object, Result, Tree, tree, yaml};

/// The kustomization that Flux generates for a folder without one.
pub(super) fn kustomization(tree: &Tree, folder: &str) -> Result<String> {
    let mut resources = Vec::new();
    let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    for path in &tree.paths_below(folder) {
        let relative = path.strip_prefix(&base).unwrap_or(path);
        let resource = match enclosing(tree, folder, relative) {
            Some(kustomized) => kustomized,
            None if !is_yaml(relative) => continue,
            None => {
                let text = tree.get(path).unwrap_or_default();
                if Object::parse_all(text).map_err(|error| error.in_file(path))?.is_empty() {
                    continue;
                }
                relative.to_owned()
            }
        };
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    if resources.is_empty() {
        return Err(Error::Kustomize {
            field: "kustomization",
            message: format!("there is none in {folder:?}, and no YAML file to make one of"),
        });
    }
    let lines: String =
        resources.iter().map(|resource| format!("- {}\n", yaml::scalar(resource))).collect();
    Ok(format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{lines}"
    ))
}

/// The outermost folder between the root and the file that has a kustomization of its own.
fn enclosing(tree: &Tree, root: &str, relative: &str) -> Option<String> {
    relative
        .match_indices('/')
        .map(|(end, _)| &relative[..end])
        .find(|folder| {
            FILE_NAMES
                .iter()
                .any(|name| tree.get(&tree::join(root, &format!("{folder}/{name}"))).is_some())
        })
        .map(str::to_owned)
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml") || path.ends_with(".yml")
}

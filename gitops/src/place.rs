//! Whose namespace a release goes to, seen in the repository that it is rendered into.

use crate::render::KEPT;
use crate::{Error, NamespaceUse, Object, Release, Result, Tree};

impl Release {
    /// Looks in a repository whose namespace the release's is, so that no application's end is that
    /// of another.
    ///
    /// One that has another name than the application may be shared, and is never deleted. One that
    /// others render already is left to them; where it is another application's own, which Flux
    /// deletes with it, the release is refused.
    pub fn place(&mut self, tree: &Tree) -> Result<()> {
        let own = format!("{}/", self.app_folder());
        let mut namespace_use = match self.namespace == self.app {
            true => NamespaceUse::Own,
            false => NamespaceUse::Shared,
        };
        for (path, namespace) in namespaces(tree, self.namespace.as_str()) {
            let is_kept = namespace
                .annotation(KEPT.0)
                .is_some_and(|value| value.eq_ignore_ascii_case(KEPT.1));
            if path.starts_with(&own) {
                if is_kept && namespace_use == NamespaceUse::Own {
                    namespace_use = NamespaceUse::Shared;
                }
            } else if path.starts_with("apps/") && !is_kept {
                let namespace = self.namespace.to_string();
                return Err(Error::NotShared { namespace, path: path.to_owned() });
            } else {
                namespace_use = NamespaceUse::Elsewhere;
            }
        }
        self.namespace_use = namespace_use;
        Ok(())
    }
}

/// The files that have a namespace.
fn namespaces<'a>(tree: &'a Tree, name: &str) -> Vec<(&'a str, Object)> {
    let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
    let files = tree.iter().filter(|(path, text)| is_yaml(path) && text.contains("Namespace"));
    let objects = files.flat_map(|(path, text)| {
        // What is no object is none of ours, and has no namespace.
        Object::parse_all(text).unwrap_or_default().into_iter().map(move |object| (path, object))
    });
    objects.filter(|(_, object)| object.kind() == "Namespace" && object.name() == name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;

    fn release(app: &str, namespace: &str) -> Release {
        let mut release = Release::new(app.parse().unwrap(), "host/i:1".parse().unwrap());
        release.namespace = namespace.parse().unwrap();
        release
    }

    /// Renders an application into a tree as it is.
    fn add(tree: &mut Tree, app: &str, namespace: &str) -> Result<NamespaceUse> {
        let mut release = release(app, namespace);
        release.place(tree)?;
        tree.merge(render(&release)?);
        Ok(release.namespace_use)
    }

    #[test]
    fn apps_that_share_a_namespace_by_name_do_so_safely_and_again() {
        let mut tree = Tree::new();
        assert_eq!(add(&mut tree, "a", "ml").unwrap(), NamespaceUse::Shared);
        assert_eq!(add(&mut tree, "b", "ml").unwrap(), NamespaceUse::Elsewhere);
        assert_eq!(add(&mut tree, "ml", "ml").unwrap(), NamespaceUse::Elsewhere);
        let before = tree.clone();
        assert_eq!(add(&mut tree, "a", "ml").unwrap(), NamespaceUse::Shared);
        assert_eq!(tree, before);
    }

    #[test]
    fn an_apps_own_namespace_takes_no_other_app_until_it_is_kept() {
        let mut tree = Tree::new();
        assert_eq!(add(&mut tree, "a", "a").unwrap(), NamespaceUse::Own);
        assert_eq!(
            add(&mut tree, "b", "a").unwrap_err().to_string(),
            "apps/a/namespace.yaml has the namespace a, which Flux deletes with all in it when that app leaves Git"
        );
        let kept = tree.get("apps/a/namespace.yaml").unwrap().replace(
            "metadata:\n",
            "metadata:\n  annotations:\n    kustomize.toolkit.fluxcd.io/prune: disabled\n",
        );
        tree.insert("apps/a/namespace.yaml", kept).unwrap();
        assert_eq!(add(&mut tree, "b", "a").unwrap(), NamespaceUse::Elsewhere);
        assert_eq!(add(&mut tree, "a", "a").unwrap(), NamespaceUse::Shared);
    }

    #[test]
    fn a_namespace_of_others_is_left_to_them() {
        let mut tree = Tree::new();
        tree.insert(
            "infrastructure/namespaces.yaml",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: ml}\n",
        )
        .unwrap();
        tree.insert("notes.yaml", "Namespace: [\n").unwrap();
        assert_eq!(add(&mut tree, "ml", "ml").unwrap(), NamespaceUse::Elsewhere);
    }
}

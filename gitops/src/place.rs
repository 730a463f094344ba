//! What of a release others have a part in, seen in the repository that it is rendered into: its
//! namespace, its layout, its base.

use crate::render::KEPT;
use crate::{Error, Layout, NamespaceUse, Object, Release, Result, Tree, environments, layout};

impl Release {
    /// Looks in a repository whose namespace the release's is, so that no application's end is that
    /// of another.
    ///
    /// One that has another name than the application may be shared, and is never deleted. One that
    /// others render already is left to them; where it is another application's own, which Flux
    /// deletes with it, the release is refused. What other environments have is not asked: each
    /// has a cluster of its own.
    ///
    /// An application that is laid out otherwise already is refused, too.
    pub fn place(&mut self, tree: &Tree) -> Result<()> {
        self.keep_layout(tree)?;
        let own = match self.layout {
            Layout::Flat => format!("{}/", self.app_folder()),
            Layout::Envs => self.namespace_file(),
        };
        let mut namespace_use = match self.namespace == self.app && self.layout == Layout::Flat {
            true => NamespaceUse::Own,
            false => NamespaceUse::Shared,
        };
        for (path, namespace) in namespaces(tree, self.namespace.as_str()) {
            let is_kept = namespace
                .annotation(KEPT.0)
                .is_some_and(|value| value.eq_ignore_ascii_case(KEPT.1));
            if layout::is_of_another(path, &self.env) {
                continue;
            }
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

    /// The other layout would leave files behind that somebody still builds.
    fn keep_layout(&self, tree: &Tree) -> Result<()> {
        let folder = self.app_folder();
        let is_flat = tree.get(&format!("{folder}/kustomization.yaml")).is_some();
        let has_envs = !environments(tree, &self.app).is_empty();
        let message = match self.layout {
            Layout::Envs if is_flat => {
                "this app is laid out flat; remove its files to lay it out with environments"
            }
            Layout::Flat if has_envs => {
                "this app is laid out with environments; render it with that layout"
            }
            Layout::Envs | Layout::Flat => return Ok(()),
        };
        Err(Error::Kept { place: folder, message: message.to_owned() })
    }

    /// The files that other environments build too, and that would become others for them.
    pub fn changes_for_others<'a>(&self, rendered: &'a Tree, there: &Tree) -> Vec<&'a str> {
        let others = environments(there, &self.app);
        if self.layout == Layout::Flat || others.iter().all(|env| *env == self.env.as_str()) {
            return Vec::new();
        }
        let folder = self.app_folder();
        let shared = [format!("{folder}/base/"), format!("{folder}/components/")];
        let is_changed = |(path, text): &(&str, &str)| {
            shared.iter().any(|folder| path.starts_with(&**folder))
                && there.get(path).is_some_and(|before| before != *text)
        };
        rendered.iter().filter(is_changed).map(|(path, _)| path).collect()
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

    #[test]
    fn each_environment_has_its_own_namespace_and_one_file_has_it() {
        let mut tree = Tree::new();
        let mut add = |app: &str, env: &str| {
            let mut release = release(app, "ml");
            (release.layout, release.env) = (Layout::Envs, env.parse().unwrap());
            release.place(&tree).unwrap();
            tree.merge(render(&release).unwrap());
            release.namespace_use
        };
        assert_eq!(add("a", "dev"), NamespaceUse::Shared);
        assert_eq!(add("b", "dev"), NamespaceUse::Shared);
        assert_eq!(add("a", "prod"), NamespaceUse::Shared);
        let files: Vec<_> = namespaces(&tree, "ml").into_iter().map(|(path, _)| path).collect();
        assert_eq!(files, ["clusters/dev/ml-namespace.yaml", "clusters/prod/ml-namespace.yaml"]);
    }

    #[test]
    fn an_app_keeps_its_layout() {
        let mut tree = Tree::new();
        add(&mut tree, "a", "a").unwrap();
        let mut envs = release("a", "a");
        envs.layout = Layout::Envs;
        assert_eq!(
            envs.place(&tree).unwrap_err().to_string(),
            "apps/a: this app is laid out flat; remove its files to lay it out with environments"
        );
        let tree = render(&envs).unwrap();
        assert_eq!(
            release("a", "a").place(&tree).unwrap_err().to_string(),
            "apps/a: this app is laid out with environments; render it with that layout"
        );
    }

    #[test]
    fn what_other_environments_build_too_is_named_where_it_changes() {
        let mut dev = release("a", "a");
        dev.layout = Layout::Envs;
        let there = render(&dev).unwrap();
        let mut prod = dev.clone();
        prod.env = "prod".parse().unwrap();
        prod.weight_bytes = 1 << 30;
        assert_eq!(prod.changes_for_others(&render(&prod).unwrap(), &there), [""; 0]);
        prod.port = 9000;
        let rendered = render(&prod).unwrap();
        let base = ["deployment.yaml", "networkpolicy.yaml", "service.yaml"];
        let base = base.map(|name| format!("apps/a/base/{name}"));
        assert_eq!(prod.changes_for_others(&rendered, &there), base);
        dev.port = 9000;
        assert_eq!(dev.changes_for_others(&render(&dev).unwrap(), &there), [""; 0]);
    }
}

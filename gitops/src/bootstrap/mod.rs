//! What `flux bootstrap` commits so that a cluster follows a repository, and what is there already.

mod instance;
mod live;
mod sync;

use std::time::Duration;

pub(crate) use instance::stands_for;
pub use live::{Live, conflict};
pub use sync::{Sync, sync};

use crate::edit::Edits;
use crate::flux::FluxVersion;
use crate::yaml::{Node, documents};
use crate::{Branch, Error, GitUrl, Name, Result, SecretName, Tree, rules};

/// The file with Flux' own components.
const COMPONENTS: &str = "gotk-components.yaml";
/// The file that says what is watched.
const SYNC: &str = "gotk-sync.yaml";
/// The file with what the Flux Operator makes both of.
const INSTANCE: &str = "flux-instance.yaml";
/// The names of a list of files that kustomize knows.
pub(crate) const LISTS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// What Flux is to watch: the facts from which [`bootstrap`] makes the files that `flux bootstrap`
/// commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The repository, as the cluster reaches it.
    pub url: GitUrl,
    /// The branch that is pushed to and watched.
    pub branch: Branch,
    /// The environment whose folder `clusters/<env>` is watched.
    pub env: Name,
    /// How often Flux looks for commits.
    pub interval: Duration,
    /// How often Flux compares the cluster with the folder.
    pub sync_interval: Duration,
    /// The Secret with the key or token; none: the one that is there already, else none, for a
    /// repository that anyone may read.
    pub secret_ref: Option<SecretName>,
    /// The text of Flux' own components (`flux install --export`), where the repository shall carry
    /// them; none: those that it carries already.
    pub components: Option<String>,
    /// Who makes Flux of it.
    pub form: Form,
    /// The version of Flux that a FluxInstance asks for; none: the one that is there already, else
    /// the newest.
    pub flux: Option<FluxVersion>,
    /// Controllers that a FluxInstance has beside the usual ones.
    pub extra: Vec<String>,
}

/// In which form a repository says what Flux is to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// As `flux bootstrap` writes it: the source and the Kustomization, and Flux' components.
    #[default]
    Gotk,
    /// A FluxInstance, of which the Flux Operator makes all of that.
    FluxInstance,
}

impl Bootstrap {
    /// The branch `main`, the environment `dev`, no credentials, no components, and Flux' own
    /// intervals.
    pub fn new(url: GitUrl) -> Self {
        Self {
            url,
            branch: "main".parse().expect("main is a branch"),
            env: "dev".parse().expect("dev is a name"),
            interval: Duration::from_secs(60),
            sync_interval: Duration::from_secs(600),
            secret_ref: None,
            components: None,
            form: Form::Gotk,
            flux: None,
            extra: Vec::new(),
        }
    }

    /// The folder that Flux watches.
    pub fn path(&self) -> String {
        format!("clusters/{}", self.env)
    }

    /// The folder of Flux itself.
    fn folder(&self) -> String {
        format!("{}/flux-system", self.path())
    }
}

/// Renders `clusters/<env>/flux-system/`, as `flux bootstrap` commits it, into a repository.
///
/// What is there stays: components, credentials, patches, further fields; only what is asked for
/// changes. Without components there is no `kustomization.yaml` either: `flux bootstrap` applies one
/// that it finds, whatever it lists, and makes a right one where there is none.
pub fn bootstrap(asked: &Bootstrap, there: &Tree) -> Result<Tree> {
    for (what, interval) in [("interval", asked.interval), ("sync_interval", asked.sync_interval)] {
        rules::span(interval)
            .map_err(|reason| Error::Kept { place: what.to_owned(), message: reason.to_owned() })?;
    }
    let folder = asked.folder();
    let place = |file: &str| format!("{folder}/{file}");
    let mut tree = Tree::new();
    let (other, message) = match asked.form {
        Form::Gotk => {
            (INSTANCE, "it says what Flux watches; remove it to say that in the form gotk")
        }
        Form::FluxInstance => {
            (SYNC, "it says what Flux watches; remove it to say that in the form flux-instance")
        }
    };
    let refuse = |place, message: &str| Err(Error::Kept { place, message: message.to_owned() });
    if there.get(&place(other)).is_some() {
        return refuse(place(other), message);
    }
    if asked.form == Form::FluxInstance {
        if asked.components.is_some() {
            return refuse(
                place(COMPONENTS),
                "of a FluxInstance the operator installs Flux' components",
            );
        }
        let text = match there.get(&place(INSTANCE)) {
            Some(text) => instance::kept(text, asked).map_err(|it| it.in_file(&place(INSTANCE)))?,
            None => instance::new(asked),
        };
        tree.put(place(INSTANCE), text);
        return Ok(tree);
    }
    if let Some(components) = &asked.components {
        tree.put(place(COMPONENTS), components.clone());
    }
    let text = match there.get(&place(SYNC)) {
        Some(text) => sync::kept(text, asked).map_err(|error| error.in_file(&place(SYNC)))?,
        None => sync::new(asked),
    };
    tree.put(place(SYNC), text);

    let listed =
        LISTS.iter().find_map(|name| there.get(&place(name)).map(|text| (place(name), text)));
    if let Some((path, text)) = listed {
        let files: &[&str] = match asked.components {
            Some(_) => &[COMPONENTS, SYNC],
            None => &[SYNC],
        };
        let text = listing(text, files).map_err(|error| error.in_file(&path))?;
        tree.put(path, text);
    } else if asked.components.is_some() && is_new(there, &folder) {
        let list: String = [COMPONENTS, SYNC].map(|name| format!("- {name}\n")).concat();
        let head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
        tree.put(place(LISTS[0]), format!("{head}{list}"));
    }
    Ok(tree)
}

/// Whether a folder holds nothing but what bootstrap writes; others' files would be lost in a list
/// that does not name them, where Flux lists all of them by itself.
fn is_new(there: &Tree, folder: &str) -> bool {
    let mut files = there.paths().filter_map(|path| path.strip_prefix(&format!("{folder}/")));
    files.all(|file| file == COMPONENTS || file == SYNC)
}

/// A kustomization whose resources name these files too; every other byte stays.
fn listing(text: &str, files: &[&str]) -> Result<String> {
    let documents = documents(text)?;
    let list = documents.iter().find_map(|document| document.entry("resources"));
    let listed = list.map_or(&[][..], Node::elements);
    let is_listed = |file: &str| {
        listed.iter().filter_map(Node::text).any(|path| path.trim_start_matches("./") == file)
    };
    let missing: Vec<&str> = files.iter().copied().filter(|file| !is_listed(file)).collect();
    if missing.is_empty() {
        return Ok(text.to_owned());
    }
    let Some(first) = listed.first() else {
        return Err(Error::NothingToSet { what: "list of resources".to_owned() });
    };
    let mut edits = Edits::new(text);
    edits.insert_before(first, &missing, "resources")?;
    Ok(edits.apply())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, flux};

    const FOLDER: &str = "clusters/dev/flux-system";

    fn asked() -> Bootstrap {
        Bootstrap::new("https://host/org/ml-infra".parse().unwrap())
    }

    fn file<'a>(tree: &'a Tree, name: &str) -> &'a str {
        tree.get(&format!("{FOLDER}/{name}")).unwrap()
    }

    /// What is there once it was written into what was there.
    fn again(asked: &Bootstrap, there: &Tree) -> Tree {
        let mut tree = there.clone();
        tree.merge(bootstrap(asked, there).unwrap());
        tree
    }

    #[test]
    fn the_source_and_the_folder_are_those_asked_for() {
        let mut asked = Bootstrap::new("ssh://git@host/org/ml-infra".parse().unwrap());
        asked.branch = "on".parse().unwrap();
        asked.secret_ref = Some("flux.system".parse().unwrap());
        let tree = bootstrap(&asked, &Tree::new()).unwrap();
        let objects = Object::parse_all(file(&tree, SYNC)).unwrap();
        let source = flux::GitRepository::read(&objects[0]).unwrap().unwrap();
        assert_eq!(
            (source.url.as_str(), source.branch.as_deref(), source.interval),
            ("ssh://git@host/org/ml-infra", Some("on"), Duration::from_secs(60))
        );
        assert_eq!(objects[0].at("/spec/secretRef/name").unwrap(), "flux.system");
        assert_eq!(flux::Kustomization::read(&objects[1]).unwrap().unwrap().path, "clusters/dev");
    }

    #[test]
    fn without_components_there_is_no_list_that_flux_would_take_for_all_of_itself() {
        let tree = bootstrap(&asked(), &Tree::new()).unwrap();
        assert_eq!(tree.paths().collect::<Vec<_>>(), [format!("{FOLDER}/{SYNC}")]);
    }

    #[test]
    fn components_are_carried_when_given_and_stay_when_not() {
        let mut asked = asked();
        asked.components = Some("# theirs\n".to_owned());
        let tree = again(&asked, &Tree::new());
        assert_eq!(file(&tree, COMPONENTS), "# theirs\n");
        assert!(
            file(&tree, "kustomization.yaml")
                .contains("resources:\n- gotk-components.yaml\n- gotk-sync.yaml\n")
        );
        asked.components = None;
        assert_eq!(again(&asked, &tree), tree);
        asked.components = Some("# newer\n".to_owned());
        assert_eq!(file(&again(&asked, &tree), COMPONENTS), "# newer\n");
    }

    #[test]
    fn a_second_time_changes_only_what_is_asked_for() {
        // As `flux bootstrap` and its owner leave it.
        let theirs = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: flux-system\n  namespace: flux-system\nspec:\n  interval: 1m0s\n  ref:\n    branch: main\n  secretRef:\n    name: flux-system # ours\n  timeout: 2m\n  url: ssh://git@host/org/ml-infra\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: flux-system\n  namespace: flux-system\nspec:\n  decryption:\n    provider: sops\n  interval: 10m0s\n  path: ./clusters/dev\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: flux-system\n";
        let mut tree = Tree::new();
        tree.insert(&format!("{FOLDER}/{SYNC}"), theirs).unwrap();
        let sync = sync(&tree, &"dev".parse().unwrap()).unwrap().unwrap();
        assert_eq!(
            (sync.url.as_str(), sync.branch.as_deref()),
            ("ssh://git@host/org/ml-infra", Some("main"))
        );
        let mut asked = Bootstrap::new(sync.url.parse().unwrap());
        assert_eq!(again(&asked, &tree), tree);
        asked.url = "https://host/other".parse().unwrap();
        asked.branch = "prod".parse().unwrap();
        asked.secret_ref = Some("token".parse().unwrap());
        let expected = theirs
            .replace("ssh://git@host/org/ml-infra", "https://host/other")
            .replace("branch: main", "branch: prod")
            .replace("name: flux-system # ours", "name: token # ours");
        assert_eq!(file(&again(&asked, &tree), SYNC), expected);
    }

    #[test]
    fn credentials_are_added_where_there_are_none() {
        let tree = again(&asked(), &Tree::new());
        let mut with = asked();
        with.secret_ref = Some("flux-system".parse().unwrap());
        let twice = again(&with, &tree);
        assert_eq!(
            Object::parse_all(file(&twice, SYNC)).unwrap(),
            Object::parse_all(&sync::new(&with)).unwrap()
        );
        assert_eq!(again(&asked(), &twice), twice, "and stay");
    }

    #[test]
    fn a_sync_of_another_folder_or_of_a_tag_is_not_turned_over() {
        let tree = again(&asked(), &Tree::new());
        let with = |from: &str, to: &str| {
            let mut tree = tree.clone();
            let text = file(&tree, SYNC).replace(from, to);
            tree.insert(&format!("{FOLDER}/{SYNC}"), text).unwrap();
            crate::error::chain(&bootstrap(&asked(), &tree).unwrap_err())
        };
        assert!(with("path: ./clusters/dev", "path: ./clusters/old").contains("./clusters/old"));
        assert!(with("branch: main", "tag: v1").contains("no branch"));
        assert!(with("name: flux-system", "name: other").contains("named flux-system"));
    }

    #[test]
    fn a_list_that_is_there_keeps_its_patches_and_names_what_is_new() {
        let theirs = "# ours\nkind: Kustomization\nresources:\n  - gotk-sync.yaml # first\n  - more.yaml\npatches: []\n";
        let mut tree = again(&asked(), &Tree::new());
        tree.insert(&format!("{FOLDER}/kustomization.yml"), theirs).unwrap();
        let mut with = asked();
        with.components = Some("# theirs\n".to_owned());
        let tree = again(&with, &tree);
        assert_eq!(
            file(&tree, "kustomization.yml"),
            theirs
                .replace("  - gotk-sync.yaml #", "  - gotk-components.yaml\n  - gotk-sync.yaml #")
        );
        assert_eq!(tree.get(&format!("{FOLDER}/kustomization.yaml")), None);
        assert_eq!(again(&with, &tree), tree);
    }

    #[test]
    fn files_of_others_are_not_left_out_of_a_new_list() {
        let mut tree = Tree::new();
        tree.insert(&format!("{FOLDER}/notifications.yaml"), "kind: X\n").unwrap();
        let mut with = asked();
        with.components = Some("# theirs\n".to_owned());
        assert_eq!(again(&with, &tree).get(&format!("{FOLDER}/kustomization.yaml")), None);
    }
}

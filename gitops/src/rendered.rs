//! What a rendering leaves of the one before: a record of what was written tells the files that are
//! no longer part of an application from those that somebody else has written or changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::edit::blanked;
use crate::render::KEPT;
use crate::{Error, Layout, Object, Release, Result, Tree, layout};

/// The name of the file with the record, in the application's folder. No kustomization names it, and
/// Flux takes no file for an object that is not YAML by its name.
const RECORD: &str = ".rendered";

/// How a record begins.
const WHY: &str = "\
# What `kit-rs gitops render` wrote of this app, each file with its SHA-256 (without what `gitops bump`
# sets): so the next rendering takes away what it no longer writes, and nothing of yours.
";

/// What the files of an application are called in the folder of a cluster, after its own name.
const OF_CLUSTER: [&str; 8] =
    ["app", "source", "keys", "policies", "tenant", "automation", "receiver", "alert"];

/// What becomes of a repository by a rendering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The files that are written, with the record of them.
    pub files: Tree,
    /// The files of the rendering before that go, as nobody has changed them.
    pub gone: Vec<String>,
    /// The files of the rendering before that somebody has changed since, and that would be written
    /// anew or go.
    pub changed: Vec<String>,
    /// What is there besides: others may need these namespaces; and where there was no record, these
    /// may be of the application, or somebody's own.
    pub left: Vec<String>,
}

/// The SHA-256 of each file by its path.
type Record = BTreeMap<String, String>;

impl Release {
    /// Holds what was rendered against the repository that it is to be written into.
    ///
    /// What the rendering before wrote, and this one does not, goes, unless it is another
    /// environment's, or one that others build, too. Fails where the record cannot be read.
    pub fn rendered(&self, files: Tree, there: &Tree) -> Result<Rendered> {
        let path = format!("{}/{RECORD}", self.app_folder());
        let before = match there.get(&path) {
            Some(text) => Some(read(text, &path)?),
            None => None,
        };
        let mut rendered = Rendered::default();
        if before.is_none() {
            rendered.left = self.unknown(&files, there);
        }
        let mut record: Record = files
            .iter()
            .filter(|(path, _)| *path != self.shared_namespace())
            .map(|(path, text)| (path.to_owned(), sha256(text)))
            .collect();
        let mut after = there.clone();
        after.merge(files.clone());
        for (path, digest) in before.into_iter().flatten().filter(|(path, _)| self.is_part(path)) {
            let Some(now) = there.get(&path) else { continue };
            let is_changed = sha256(now) != digest;
            if let Some(new) = files.get(&path) {
                // Who changed it to the same has lost nothing.
                if is_changed && record.get(&path) != Some(&sha256(now)) && new != now {
                    rendered.changed.push(path);
                }
            } else if self.is_of_others(&path, &after) {
                record.insert(path, digest);
            } else if is_kept(now) {
                rendered.left.push(path);
            } else if is_changed {
                rendered.changed.push(path);
            } else {
                rendered.gone.push(path);
            }
        }
        rendered.files = files;
        rendered.files.put(path, print(&record));
        Ok(rendered)
    }

    /// The namespace that all apps of an environment write alike, and that is no one's part.
    fn shared_namespace(&self) -> String {
        match self.layout {
            Layout::Flat => String::new(),
            Layout::Envs => self.namespace_file(),
        }
    }

    /// Whether a path is one that the application can have.
    fn is_part(&self, path: &str) -> bool {
        let app = &self.app;
        let is_its = |file: &str| {
            let what = file.strip_prefix(app.as_str()).and_then(|it| it.strip_prefix('-'));
            what.and_then(|it| it.strip_suffix(".yaml")).is_some_and(|it| OF_CLUSTER.contains(&it))
        };
        let of_env = |rest: &str| rest.split_once('/').is_some_and(|(_, file)| is_its(file));
        path.starts_with(&format!("apps/{app}/"))
            || path.starts_with(&format!("policies/{app}/"))
            || path.strip_prefix("clusters/").is_some_and(of_env)
            || (path.starts_with("argocd/") && path.ends_with(&format!("/{app}.yaml")))
    }

    /// Whether a file is another environment's, or is built by one as it is after this rendering.
    fn is_of_others(&self, path: &str, after: &Tree) -> bool {
        if layout::is_of_another(path, &self.env) {
            return true;
        }
        let components = format!("{}/components/", self.app_folder());
        let Some((name, _)) = path.strip_prefix(&*components).and_then(|rest| rest.split_once('/'))
        else {
            return false;
        };
        let (own, named) = (format!("{components}{name}/"), format!("components/{name}"));
        let builds = |(path, text): (&str, &str)| {
            path.ends_with("/kustomization.yaml")
                && !path.starts_with(&own)
                && text.contains(&named)
        };
        after.iter().any(builds)
    }

    /// The files in the application's places that this rendering does not write.
    fn unknown(&self, files: &Tree, there: &Tree) -> Vec<String> {
        let is_unknown = |path: &&str| {
            self.is_part(path)
                && !layout::is_of_another(path, &self.env)
                && files.get(path).is_none()
        };
        there.paths().filter(is_unknown).map(str::to_owned).collect()
    }
}

/// Whether a file has a namespace that Flux never deletes, as others may live there.
fn is_kept(text: &str) -> bool {
    let objects = Object::parse_all(text).unwrap_or_default();
    objects.iter().any(|it| it.kind() == "Namespace" && it.annotation(KEPT.0) == Some(KEPT.1))
}

/// The digest of a file without what a bump sets in it, and whatever ends its lines.
fn sha256(text: &str) -> String {
    let digest = Sha256::digest(blanked(&text.replace("\r\n", "\n")));
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a text takes all that is written to it");
        hex
    })
}

fn print(record: &Record) -> String {
    let lines: String = record.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
    format!("{WHY}{lines}")
}

fn read(text: &str, path: &str) -> Result<Record> {
    let line = |(n, line): (usize, &str)| match line.split_once("  ") {
        Some((digest, path)) if digest.len() == 64 && !path.is_empty() => {
            Ok((path.to_owned(), digest.to_owned()))
        }
        _ => Err(Error::Kept {
            place: path.to_owned(),
            message: format!(
                "line {} is no digest and path: repair the record, or remove it, and what is no longer rendered stays",
                n + 1
            ),
        }),
    };
    let lines = text.lines().enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(line).collect()
}

//! What a Git repository holds at a revision, or in its working tree, read without checking anything
//! out. The user's own `git` is asked.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use gitops::{Later, Tree};

use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;

/// Larger files are no text that a person wrote, as in [`Tree::read`].
const MAX_TEXT: u64 = 4 << 20;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// A commit, by its id.
    Commit(String),
    /// The files as they lie there, but for what Git is told to ignore.
    WorkTree,
}

/// A repository on this disk.
pub(super) struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// The repository that a folder is in.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let here = Self { dir: dir.to_owned() };
        match here.git(&["rev-parse", "--show-toplevel"]) {
            Ok(top) => Ok(Self { dir: PathBuf::from(top) }),
            // One without a working tree.
            Err(error) => match here.git(&["rev-parse", "--is-bare-repository"]).as_deref() {
                Ok("true") => Ok(here),
                _ => Err(error).hint("run this in a Git repository, or name one with --dir"),
            },
        }
    }

    /// Reads `A..B`, `A...B` (from where both parted to `B`), or `A` (from it to the working tree).
    pub(super) fn range(&self, text: &str) -> anyhow::Result<(Revision, Revision)> {
        let commit = |name: &str| self.commit(if name.is_empty() { "HEAD" } else { name });
        if let Some((a, b)) = text.split_once("...") {
            let (a, b) = (commit(a)?, commit(b)?);
            let base = self
                .git(&["merge-base", &a, &b])
                .map_err(|_| asked_wrongly(format!("{text}: the two have no commit in common")))?;
            return Ok((Revision::Commit(base), Revision::Commit(b)));
        }
        match text.split_once("..") {
            Some((a, b)) => Ok((Revision::Commit(commit(a)?), Revision::Commit(commit(b)?))),
            None => Ok((Revision::Commit(commit(text)?), Revision::WorkTree)),
        }
    }

    fn commit(&self, name: &str) -> anyhow::Result<String> {
        let asked = format!("{name}^{{commit}}");
        self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &asked])
            .map_err(|_| asked_wrongly(format!("{name} is no revision of this repository")))
    }

    /// The branches here and of remotes, by their own names.
    pub(super) fn branches(&self) -> anyhow::Result<BTreeSet<String>> {
        let said =
            self.git(&["for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"])?;
        let name = |reference: &str| match reference.strip_prefix("refs/heads/") {
            Some(branch) => Some(branch.to_owned()),
            None => {
                let of_remote = reference.strip_prefix("refs/remotes/")?;
                of_remote.split_once('/').map(|(_, branch)| branch.to_owned())
            }
        };
        let mut branches: BTreeSet<String> = said.lines().filter_map(name).collect();
        // Before its first commit, a branch is where HEAD points.
        branches.extend(self.git(&["symbolic-ref", "--short", "--quiet", "HEAD"]).ok());
        Ok(branches)
    }

    /// Reads both sides; what both have is read once.
    pub(super) fn trees(&self, sides: [&Revision; 2]) -> anyhow::Result<[Tree; 2]> {
        let mut listed = Vec::new();
        for side in sides {
            if let Revision::Commit(commit) = side {
                listed.push(self.list(commit)?);
            }
        }
        let blobs = self.blobs(listed.iter().flatten().map(|entry| entry.blob.as_str()))?;
        let mut listed = listed.into_iter();
        let mut tree = |side: &Revision| match side {
            Revision::Commit(_) => self.tree(&listed.next().unwrap_or_default(), &blobs),
            Revision::WorkTree => self.work_tree(),
        };
        Ok([tree(sides[0])?, tree(sides[1])?])
    }

    /// The files and links of a commit as a tree.
    fn tree(&self, entries: &[Entry], blobs: &HashMap<String, Blob>) -> anyhow::Result<Tree> {
        let mut tree = Tree::new();
        for entry in entries {
            match blobs.get(&entry.blob).context("git did not say what a file holds")? {
                Blob::Text(target) if entry.is_link => tree.insert_link(&entry.path, target)?,
                Blob::Text(text) => tree.insert(&entry.path, text.as_str())?,
                // No link leads to a name that is no text.
                Blob::Other(_) if entry.is_link => {}
                Blob::Other(size) => {
                    tree.insert_later(&entry.path, self.later(&entry.blob, *size))?;
                }
            }
        }
        Ok(tree)
    }

    /// A blob that is read when it is asked for.
    fn later(&self, blob: &str, size: u64) -> Later {
        let (dir, id) = (self.dir.clone(), blob.to_owned());
        let read = move || {
            let output = Self { dir: dir.clone() }.command(&["cat-file", "blob", &id]).output()?;
            match output.status.success() {
                true => Ok(output.stdout),
                false => Err(std::io::Error::other(format!("git does not have {id}"))),
            }
        };
        Later { id: blob.to_owned(), size, read: Arc::new(read) }
    }

    /// The files and links of a commit.
    fn list(&self, commit: &str) -> anyhow::Result<Vec<Entry>> {
        let said = self.git(&["ls-tree", "-r", "-z", "--full-tree", commit])?;
        let entries = said.split('\0').filter(|line| !line.is_empty()).map(|line| {
            let (facts, path) = line.split_once('\t').context("git ls-tree says no path")?;
            let mut facts = facts.split(' ');
            let mode = facts.next().unwrap_or_default();
            let (kind, blob) = (facts.next().unwrap_or_default(), facts.next().unwrap_or_default());
            // What is no blob is another repository's commit.
            Ok((kind == "blob").then(|| Entry {
                is_link: mode == "120000",
                blob: blob.to_owned(),
                path: path.to_owned(),
            }))
        });
        entries.filter_map(anyhow::Result::transpose).collect()
    }

    /// What blobs hold.
    fn blobs<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<HashMap<String, Blob>> {
        let ids: HashSet<&str> = ids.collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot run git")?;
        let mut asked = child.stdin.take().context("git takes no questions")?;
        let mut said = BufReader::new(child.stdout.take().context("git gives no answers")?);
        let blobs = std::thread::scope(|scope| {
            let ids = &ids;
            // Both ways at once: git waits for whoever does not read its answers.
            let asking = scope.spawn(move || {
                ids.iter().try_for_each(|id| asked.write_all(format!("{id}\n").as_bytes()))
            });
            let blobs = ids.iter().map(|_| blob(&mut said)).collect::<anyhow::Result<_>>()?;
            asking.join().expect("it does not panic").context("git takes no questions")?;
            anyhow::Ok(blobs)
        });
        child.wait()?;
        blobs.context("cannot read what git has")
    }

    /// The files as they lie there, new ones too, without those that Git ignores.
    pub(super) fn work_tree(&self) -> anyhow::Result<Tree> {
        let said = self.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        // What Git knows and is not there any more is gone.
        Ok(Tree::select(&self.dir, said.split('\0').filter(|path| !path.is_empty()))?)
    }

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).output().context("cannot run git").hint("install git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failure(Kind::NotFound, format!("git {}: {said}", args[0])));
        }
        let said = String::from_utf8(output.stdout).context("git names a file that is no text")?;
        Ok(said.trim_end_matches('\n').to_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir).args(args);
        command
    }
}

/// A file or a link of a commit.
struct Entry {
    is_link: bool,
    blob: String,
    path: String,
}

/// What a blob holds.
enum Blob {
    Text(String),
    /// No text, or one that is too large for a person to have written it: its size in bytes.
    Other(u64),
}

/// One answer of `git cat-file --batch`; what is too large is passed over.
fn blob(said: &mut impl std::io::BufRead) -> anyhow::Result<(String, Blob)> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(id), Some("blob"), Some(size)) = (words.next(), words.next(), words.next()) else {
        bail!("git cat-file: {}", line.trim());
    };
    let size: u64 = size.parse()?;
    let mut bytes = Vec::new();
    let blob = match size > MAX_TEXT {
        true => {
            std::io::copy(&mut said.take(size), &mut std::io::sink())?;
            Blob::Other(size)
        }
        false => {
            said.take(size).read_to_end(&mut bytes)?;
            String::from_utf8(bytes).map_or(Blob::Other(size), Blob::Text)
        }
    };
    said.read_exact(&mut [0])?;
    Ok((id.to_owned(), blob))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;
    use gitops::kustomize::{self, Overlay};

    use super::*;

    /// A repository with one commit of what `fill` puts into its folder.
    fn repository(fill: impl Fn(&Path)) -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let here = Repository { dir: dir.path().to_owned() };
        here.git(&["init", "--quiet", "--initial-branch=main"]).expect("git is there");
        fill(dir.path());
        commit(&here);
        (dir, here)
    }

    fn commit(here: &Repository) {
        here.git(&["add", "--all"]).expect("it can be added");
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let commit = [&who[..], &["commit", "--quiet", "--no-gpg-sign", "--message=x"]].concat();
        here.git(&commit).expect("it can be committed");
    }

    fn write(dir: &Path, path: &str, bytes: impl AsRef<[u8]>) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be made");
        fs::write(path, bytes).expect("it can be written");
    }

    const OBJECT: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";

    #[test]
    fn a_commit_is_read_as_its_working_tree_is() {
        let outside = tempfile::tempdir().expect("there is a place for temporary files");
        write(outside.path(), "secret", "outside");
        let (dir, here) = repository(|dir| {
            write(dir, "base/a.yaml", OBJECT);
            write(
                dir,
                "base/kustomization.yaml",
                "configMapGenerator:\n- name: c\n  files: [../binary, large=../large.yaml]\nresources: [a.yaml]\n",
            );
            write(dir, "base/ü b.yaml", "");
            write(dir, "base/sub/c.txt", "c");
            write(dir, "binary", [0xff, 0xfe]);
            write(dir, "large.yaml", vec![b'x'; 5 << 20]);
            write(dir, ".gitignore", "ignored\n");
            write(dir, "ignored", "x");
            symlink("base/a.yaml", dir.join("file-link")).expect("a link can be made");
            symlink("../base", dir.join("base/../link-to-nowhere")).expect("a link can be made");
            fs::create_dir(dir.join("overlay")).expect("it can be made");
            symlink("../base", dir.join("overlay/base")).expect("a link can be made");
            symlink(outside.path().join("secret"), dir.join("out")).expect("a link can be made");
            symlink("missing", dir.join("dangling")).expect("a link can be made");
        });
        let (head, here_now) = here.range("HEAD").expect("there is a commit");
        assert_eq!(here_now, Revision::WorkTree);
        let [committed, lying] = here.trees([&head, &here_now]).expect("both can be read");
        assert_eq!(committed, lying);
        for tree in [&committed, &lying] {
            let paths: Vec<&str> = tree.paths().collect();
            let expected = [
                ".gitignore",
                "base/a.yaml",
                "base/kustomization.yaml",
                "base/sub/c.txt",
                "base/ü b.yaml",
            ];
            assert_eq!(paths, expected);
            let found =
                ["file-link", "overlay/base/a.yaml", "overlay/base/sub/c.txt", "out", "dangling"];
            let found = found.map(|path| tree.get(path));
            assert_eq!(found, [Some(OBJECT), Some(OBJECT), Some("c"), None, None]);
            let objects = kustomize::build(tree, "overlay/base", &Overlay::default());
            let objects = objects.expect("it is reached through the link");
            // What is no text, and what is too large to be one, is read when it is asked for.
            let size = |key: &str| {
                let value = objects[0].at(key).and_then(serde_json::Value::as_str);
                value.unwrap_or_default().len()
            };
            assert_eq!([size("/binaryData/binary"), size("/data/large")], [4, 5 << 20]);
        }
        write(dir.path(), "new.yaml", "new");
        fs::remove_file(dir.path().join("base/a.yaml")).expect("it is there");
        let [committed, lying] = here.trees([&head, &here_now]).expect("both can be read");
        assert!(committed.get("new.yaml").is_none() && lying.get("new.yaml").is_some());
        assert!(committed.get("base/a.yaml").is_some() && lying.get("base/a.yaml").is_none());
    }

    #[test]
    fn revisions_are_those_that_git_knows() {
        let (dir, here) = repository(|dir| write(dir, "a", "1"));
        let first = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        here.git(&["switch", "--quiet", "--create", "side"]).expect("a branch can be made");
        write(dir.path(), "b", "2");
        commit(&here);
        let side = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        here.git(&["switch", "--quiet", "main"]).expect("it is there");
        write(dir.path(), "c", "3");
        commit(&here);
        let main = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        let of = |text: &str| here.range(text).expect("there are such commits");
        let commits = |a: &str, b: &str| (Revision::Commit(a.into()), Revision::Commit(b.into()));
        assert_eq!(of("side..main"), commits(&side, &main));
        assert_eq!(of("main...side"), commits(&first, &side));
        assert_eq!(of("HEAD~1.."), commits(&first, &main));
        assert_eq!(of("..side"), commits(&main, &side));
        assert_eq!(of("side"), (Revision::Commit(side), Revision::WorkTree));
        for wrong in ["nothing", "main..nothing", "--output=x", "HEAD:a", ""] {
            let error = here.range(wrong).err();
            let is_usage = error.is_some_and(|error| crate::kind::of(&error) == Kind::Usage);
            assert!(is_usage || wrong.is_empty(), "{wrong}");
        }
        let branches = here.branches().expect("there are branches");
        assert_eq!(branches, ["main".to_owned(), "side".to_owned()].into());
    }
}
